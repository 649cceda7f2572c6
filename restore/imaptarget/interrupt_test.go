package imaptarget

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
)

// A restore that is interrupted, in whatever phase, ends with the reason, and
// can be started again: in the end every message is there, once.
func TestRestoreCanBeInterruptedInAnyPhase(t *testing.T) {
	t.Parallel()
	var moments []string
	for _, command := range []string{"LOGIN", "NAMESPACE", "LIST", "SELECT", "UID FETCH", "GETQUOTAROOT", "CREATE", "SUBSCRIBE"} {
		moments = append(moments, command+" 1")
	}
	moments = append(moments, "SELECT 2", "UID FETCH 2", "CREATE 2", "SELECT 3", "APPEND 1", "APPEND 2", "APPEND 63", "APPEND 64", "APPEND 65", "APPEND 130", "APPEND 199")
	for _, caps := range []string{full + " QUOTA", "NAMESPACE QUOTA"} {
		for _, moment := range moments {
			for _, answered := range []bool{true, false} {
				t.Run(fmt.Sprintf("%.5s %s %v", caps, moment, answered), func(t *testing.T) {
					t.Parallel()
					letters := someLetters("x", 110)
					ctx, stop := context.WithCancelCause(t.Context())
					stopped := errors.New("enough")
					counts := map[string]int{}
					d := atDesk(t, caps, func(a *imaptest.Account, s *imaptest.Script) {
						for _, l := range letters[:10] {
							a.Add("INBOX", l.octets, "")
						}
						s.Handle["GETQUOTAROOT"] = func(c *imaptest.Conn, cmd imaptest.Command) { c.OK(cmd) }
						s.Handle["LOGIN"] = func(c *imaptest.Conn, cmd imaptest.Command) {
							c.Say("%s OK [CAPABILITY %s] welcome\r\n", cmd.Tag, a.Caps)
						}
						for name, h := range s.Handle {
							s.Handle[name] = func(c *imaptest.Conn, cmd imaptest.Command) {
								now := false
								a.Do(func() { counts[name]++; now = fmt.Sprint(name, " ", counts[name]) == moment })
								if now && !answered {
									stop(stopped)
									c.Close()
									return
								}
								h(c, cmd)
								if now {
									stop(stopped)
								}
							}
						}
					}, named("INBOX", letters...), folder{levels: []string{"a"}, subscribed: true, letters: letters[:100]}, named("b"))
					// What the server does after it was left must be over when the next
					// restore looks.
					dial := cutter(d.server, -1, -1)
					run := func(ctx context.Context) (*restore.Report, error) {
						target := New(Options{Location: "imap://alice@test", Dial: dial})
						defer target.Close()
						return d.over(ctx, oneConnection{target}, restore.Options{})
					}
					report, err := run(ctx)
					switch {
					case err == nil && ctx.Err() == nil:
						t.Fatalf("it was never at %s", moment)
					case err != nil && !errors.Is(err, stopped) && !errors.Is(err, context.Canceled):
						t.Errorf("it ended with %v", err)
					case report == nil:
						t.Error("there is no report")
					}
					for i := range 2 {
						report, err := run(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						if sum := report.Totals(); sum.Appended+sum.Present != 210 || i > 0 && sum.Appended > 0 {
							t.Errorf("then %d appended, %d present", sum.Appended, sum.Present)
						}
					}
					n := 0
					for _, f := range d.account.Folders() {
						n += len(f.Messages)
					}
					if n != 210 {
						t.Errorf("the account has %d messages", n)
					}
				})
			}
		}
	}
}
