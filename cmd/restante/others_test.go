package main

import (
	"fmt"
	"strings"
	"testing"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/servers"
)

// What other servers than Dovecot do otherwise. The stories of fidelity and of
// increments are in e2e_test.go, for all of them.

// asAdmin is the account of a user of Cyrus with the admin's login.
func asAdmin(s servers.Server, user string) string {
	return fmt.Sprintf("imaps://%s@%s?authzid=%s&ca=%s", servers.CyrusAdmin, s.TLSAddress, user, s.CA)
}

func TestCyrusAdminBacksUpAndRestoresForOthers(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(testing.TB) servers.Server{"slash": servers.Cyrus, "dot and prefix": servers.CyrusDot} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			alice, bob := servers.NewUser(t), servers.NewUser(t)
			servers.Load(t, s, alice, "INBOX", letter("one", "x", `\Seen`))
			servers.Load(t, s, alice, s.Prefix+"Work", letter("two", "y", "$Forwarded"))
			b := newBench(t, "")
			b.write("password", servers.MasterPassword)
			run := b.backup(asAdmin(s, alice))
			if run.Snapshot.Messages != 2 || !strings.HasPrefix(run.Account, alice+"@") {
				t.Errorf("account %s has %d messages", run.Account, run.Snapshot.Messages)
			}
			b.do("restore", run.Account, "--to", asAdmin(s, bob))
			servers.Same(t, servers.Dump(t, s, alice), servers.Dump(t, s, bob))
			b.write("password", servers.Password)
			if code, _, errOut := b.exec("backup", asAdmin(s, alice)); code == exitDone || !strings.Contains(errOut, "log") {
				t.Errorf("with a user's password the admin got in: %d, %s", code, errOut)
			}
		})
	}
}

// Folders of others that alice may read are backed up below their namespace.
func TestCyrusSharedFolders(t *testing.T) {
	t.Parallel()
	s := servers.Cyrus(t)
	alice, bob := servers.NewUser(t), servers.NewUser(t)
	servers.Load(t, s, bob, "Team", letter("for all", "x"))
	servers.Load(t, s, bob, "Private", letter("for bob", "x"))
	servers.Login(t, s, bob).Do("SETACL Team " + alice + " lrs")
	admin := servers.Login(t, s, servers.CyrusAdmin)
	shared := "sales" + strings.ToLower(alice)
	admin.Do("CREATE " + rawimap.Quote("Shared Folders/"+shared))
	admin.Do("SETACL " + rawimap.Quote("Shared Folders/"+shared) + " " + alice + " lrs")
	admin.Do("SETACL " + rawimap.Quote("Shared Folders/"+shared) + " cyrus lrswipkxtecda")
	admin.Append("Shared Folders/"+shared, letter("for sales", "x"))
	servers.Load(t, s, alice, "INBOX", letter("own", "x"))
	b := newBench(t, "")
	run := b.backup(accountURL(s, alice))
	out := b.do("ls", run.Account)
	for _, want := range []string{"Other Users/" + bob + "/Team", "Shared Folders/" + shared} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing:\n%s", want, out)
		}
	}
	if strings.Contains(out, "Private") || run.Snapshot.Messages != 3 {
		t.Errorf("%d messages:\n%s", run.Snapshot.Messages, out)
	}
}

// Messages that Cyrus refuses are named, and the others are restored.
func TestWhatCyrusRefusesIsReported(t *testing.T) {
	t.Parallel()
	from, to := servers.IMAP(t), servers.Cyrus(t)
	alice, bob := servers.NewUser(t), servers.NewUser(t)
	noHeader := letter("", "")
	noHeader.Octets = []byte("no header at all")
	servers.Load(t, from, alice, "INBOX", letter("good", "x"), noHeader, letter("also good", "y"))
	b := newBench(t, "")
	account := b.backup(accountURL(from, alice)).Account
	code, out, errOut := b.exec("restore", account, "--to", accountURL(to, bob))
	if code != exitIncomplete || !strings.Contains(out+errOut, "INBOX#2") || !strings.Contains(out+errOut, "invalid header") {
		t.Errorf("exit code %d\n%s%s", code, out, errOut)
	}
	if f := servers.Dump(t, to, bob).Folder("INBOX"); len(f.Messages) != 2 {
		t.Errorf("the folder has %d messages", len(f.Messages))
	}
}
