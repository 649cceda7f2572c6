package imaptarget

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
	"restante/backup/accounts/peer"
	"restante/cmd/testbed/memory"
	"restante/restore"
	"restante/storage"
	"restante/storage/objects"
)

// Servers that mean harm to who puts mail back, or are broken beyond all that is
// known of real ones. None of them has a message said to be restored that it did
// not take, none leads to anything being deleted, and when they are well again a
// restore ends with every message there, once: [TestHostileServers] plays each.

// A hostile is such a server, and what must come of it.
type hostile struct {
	name   string // what the server does
	caps   string // besides IMAP4rev1; empty: full
	conn   func(*imapconn.Options)
	server rogue.Change
	// raw speaks in its place, from the first octet on.
	raw func(net.Conn)
	// times is how many connections it is hostile on before it comes to its
	// senses; 0: all.
	times int
	want  outcome
	long  bool // it is played where there is time
}

// An outcome is how a restore ends.
type outcome struct {
	how  string   // "complete", "incomplete", "refused"
	says []string // in the error, or the reasons why something was refused
	is   error
	hint string
	// lies: the server says that it has taken what it has not.
	lies bool
	// spoils: it keeps other flags, dates or octets than it was given, or keeps
	// messages twice: in the end each is there at least.
	spoils bool
	noted  string // in the notes of the report
}

// complete is a restore that has put everything back.
func complete() outcome { return outcome{how: "complete"} }

// incomplete is one that says what it could not.
func incomplete(says ...string) outcome { return outcome{how: "incomplete", says: says} }

// failed is one that ends with an error.
func failed(is error, says ...string) outcome { return outcome{how: "refused", is: is, says: says} }

func (o outcome) lying() outcome    { o.lies = true; return o }
func (o outcome) spoiling() outcome { o.spoils = true; return o }

const (
	// mostMemory is what a server may make a restore use.
	mostMemory = 128 << 20
	// longest is how long a server may hold a restore up, by the clock of its
	// bubble.
	longest = 24 * time.Hour
	// mostLogged is how many octets a server may have logged.
	mostLogged = 1 << 20
	// noCache is where nothing can be kept: a directory below what is none.
	noCache = os.DevNull + "/cache"
	// leastHostiles is how many there are at least. It only grows.
	leastHostiles = 656
)

// long says that there is time.
var long = os.Getenv("RESTANTE_LONG") != ""

// hostiles are all of them.
func hostiles() []hostile {
	return slices.Concat(hostileBeginnings(), hostileAppends(), hostileLooks(), hostileFolders(), hostileSteps())
}

// It is not parallel: what other tests use would count as memory.
func TestHostileServers(t *testing.T) {
	// What is made once in a process must not be made in a bubble.
	rogue.Certificate(t)
	archive(t, newRepository(t), mail()...)
	names, played := map[string]bool{}, 0
	for _, h := range hostiles() {
		if names[h.name] {
			t.Errorf("there are two called %q", h.name)
		}
		names[h.name] = true
		if h.long && !long {
			continue
		}
		played++
		t.Run(h.name, func(t *testing.T) {
			temp := t.TempDir()
			defer memory.Limit(t, "it", mostMemory)()
			synctest.Test(t, func(t *testing.T) { h.play(t, temp) })
		})
	}
	t.Logf("%d hostile servers, %d of them played", len(names), played)
	if n := len(names); n < leastHostiles {
		t.Errorf("there are %d hostile servers, fewer than %d", n, leastHostiles)
	}
}

