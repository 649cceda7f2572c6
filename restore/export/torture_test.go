package export

import (
	"context"
	"crypto/sha256"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
	"restante/backup/imapsource"
	"restante/backup/pop3source"
	"restante/cmd/testbed/memory"
	"restante/storage"
	"restante/storage/mailfiles"
)

// No message, however it is made, is changed on its way from a server into the
// archive and out into a Maildir, takes much memory, or makes a list of messages
// or a file name unfit to be shown.

// A post is a way by which messages come from a server.
type post struct {
	name string
	// open returns a source of an account that has the messages.
	open func(t *testing.T, list []string) backup.Source
	// arrives is what such a server gives for a message.
	arrives func(octets string) string
}

var posts = []post{
	{"IMAP", func(t *testing.T, list []string) backup.Source {
		account := imaptest.NewAccount("CONDSTORE ESEARCH LIST-STATUS")
		for _, octets := range list {
			account.Add("INBOX", octets, "")
		}
		server := imaptest.Start(t, account.Script())
		return imapsource.New(imapsource.Options{Parallel: 2, TempDir: t.TempDir(), Dial: func(ctx context.Context, odd func(imapconn.Oddity)) (*imapconn.Conn, error) {
			return imapconn.Dial(ctx, imapconn.Options{Address: server.Addr, Security: imapconn.Insecure, User: "alice", Password: "secret", Odd: odd})
		}})
	}, func(octets string) string { return octets }},
	{"POP3", func(t *testing.T, list []string) backup.Source {
		d := new(pop3test.Maildrop)
		d.Add(list...)
		return pop3source.New(pop3source.Options{TempDir: t.TempDir(), Dial: func(ctx context.Context, oneByOne bool) (*pop3conn.Conn, error) {
			return pop3conn.Dial(ctx, pop3conn.Options{
				Address: "maildrop:110", Security: pop3conn.Insecure, User: "alice", Password: "secret", OneByOne: oneByOne,
				Dial: func(context.Context, string, string) (net.Conn, error) { return d.Pipe(nil), nil },
			})
		}})
	}, func(octets string) string { // RFC 1939 has no message without a line end at its end
		if octets != "" && !strings.HasSuffix(octets, "\r\n") {
			octets += "\r\n"
		}
		return octets
	}},
}

// mostMemory is how many octets of memory a message may take on its way.
const mostMemory = 128 << 20

// TestTorture is not parallel: what other tests use would count.
func TestTorture(t *testing.T) {
	var names, list []string
	for _, m := range tortures() {
		names, list = append(names, m.name), append(list, m.octets)
	}
	if len(list) < 40 {
		t.Errorf("%d messages, want 40", len(list))
	}
	for _, p := range posts {
		t.Run(p.name, func(t *testing.T) { p.deliver(t, names, list) })
	}
}

// Sets of the corpus whose mail was made, or kept, because programs break on it.
var tortureSets = strings.Fields("cpython enmime flanker gluon gmime james-project kmime mail-auth mail-parser mailcore2 mime-tools mime4j mimekit " +
	"nodemailer-mailparser notmuch nylas php-mime-mail-parser public-inbox ruby-mail sisimai spamassassin-tests spamscope-mail-parser thunderbird tika zb-mail-mime-parser")

func TestTortureOfTheCorpus(t *testing.T) {
	for _, set := range tortureSets {
		t.Run(set, func(t *testing.T) {
			dir := corpus(t, set)
			var names, list []string
			for _, name := range files(t, dir) {
				names, list = append(names, name), append(list, read(t, filepath.Join(dir, name)))
			}
			for _, p := range posts {
				t.Run(p.name, func(t *testing.T) { p.deliver(t, names, list) })
			}
		})
	}
}

// deliver backs messages up and exports them.
func (p *post) deliver(t *testing.T, names, list []string) {
	repo := newRepository(t)
	src := p.open(t, list)
	defer src.Close()
	runtime.GC() // of what came before
	defer memory.Limit(t, "it", mostMemory)()
	vault, err := repo.VaultID(storage.DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	result, err := backup.Run(t.Context(), repo, src, backup.Options{Account: "alice", Vault: vault, Pause: pause})
	if err != nil {
		t.Fatal(err)
	}
	if result.Snapshot.Marks.Has(storage.Incomplete) || len(result.Missing) > 0 {
		t.Errorf("missing %v, notes %q", result.Missing, result.Snapshot.Notes)
	}
	tree := openTree(t, repo, result.Snapshot)
	p.wantListed(t, tree, len(list))

	to := t.TempDir()
	restoreTo(t, repo, tree, "maildir", to)
	left := map[[32]byte][]string{} // the names of messages that have not been seen, by their octets
	for i, octets := range list {
		sum := sha256.Sum256([]byte(p.arrives(octets)))
		left[sum] = append(left[sum], names[i])
	}
	for _, name := range files(t, to) {
		if sub := filepath.Base(filepath.Dir(name)); sub != "cur" && sub != "new" {
			continue
		}
		octets := read(t, filepath.Join(to, name))
		sum := sha256.Sum256([]byte(octets))
		if len(left[sum]) == 0 {
			t.Errorf("nobody sent %d octets %.100q", len(octets), octets)
			continue
		}
		left[sum] = left[sum][1:]
	}
	for _, rest := range left {
		for _, name := range rest {
			t.Errorf("%s: it did not come back as it was", name)
		}
	}
}

// wantListed fails the test unless all that a list of messages shows can be
// shown, and a file called after.
func (p *post) wantListed(t *testing.T, tree *storage.Tree, n int) {
	dir := t.TempDir()
	count := 0
	for _, f := range tree.Folders {
		for m, err := range f.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			count++
			for _, text := range []string{m.From, m.To, m.Subject} {
				if !utf8.ValidString(text) || strings.ContainsFunc(text, unfit) || len(text) > 1000 {
					t.Errorf("a list shows %d octets %.300q", len(text), text)
				}
			}
			name := mailfiles.SafeName(count, m.Subject)
			if !utf8.ValidString(name) || strings.ContainsFunc(name, unfit) || strings.ContainsAny(name, `/\:*?"<>|`) || len(name) > 100 {
				t.Errorf("a file is called %q", name)
			}
			file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				t.Errorf("UID %d: %v", m.UID, err)
				continue
			}
			file.Close()
		}
	}
	if count != n {
		t.Errorf("%d messages are listed, want %d", count, n)
	}
}

// unfit says whether a character does more than be seen.
func unfit(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp) || unicode.Is(unicode.Bidi_Control, r) && r > '\u200f'
}
