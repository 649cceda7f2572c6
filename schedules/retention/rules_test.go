package retention

import (
	"strings"
	"testing"
	"time"

	"restante/storage"
)

// which is what a rule keeps of snapshots made at these times, newest first.
func which(r Rule, when When, times ...string) string {
	var list []storage.Snapshot
	for _, text := range times {
		list = append(list, at(text, ""))
	}
	var b strings.Builder
	for _, why := range r.Keep(list, when) {
		if why != "" {
			b.WriteByte('k')
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}

func TestLastKeepsTheNewest(t *testing.T) {
	t.Parallel()
	times := []string{"2026-11-20T03:00:00Z", "2026-11-19T03:00:00Z", "2026-11-18T03:00:00Z"}
	for n, want := range map[Last]string{1: "k--", 2: "kk-", 3: "kkk", 9: "kkk"} {
		if got := which(n, When{Zone: time.UTC}, times...); got != want {
			t.Errorf("%s: %s", n, got)
		}
	}
}

func TestEachKeepsTheNewestOfItsPeriods(t *testing.T) {
	t.Parallel()
	berlin := When{Zone: zone(t, "Europe/Berlin")}
	kolkata := When{Zone: zone(t, "Asia/Kolkata")}
	for _, test := range []struct {
		what  string
		rule  Each
		when  When
		times string
		want  string
	}{
		{"several a day", Each{Daily, 2}, berlin, "2026-11-20T09:00:00Z 2026-11-20T08:00:00Z 2026-11-19T09:00:00Z 2026-11-18T09:00:00Z", "k-k-"},
		{"days without any do not count", Each{Daily, 3}, berlin, "2026-11-20T09:00:00Z 2026-10-02T08:00:00Z 2026-05-19T09:00:00Z 2025-01-18T09:00:00Z", "kkk-"},
		{"midnight is where the zone has it", Each{Daily, 9}, berlin, "2026-11-19T23:30:00Z 2026-11-19T22:30:00Z 2026-11-18T23:30:00Z", "kk-"},
		{"the day of 23 hours", Each{Daily, 9}, berlin, "2026-03-29T21:30:00Z 2026-03-28T23:30:00Z 2026-03-28T22:30:00Z", "k-k"},
		{"the day of 25 hours", Each{Daily, 9}, berlin, "2026-10-25T22:30:00Z 2026-10-24T22:30:00Z 2026-10-24T21:30:00Z", "k-k"},
		{"the hour that comes twice", Each{Hourly, 9}, berlin, "2026-10-25T01:30:00Z 2026-10-25T00:45:00Z 2026-10-25T00:30:00Z", "kk-"},
		{"the hour that is left out", Each{Hourly, 9}, berlin, "2026-03-29T01:30:00Z 2026-03-29T01:00:00Z 2026-03-29T00:59:00Z", "k-k"},
		{"hours that begin at half past in UTC", Each{Hourly, 9}, kolkata, "2026-11-20T03:35:00Z 2026-11-20T03:25:00Z 2026-11-20T02:35:00Z", "kk-"},
		{"weeks begin on Monday", Each{Weekly, 9}, berlin, "2026-11-23T01:00:00Z 2026-11-22T12:00:00Z 2026-11-16T12:00:00Z", "kk-"},
		{"a week goes over the new year", Each{Weekly, 9}, berlin, "2027-01-03T12:00:00Z 2026-12-28T12:00:00Z 2026-12-27T12:00:00Z", "k-k"},
		{"months", Each{Monthly, 2}, berlin, "2026-11-30T23:30:00Z 2026-11-30T22:30:00Z 2026-11-01T12:00:00Z 2026-10-31T12:00:00Z", "kk--"},
		{"years", Each{Yearly, 2}, berlin, "2026-11-30T23:30:00Z 2026-01-01T12:00:00Z 2025-12-31T23:30:00Z 2025-12-31T22:30:00Z", "k--k"},
	} {
		if got := which(test.rule, test.when, strings.Fields(test.times)...); got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
}

func TestWithinCountsFromTheNewestSnapshot(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	at := func(text string) When {
		now, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return When{now, berlin}
	}
	for _, test := range []struct {
		what, rule, now string
		times           string
		want            string
	}{
		{"days", "within 2d", "2026-11-20T09:00:00Z", "2026-11-20T03:00:00Z 2026-11-18T03:00:00Z 2026-11-18T02:59:59Z", "kk-"},
		{"backups have stopped", "within 2d", "2028-11-20T09:00:00Z", "2026-11-20T03:00:00Z 2026-11-18T03:00:00Z 2026-11-18T02:59:59Z", "kk-"},
		{"a clock was wrong", "within 2d", "2026-11-20T09:00:00Z", "2099-01-01T00:00:00Z 2026-11-20T03:00:00Z 2026-11-18T03:00:00Z 2026-11-18T02:59:59Z", "kkk-"},
		{"a day is a day though it has 25 hours", "within 1d", "2026-10-26T09:00:00Z", "2026-10-25T11:00:00Z 2026-10-24T10:00:00Z 2026-10-24T09:59:59Z", "kk-"},
		{"24 hours are 24 hours", "within 24h", "2026-10-26T09:00:00Z", "2026-10-25T11:00:00Z 2026-10-24T11:00:00Z 2026-10-24T10:59:59Z", "kk-"},
		{"a month before the 31st of March", "within 1mo", "2026-04-01T09:00:00Z", "2026-03-31T10:00:00Z 2026-02-28T11:00:00Z 2026-02-28T10:59:59Z", "kk-"},
		{"a year before the 29th of February", "within 1y", "2028-03-01T09:00:00Z", "2028-02-29T10:00:00Z 2027-02-28T10:00:00Z 2027-02-28T09:59:59Z", "kk-"},
		{"units together", "within 1y2mo1w1d1h", "2028-03-01T09:00:00Z", "2027-11-20T12:00:00Z 2026-09-12T10:00:00Z 2026-09-12T09:59:59Z", "kk-"},
	} {
		p := mustParse(t, test.rule)
		if got := which(p[0], at(test.now), strings.Fields(test.times)...); got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := mustParse(t, " last 7,daily 30, weekly  12, monthly 36, yearly 10, within 90d ")
	if p.String() != "last 7, daily 30, weekly 12, monthly 36, yearly 10, within 90d" {
		t.Errorf("read as %q", p)
	}
	for text, want := range map[string]string{
		"": "no keep rule", "dayly 3": `"dayly" is no keep rule; there are: last, hourly`, "daily": `"" is no number`, "daily 0": "no number from 1",
		"daily -3": "no number", "daily 3, daily 4": "twice", "within 3": "no age", "within d": "no age", "within": "no age", "within 0d": "no age",
		"within 3m": "no age", "last 3,": "no keep rule", "within 99999999999999999999d": "no age",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