// mail is what is in the archive. Of the first folder, the first two are on the
// server already; some have no Message-ID, two are equal, and one is too large
// for a literal that does not wait with LITERAL-.
func mail() []folder {
	letters := someLetters("x", 20)
	large := letter{"Message-ID: <large@x>\r\n\r\n" + strings.Repeat("a line of the large one\r\n", 400), nil, noon}
	bare := letter{"Subject: bare\r\n\r\nno name\r\n", []string{`\Seen`}, noon}
	other := letter{"Subject: bare\r\n\r\nno  way\r\n", []string{"$Forwarded"}, noon}
	return []folder{
		named("INBOX", append(letters[:6:6], letters[9], large, letters[2])...),
		{levels: []string{"a"}, subscribed: true, use: []string{`\Sent`}, letters: []letter{letters[10], bare, other, letters[11]}},
		{levels: []string{"b", "c"}, letters: letters[12:15]},
		named("empty"),
	}
}

// foreign is a message on the server that the archive knows nothing of.
var foreign = letter{"Message-ID: <foreign@y>\r\n\r\nnot ours\r\n", []string{`\Flagged`}, noon}

// A stage is where a server is played.
type stage struct {
	*desk
	rogue.Stage
	h    *hostile
	temp string
}

// dial connects.
func (s *stage) dial(ctx context.Context) (*imapconn.Conn, error) {
	return s.Dial(ctx, imapconn.Options{TempDir: s.temp})
}

// run restores everything, as it is in production.
func (s *stage) run(journal bool) (*restore.Report, error) {
	s.t.Helper()
	target := New(Options{Location: "imap://alice@" + rogue.Host, Dial: s.dial, Log: s.Log()})
	defer target.Close()
	o := restore.Options{Log: s.Log()}
	if journal {
		o.JournalDir = s.temp
	}
	return restore.Run(s.t.Context(), s.repo, s.groups(), oneConnection{target}, o)
}

// play plays the server to a restore, and sees what comes of it.
func (h *hostile) play(t *testing.T, temp string) {
	repo, err := storage.Init(t.Context(), objects.NewMemory(), storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: noCache})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	folders := mail()
	account := imaptest.NewAccount(cmp.Or(h.caps, full))
	s := &stage{
		desk:  &desk{t: t, repo: repo, tree: archive(t, repo, folders...), account: account},
		Stage: rogue.Stage{T: t, Script: func(bool) imaptest.Script { return account.Script() }, Server: h.server, Conn: h.conn, Raw: h.raw, Times: h.times},
		h:     h, temp: temp,
	}
	s.TLS, s.Trusted = rogue.Certificate(t)
	for _, l := range append(slices.Clone(folders[0].letters[:2]), foreign) {
		m := s.account.Add("INBOX", l.octets, strings.Join(l.flags, " "))
		m.Date = `"` + l.at.Format("_2-Jan-2006 15:04:05 -0700") + `"`
	}

	start, before := time.Now(), s.bodies()
	report, err := s.run(true)
	if took := time.Since(start); took > longest {
		t.Errorf("it held the restore up for %v", took)
	}
	said := s.judge(report, err, len(before))
	s.kept(before)

	// The next server is well, and has every message in the end, once.
	s.Heal()
	for i := range 4 {
		report, err := s.run(i < 2) // and what is there does not hang on notes
		if err != nil || !report.Complete() {
			t.Fatalf("the next restore: %v, %v", err, reasons(report))
		}
		if sum := report.Totals(); i > 0 && sum.Appended != 0 && (!h.want.spoils || i == 3) {
			t.Errorf("restore %d behind it appended %d messages", i+1, sum.Appended)
		}
	}
	s.kept(before)
	s.there(folders)
	s.Discreet("the report", said)
	if n := len(s.Logged.String()); n > mostLogged {
		t.Errorf("%d octets were logged", n)
	}
	if stacks := rogue.Left(longest); len(stacks) > 0 {
		t.Errorf("%d goroutines are left:\n%s", len(stacks), strings.Join(stacks, "\n\n"))
	}
}

