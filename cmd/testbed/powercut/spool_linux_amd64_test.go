package powercut

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"restante/backup/accounts/pop3conn/pop3test"
)

// large is a message that is kept in a file on its way.
func large(octets int) string {
	text := "Subject: large\r\nMessage-ID: <large@x>\r\n\r\n"
	return text + strings.Repeat("Sixty-four octets are in this line, and it is there very often.\r\n", octets/65)
}

// TestEveryFileOperationOfASpool: a message that is kept in a file while it is
// backed up is in the archive whole, or its backup says that it is not done.
func TestEveryFileOperationOfASpool(t *testing.T) {
	t.Parallel()
	const octets = 5 << 20
	for from, account := range map[string]func(s *scene) string{
		"a Maildir": func(s *scene) string {
			s.must(os.WriteFile(s.path("mail/cur/1600000099.large.host:2,S"), []byte(large(octets)), 0o600))
			return "maildir:" + s.path("mail")
		},
		"IMAP": func(s *scene) string {
			server := newIMAPServer(s.T)
			server.account.Add("INBOX", "Subject: small\r\n\r\nsmall\r\n", "")
			server.account.Add("INBOX", large(octets), "")
			return "imap+insecure://alice@" + server.address
		},
		"POP3": func(s *scene) string {
			maildrop := new(pop3test.Maildrop)
			maildrop.Add("Subject: small\r\n\r\nsmall\r\n", large(octets))
			return "pop3+insecure://alice@" + pop3test.Start(s, maildrop).Addr
		},
	} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			if from != "IMAP" {
				onlyLong(t)
			}
			s := newScene(t)
			s.receive(1, 0)
			s.must(os.WriteFile(s.path("restante.toml"), fmt.Appendf(nil, "[account.alice]\nurl = %q\n", account(s)), 0o600))
			s.must(s.run("init", "--recipient", s.identity.Recipient().String(), "--no-probe"))
			var want []string
			s.everyPoint(work{
				args:  [][]string{{"backup", "alice"}},
				below: "tmp",
				alike: true,
				done: func() error {
					got, err := s.check(s.identity)
					if err != nil {
						return err
					}
					if want == nil {
						want = got
					}
					if !slices.Contains(got, want[0]) || strings.Count(want[0], "\n") != 1 {
						return fmt.Errorf("there are the snapshots %q, want %q", got, want)
					}
					return nil
				},
			})
		})
	}
}

// TestEveryFileOperationOfALargeExport: a message that is too large for memory is
// in the mbox once, and whole.
func TestEveryFileOperationOfALargeExport(t *testing.T) {
	t.Parallel()
	onlyLong(t)
	s := newScene(t)
	s.must(os.WriteFile(s.path("mail/cur/1600000099.large.host:2,S"), []byte(large(2<<20)), 0o600))
	s.must(s.run("init", "--recipient", s.identity.Recipient().String(), "--no-probe"))
	s.must(s.run("backup", s.name))
	want := ""
	s.must(os.MkdirAll(s.path("root/out"), 0o700))
	s.everyPoint(work{
		args:  [][]string{{"restore", s.name, "--to", "mbox:" + s.path("root/out")}},
		below: "out",
		alike: true,
		done: func() error {
			got := exported("mbox", s.tree(s.path("root/out")))
			if want == "" {
				want = got
			}
			if got != want {
				return onlyInOne(got, want)
			}
			return nil
		},
	})
}
