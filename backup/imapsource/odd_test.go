package imapsource

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/backup/accounts/imapconn/imaptest"
)

// Flags and dates as no standard has them, and as real servers do.

func TestOddFlags(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flags string // between the parentheses
		want  []string
	}{
		{``, nil},
		{`\Seen \Recent`, []string{`\Seen`}},
		{`\RECENT \recent`, nil},
		{`\Seen \Seen`, []string{`\Seen`}},
		{`\SEEN`, []string{`\Seen`}},
		{`  \Seen   \Flagged `, []string{`\Seen`, `\Flagged`}},
		{`$Forwarded $MDNSent NonJunk`, []string{`$Forwarded`, `$MDNSent`, `NonJunk`}},
		{`a]b`, []string{`a]b`}},
		{`"quoted" "two words"`, []string{`quoted`, `two words`}},
		{"caf\xc3\xa9 \x80", []string{"caf\xc3\xa9", "\x80"}},
		{`\*`, []string{`\*`}},
		{`\`, []string{`\`}},
		{`%x {3} a*b`, []string{`%x`, `{3}`, `a*b`}},
		{`(a list)`, []string{`(a list)`}},
		{strings.Repeat("x", 1000), []string{strings.Repeat("x", 1000)}},
		{strings.TrimSpace(strings.Repeat("same ", 500)), []string{"same"}},
	} {
		t.Run(fmt.Sprintf("%.40q", test.flags), func(t *testing.T) {
			t.Parallel()
			for name, caps := range everyServer {
				c := newChain(t, caps)
				c.account.Add("INBOX", letter(1), `\Flagged`)
				c.account.Add("INBOX", letter(2), test.flags)
				c.account.Add("INBOX", letter(3), ``)
				seen := func(what string) {
					t.Helper()
					for m, err := range c.tree(c.must(nil).Snapshot)["INBOX"].All(t.Context()) {
						if err != nil {
							t.Fatal(err)
						}
						want := [][]string{{`\Flagged`}, test.want, nil}[m.UID-1]
						if !slices.Equal(slices.Sorted(slices.Values(m.Flags)), slices.Sorted(slices.Values(want))) {
							t.Errorf("%s, %s: UID %d has %q", name, what, m.UID, m.Flags)
						}
					}
				}
				seen("new")
				c.account.Flag("INBOX", 2, `\Deleted`)
				c.must(nil)
				c.account.Flag("INBOX", 2, test.flags)
				seen("changed")
			}
		})
	}
}

func TestOddDates(t *testing.T) {
	t.Parallel()
	berlin, kathmandu := time.FixedZone("", 3600), time.FixedZone("", 5*3600+45*60)
	at := time.Date(2023, 11, 7, 22, 13, 5, 0, berlin)
	for _, test := range []struct {
		date string // on the wire
		want time.Time
	}{
		{`" 7-Nov-2023 22:13:05 +0100"`, at},
		{`"07-Nov-2023 22:13:05 +0100"`, at},
		{`"7-Nov-2023 22:13:05 +0100"`, at},
		{`"07-Nov-2023 22:13:05 +0545"`, time.Date(2023, 11, 7, 22, 13, 5, 0, kathmandu)},
		{`"07-Nov-2023 22:13:05 -0000"`, at.Add(time.Hour).In(time.UTC)},
		{"{26}\r\n07-Nov-2023 22:13:05 +0100", at},
		{`"07-Nov-2023 22:13:05"`, at.Add(time.Hour).In(time.UTC)},
		{`"07-Nov-23 22:13:05 +0100"`, at},
		{`"Tue, 07 Nov 2023 22:13:05 +0100"`, at},
		{`"Tue, 7 Nov 2023 22:13:05 +0100"`, at},
		{`"2023-11-07T22:13:05+01:00"`, at},
		{`"01-Jan-1900 00:00:00 +0000"`, time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)},
		{`"31-Dec-9999 23:59:59 +0000"`, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		{`"00-Jan-0000 00:00:00 +0000"`, time.Time{}},
		{`"01-Jan-0001 00:00:00 +0000"`, time.Time{}},
		{`"31-Feb-2023 00:00:00 +0000"`, time.Time{}},
		{`"yesterday"`, time.Time{}},
		{`""`, time.Time{}},
		{`NIL`, time.Time{}},
		{`(1 2 3)`, time.Time{}},
	} {
		t.Run(test.date, func(t *testing.T) {
			t.Parallel()
			for name, caps := range everyServer {
				c := newChain(t, caps)
				c.account.Add("INBOX", letter(1), ``)
				m := c.account.Add("INBOX", letter(2), `\Seen`)
				c.account.Add("INBOX", letter(3), ``)
				c.account.Do(func() { m.Date = test.date })
				tree := c.tree(c.must(nil).Snapshot)
				n := 0
				for m, err := range tree["INBOX"].All(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					if n++; m.UID != 2 {
						continue
					}
					_, offset := m.InternalDate.Zone()
					_, want := test.want.Zone()
					if !m.InternalDate.Equal(test.want) || offset != want || !slices.Equal(m.Flags, []string{`\Seen`}) {
						t.Errorf("%s: %v, with %q", name, m.InternalDate, m.Flags)
					}
				}
				if n != 3 {
					t.Errorf("%s: %d messages", name, n)
				}
			}
		})
	}
}

// Items that nobody asked for, or that nobody has heard of, cost nothing.
func TestItemsThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for _, item := range []string{
		`X-GM-LABELS ("\\Important" x)`, `EMAILID (M6d99ac3275bb4e)`, `THREADID NIL`, `SAVEDATE "07-Nov-2023 22:13:05 +0100"`, "PREVIEW {3}\r\nabc",
		`ENVELOPE (nil nil)`, `BODYSTRUCTURE ((((` + strings.Repeat("(", 50) + strings.Repeat(")", 54), `MODSEQ (0)`, `MODSEQ (99999999999999999999)`,
		"BODY[HEADER] {5}\r\nA: b\n", "BODY[1] NIL", "BODY[]<5> {3}\r\nabc", "RFC822.HEADER {0}\r\n", `BODY (1 2)`,
	} {
		t.Run(fmt.Sprintf("%.30s", item), func(t *testing.T) {
			t.Parallel()
			for name, caps := range everyServer {
				for _, where := range []string{"in front", "behind"} {
					c := newChain(t, caps)
					c.fill()
					script := c.rewritten("UID FETCH", func(_ imaptest.Command, text string) string {
						list := answers(text)
						for i, a := range list {
							if !strings.HasPrefix(a, "* ") || !strings.Contains(a, "(UID ") {
								continue
							}
							if where == "behind" {
								list[i] = strings.TrimSuffix(a, ")\r\n") + " " + item + ")\r\n"
							} else {
								list[i] = strings.Replace(a, "FLAGS", item+" FLAGS", 1)
							}
						}
						return strings.Join(list, "")
					})
					c.whole(name+", "+where, script)
					c.account.Flag("INBOX", 5, `\Deleted`)
					c.account.Add("INBOX", letter(80), ``)
					c.whole(name+", "+where, script)
				}
			}
		})
	}
}