// judge compares what came of a restore with what must, and returns what it said.
func (s *stage) judge(report *restore.Report, err error, before int) (said string) {
	t, want := s.t, s.h.want
	t.Helper()
	how := "complete"
	switch {
	case err != nil:
		how, said = "refused", err.Error()
	case !report.Complete():
		how, said = "incomplete", reasons(report)
	}
	if want.how != "" && how != want.how {
		t.Errorf("the restore is %s, not %s; it says %.2000q", how, want.how, said)
	}
	for _, text := range want.says {
		if !strings.Contains(said, text) {
			t.Errorf("it says %.2000q, not %q", said, text)
		}
	}
	if how == "refused" && !strings.Contains(said, rogue.Host) {
		t.Errorf("it does not name the server: %.2000q", said)
	}
	if want.is != nil && !errors.Is(err, want.is) {
		t.Errorf("the error is no %q: %v", want.is, err)
	}
	if hint := peer.Hint(err); !strings.Contains(hint, want.hint) || want.hint == "" && hint != "" {
		t.Errorf("the hint is %q, not %q", hint, want.hint)
	}
	if !strings.Contains(notes(report), want.noted) {
		t.Errorf("it notes %.2000q, not %q", notes(report), want.noted)
	}
	sum := report.Totals()
	if came := len(s.bodies()) - before; int(sum.Appended) > came && !want.lies {
		t.Errorf("%d messages are said to be restored, and %d came", sum.Appended, came)
	}
	if missing := int(sum.Selected - sum.Present - sum.Appended); how == "complete" && missing != 0 {
		t.Errorf("it is said to be complete, and %d messages are neither there nor restored", missing)
	}
	return said + "\n" + notes(report)
}

// reasons are those why something was not restored.
func reasons(report *restore.Report) string {
	var b strings.Builder
	for _, f := range report.Folders {
		if f.Failed != "" {
			b.WriteString(f.Place + ": " + f.Failed + "\n")
		}
		for _, r := range f.Refused {
			b.WriteString(r.Reference + ": " + r.Reason + "\n")
		}
	}
	return b.String()
}

// bodies are the octets of all messages on the server, with their folders.
func (s *stage) bodies() (list []string) {
	folders := s.account.Folders()
	s.account.Do(func() {
		for _, f := range folders {
			for _, m := range f.Messages {
				list = append(list, f.Name+" "+m.Body)
			}
		}
	})
	return list
}

// kept sees that nothing is gone from the server, and that nothing was sent that
// could have done it.
func (s *stage) kept(before []string) {
	s.t.Helper()
	now := s.bodies()
	for _, b := range before {
		if !slices.Contains(now, b) {
			s.t.Errorf("the server has no more %.100q", b)
		}
	}
	for _, commands := range s.Commands() {
		if slices.ContainsFunc(commands, func(c imaptest.Command) bool { return c.Name == "NAMESPACE" }) { // and none of them is TLS
			wantHarmless(s.t, commands)
		}
	}
}

// there sees that the server has all there is, each once.
func (s *stage) there(folders []folder) {
	s.t.Helper()
	want := map[string][]letter{}
	for _, f := range folders {
		want[strings.Join(f.levels, "/")] = slices.Clone(f.letters)
	}
	want["INBOX"] = append(want["INBOX"], foreign)
	if !s.h.want.spoils {
		s.want(want)
		return
	}
	now := s.bodies()
	for name, letters := range want {
		for _, l := range letters {
			if !slices.Contains(now, name+" "+l.octets) {
				s.t.Errorf("folder %q has no %.100q", name, l.octets)
			}
		}
	}
}

// hostileBeginnings are those that are hostile up to the end of the login.
func hostileBeginnings() (list []hostile) {
	for _, b := range rogue.Beginnings() {
		h := hostile{name: b.Name, conn: b.Conn, server: b.Server, raw: b.Raw, want: failed(b.Want.Is, b.Want.Says...)}
		if b.Want.Works {
			h.want = complete()
		}
		h.want.hint = b.Want.Hint
		list = append(list, h)
	}
	return list
}
