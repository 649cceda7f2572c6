package main

import (
	"encoding/json"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/restore"
)

func insecureURL(s *imaptest.Server, user string) string {
	return "imap+insecure://" + user + "@" + s.Addr
}

// A folder that a server does not let us have is named, the others are
// restored, and the exit code says that something is missing.
func TestFolderThatCannotBeHadMakesARestoreIncomplete(t *testing.T) {
	t.Parallel()
	const octets = "Message-ID: <1@x>\r\nSubject: x\r\n\r\nx\r\n"
	from := imaptest.NewAccount("NAMESPACE UIDPLUS")
	from.Add("caf\xe9", octets, `\Seen`)
	from.Add("good", octets, `\Seen`)
	to := imaptest.NewAccount("NAMESPACE UIDPLUS")
	script := to.Script()
	create := script.Handle["CREATE"]
	script.Handle["CREATE"] = func(c *imaptest.Conn, cmd imaptest.Command) {
		if strings.Contains(cmd.Args, "\xe9") {
			c.Say("%s NO [CANNOT] not such a name\r\n", cmd.Tag)
			return
		}
		create(c, cmd)
	}
	source, target := imaptest.Start(t, from.Script()), imaptest.Start(t, script)
	b := newBench(t, "")
	account := b.backup(insecureURL(source, "alice")).Account
	code, out, errOut := b.exec("restore", account, "--to", insecureURL(target, "bob"))
	if code != exitIncomplete {
		t.Errorf("exit code %d\n%s%s", code, out, errOut)
	}
	for _, want := range []string{"given up", "not such a name", "1 message restored to", "1 folder given up"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if n := len(to.Folder("good").Messages); n != 1 {
		t.Errorf("the other folder has %d messages", n)
	}
	// Elsewhere it can be had, under a name that is one.
	if out := b.do("restore", account, "--to", insecureURL(target, "bob"), "--into", "back", "--json"); !strings.Contains(out, `"appended": 1`) {
		t.Errorf("%s", out)
	}
	code, out, _ = b.exec("restore", account, "--to", insecureURL(target, "bob"), "--json")
	var r restore.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitIncomplete || r.Complete() {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}
