package mailfiles

import (
	"testing"
	"time"
)

func TestFromLines(t *testing.T) {
	t.Parallel()
	zone := func(h, m int) *time.Location { return time.FixedZone("", (h*60+m)*60) }
	berlin := zone(1, 0) // what the caller says about lines without a zone
	for _, c := range []struct {
		line   string
		shape  fromShape
		sender string
		date   time.Time
		zoned  bool
	}{
		{"From joe@example.org Mon Jan  5 08:50:15 2004", fromDated, "joe@example.org", time.Date(2004, 1, 5, 8, 50, 15, 0, berlin), false},
		{"From joe@example.org  Mon Jan 5 08:50:15 2004\r", fromDated, "joe@example.org", time.Date(2004, 1, 5, 8, 50, 15, 0, berlin), false},
		{"From xxx8x@ares.cs.Virginia.EDU Thu Sep 13 12:30:05 2001 -0400", fromDated, "xxx8x@ares.cs.Virginia.EDU", time.Date(2001, 9, 13, 12, 30, 5, 0, zone(-4, 0)), true},
		{"From klopp Mon Jan  5 08:50:15 +0100 2004", fromDated, "klopp", time.Date(2004, 1, 5, 8, 50, 15, 0, zone(1, 0)), true},
		{"From x Mon Jan  5 08:50:15 2004 -0330", fromDated, "x", time.Date(2004, 1, 5, 8, 50, 15, 0, zone(-3, -30)), true},
		{"From david@coppit.org Sat Sep  1 20:58 EDT 2001", fromDated, "david@coppit.org", time.Date(2001, 9, 1, 20, 58, 0, 0, zone(-4, 0)), true},
		{"From m@d.com Wed Feb  9 22:02 MET 2000", fromDated, "m@d.com", time.Date(2000, 2, 9, 22, 2, 0, 0, zone(1, 0)), true},
		{"From m@d.com Wed Aug  9 22:02 MET DST 2000", fromDated, "m@d.com", time.Date(2000, 8, 9, 22, 2, 0, 0, zone(2, 0)), true},
		{"From goldt@et.byu.edu  Tue Jul  7 20:33:03 1998 WETDST", fromDated, "goldt@et.byu.edu", time.Date(1998, 7, 7, 20, 33, 3, 0, zone(1, 0)), true},
		{"From a@b  Wed Jul  1 02:44:06 1998 XYZ", fromDated, "a@b", time.Date(1998, 7, 1, 2, 44, 6, 0, berlin), false}, // a zone nobody knows
		{"From joe Mon Jan  5 08:50:15 2004 remote from uucp", fromDated, "joe", time.Date(2004, 1, 5, 8, 50, 15, 0, berlin), false},
		{"From joe Mon Jan  5 08:50:15 2004 remote from uuMon", fromDated, "joe", time.Date(2004, 1, 5, 8, 50, 15, 0, berlin), false},
		{"From joe@x Mon, 5 Jan 2004 08:50:15 +0100 (CET)", fromDated, "joe@x", time.Date(2004, 1, 5, 8, 50, 15, 0, zone(1, 0)), true},
		{"From 1844347792267117879@xxx Thu Jan 01 00:00:00 +0000 2015", fromDated, "1844347792267117879@xxx", time.Date(2015, 1, 1, 0, 0, 0, 0, zone(0, 0)), true},
		{`From "naveen.andrews@enron.com" Wed Jan 30 18:07:01 2002`, fromDated, `"naveen.andrews@enron.com"`, time.Date(2002, 1, 30, 18, 7, 1, 0, berlin), false},
		{"From Joe Q. Public <joe@x> Wed Jan 30 18:07:01 2002", fromDated, "Joe Q. Public <joe@x>", time.Date(2002, 1, 30, 18, 7, 1, 0, berlin), false},
		{"From Mon Mon Wed Jan 30 18:07:01 2002", fromDated, "Mon Mon", time.Date(2002, 1, 30, 18, 7, 1, 0, berlin), false},
		{"From VM Mon Mar  1 17:26:34 04", fromDated, "VM", time.Date(2004, 3, 1, 17, 26, 34, 0, berlin), false},
		{"From x Mon Mar  1 17:26:34 99", fromDated, "x", time.Date(1999, 3, 1, 17, 26, 34, 0, berlin), false},
		{"From  Mon Mar  1 17:26:34 2004", fromDated, "", time.Date(2004, 3, 1, 17, 26, 34, 0, berlin), false},
		// The form of a date, and no date.
		{"From x Mon Feb 31 17:26:34 2004", fromDated, "x", time.Time{}, false},
		{"From x Mon Jan 0 17:26:34 2004", fromDated, "x", time.Time{}, false},
		{"From x Mon Jan 1 25:61:00 2004", fromDated, "x", time.Time{}, false},
		// Without a date.
		{"From -", fromUndated, "-", time.Time{}, false},
		{"From - ", fromUndated, "-", time.Time{}, false},
		{"From ", fromUndated, "", time.Time{}, false},
		{"From 1844347792267117879@xxx", fromUndated, "1844347792267117879@xxx", time.Time{}, false},
		// Text.
		{"From Russia with love", fromText, "", time.Time{}, false},
		{"From now on", fromText, "", time.Time{}, false},
		{"From this principle, all of life and physics may be deduced.", fromText, "", time.Time{}, false},
		{"From Mon Jan 5 on we meet at 08:50 in 2004", fromText, "", time.Time{}, false},
		{"From Mon Jan 5 08:50:15 2004 we know", fromText, "", time.Time{}, false},
		{"From the log of Mon Jan 5 08:50", fromText, "", time.Time{}, false},
		{"From x Mon Jan 5 08:50:15 200", fromText, "", time.Time{}, false},
		{"From x Mon Jan -5 08:50:15 2004", fromText, "", time.Time{}, false},
		{"From x Mon Jan +5 08:50:15 2004", fromText, "", time.Time{}, false},
		{"From x Mo Jan  5 08:50:15 2004", fromText, "", time.Time{}, false},
	} {
		from, shape := parseFromLine([]byte(c.line), berlin)
		if shape != c.shape || from.Sender != c.sender || !from.Date.Equal(c.date) || from.Zoned != c.zoned {
			t.Errorf("%q: shape %d, %+v, want shape %d, sender %q, date %v, zoned %v", c.line, shape, from, c.shape, c.sender, c.date, c.zoned)
		}
	}
}
