package imapconn

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup/accounts/imapconn/imaptest"
)

func TestAccessControlLists(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want string }{
		"plain":                {`* ACL INBOX alice lrswipkxtecda -bob w`, `map[-bob:w alice:lrswipkxtecda]`},
		"literals and quotes":  {"* ACL {5}\r\nINBOX \"an\\\"ne\" {2}\r\nlr {3}\r\na b \"\"", `map[a b: an"ne:lr]`},
		"NIL is a name":        {`* ACL INBOX NIL lr`, `map[NIL:lr]`},
		"rights missing":       {`* ACL INBOX alice lr bob`, `map[alice:lr bob:]`},
		"nobody":               {`* ACL INBOX`, `map[]`},
		"spaces":               {`* ACL  "INBOX"   alice  lr  `, `map[alice:lr]`},
		"octets that are none": {"* ACL INBOX \"caf\xe9\" lr {3}\r\na\x00b r", "map[ab:r caf\ufffd:lr]"},
		"a line break":         {"* ACL INBOX {4}\r\na\r\nb lr", `map[ab:lr]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 ACL", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"GETACL": imaptest.Answer(test.answer + "\r\n%T OK done\r\n"),
			}})
			c := dial(t, s, nil)
			data, err := c.GetACL("INBOX").Wait()
			if err != nil {
				t.Fatal(c.Explain(err))
			}
			if got := fmt.Sprint(data.Rights); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			alive(t, c)
		})
	}
}

func TestAnnotations(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ answer, want string }{
		"plain":                {`* METADATA "INBOX" (/shared/comment "a \"b\"" /private/comment NIL)`, `/shared/comment="a \"b\""`},
		"literals":             {"* METADATA INBOX ({15}\r\n/shared/comment {6}\r\na\r\nb\x80\x00 /shared/x ~{3}\r\n\x00)( /shared/y \"NIL\")", `/shared/comment="a\r\nb\x80\x00" /shared/x="\x00)(" /shared/y="NIL"`},
		"empty":                {`* METADATA INBOX ()`, ``},
		"an empty value":       {`* METADATA INBOX (/shared/x "")`, `/shared/x=""`},
		"names without values": {`* METADATA INBOX /shared/x /shared/y`, ``},
		"in two answers":       {"* METADATA INBOX (/shared/x a)\r\n* METADATA INBOX (/shared/y b)", `/shared/x="a" /shared/y="b"`},
		"too large":            {fmt.Sprintf("* METADATA INBOX (/shared/x {%d}\r\n%s /shared/y b)", mostAbout+1, strings.Repeat("x", mostAbout+1)), ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 METADATA", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
				"GETMETADATA": imaptest.Answer(test.answer + "\r\n%T OK done\r\n"),
			}})
			c := dial(t, s, nil)
			data, err := c.GetMetadata("INBOX", []string{"/shared"}, nil).Wait()
			if err != nil {
				t.Fatal(c.Explain(err))
			}
			var got []string
			for _, entry := range []string{"/private/comment", "/shared/comment", "/shared/x", "/shared/y"} {
				if v := data.Entries[entry]; v != nil {
					got = append(got, fmt.Sprintf("%s=%q", entry, *v))
				}
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			alive(t, c)
		})
	}
}

func TestDepthOfMetadataStandsInFront(t *testing.T) {
	t.Parallel()
	s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 METADATA"})
	c := dial(t, s, nil)
	for _, folder := range []string{`say "(DEPTH infinity)"`, "", AliasName([]byte("caf\xe9"))} {
		c.GetMetadata(folder, []string{"/shared"}, &imapclient.GetMetadataOptions{Depth: imapclient.GetMetadataDepthInfinity}).Wait()
	}
	c.GetMetadata("x", []string{"/shared"}, nil).Wait()
	var got []string
	for _, cmd := range s.Commands() {
		if cmd.Name == "GETMETADATA" {
			got = append(got, cmd.Args)
		}
	}
	want := []string{`(DEPTH infinity) "say \"(DEPTH infinity)\"" ("/shared")`, `(DEPTH infinity) "" ("/shared")`, "(DEPTH infinity) {4}\r\ncaf\xe9 (\"/shared\")", `"x" ("/shared")`}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// What nobody asked for means nothing, and what is beyond reason ends the
// connection.
func TestAnswersAboutFoldersHaveLimits(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"many identifiers": "* ACL INBOX" + strings.Repeat(" a lr", 1001),
		"long identifiers": "* ACL INBOX" + strings.Repeat(" {40000}\r\n"+strings.Repeat("x", 40000)+" lr", 2),
		"a list":           "* ACL INBOX (alice lr)",
	} {
		s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 ACL METADATA", Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"GETACL": imaptest.Answer(answer + "\r\n%T OK done\r\n"),
			"NOOP":   imaptest.Answer(answer + "\r\n* METADATA INBOX (/x (\r\n%T OK done\r\n"),
		}})
		c := dial(t, s, nil)
		alive(t, c)
		err := soon(t, name, func() error { _, err := c.GetACL("INBOX").Wait(); return err })
		if err := c.Explain(err); err == nil || !strings.Contains(err.Error(), "ACL answer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
