package imaptarget

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/storage"
)

// granting is a server with a folder whose list says that alice may all and bob
// may look.
func granting(t *testing.T, caps, answer string) (*Target, *imaptest.Server) {
	account := imaptest.NewAccount(caps)
	account.Folder("R&-D")
	script := account.Script()
	script.Handle["GETACL"] = func(c *imaptest.Conn, cmd imaptest.Command) {
		if name, _ := imaptest.Name(cmd.Args); name == "INBOX" {
			c.Say("%s NO [NOPERM] not yours\r\n", cmd.Tag)
			return
		}
		c.Say("* ACL %s alice lrswipkxtea bob l\r\n%s OK\r\n", cmd.Args, cmd.Tag)
	}
	script.Handle["SETACL"] = imaptest.Answer(answer)
	server := imaptest.Start(t, script)
	target := New(Options{Location: "imap://alice@test", Dial: func(ctx context.Context) (*imapconn.Conn, error) {
		return imapconn.Dial(ctx, imapconn.Options{Address: server.Addr, Security: imapconn.Insecure, User: "alice", Password: "secret"})
	}})
	t.Cleanup(func() { target.Close() })
	return target, server
}

var wanted = []storage.FolderDetails{
	{Levels: []string{"INBOX"}, ACL: []storage.Grant{{Identifier: "bob", Rights: "l"}}},
	{Levels: []string{"Plain"}, Rights: "lrs"},
	{Levels: []string{"Gone"}, ACL: []storage.Grant{{Identifier: "bob", Rights: "l"}}},
	{Levels: []string{"R&D"}, ACL: []storage.Grant{{Identifier: "-carol", Rights: "w"}, {Identifier: "alice", Rights: "lr"}, {Identifier: "bob", Rights: "lrs"}, {Identifier: "du \"x\"é", Rights: "r"}}},
}

func TestMissingRightsAreAdded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, caps, answer string
		dryRun             bool
		want               string
		sent               []string
	}{
		{"added", "ACL", "%T OK done\r\n", false, `[{INBOX   imap: NO [NOPERM] not yours} {Gone   the folder is not there} {R&D bob rs } {R&D du "x"é r }]`,
			[]string{`"R&-D" "bob" "+rs"`, "\"R&-D\" {8}\r\ndu \"x\"é \"+r\""}},
		{"dry run", "ACL", "", true, `[{INBOX   imap: NO [NOPERM] not yours} {Gone   the folder is not there} {R&D bob rs } {R&D du "x"é r }]`, nil},
		{"refused", "ACL", "%T NO never\r\n", false, `[{INBOX   imap: NO [NOPERM] not yours} {Gone   the folder is not there} {R&D bob rs imap: NO never} {R&D du "x"é r imap: NO never}]`,
			[]string{`"R&-D" "bob" "+rs"`, "\"R&-D\" {8}\r\ndu \"x\"é \"+r\""}},
		{"no lists", "", "", false, `[{INBOX   the server has no access control lists} {Gone   the server has no access control lists} {R&D   the server has no access control lists}]`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			target, server := granting(t, test.caps, test.answer)
			done, err := target.Grant(t.Context(), wanted, test.dryRun)
			if got := fmt.Sprint(done); err != nil || got != test.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, test.want)
			}
			var sent []string
			for _, c := range server.Commands() {
				if c.Name == "SETACL" {
					sent = append(sent, c.Args)
				}
			}
			if !slices.Equal(sent, test.sent) {
				t.Errorf("the server got %q", sent)
			}
		})
	}
}
