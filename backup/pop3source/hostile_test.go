package pop3source

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup"
	"restante/backup/accounts/peer"
	"restante/backup/accounts/pop3conn"
	"restante/backup/accounts/pop3conn/pop3test"
	"restante/cmd/testbed/memory"
	"restante/storage"
	"restante/storage/objects"
)

// No server, however hostile, makes a backup lose, invent, leak, delete wrongly
// or choke. Each script below is played on the first night of an account and on
// a later one, whole: connect, back up, delete as a policy says; the night
// after, the server is honest again. play says what must hold of all of them.

// An outcome is what must come of a script.
type outcome int

const (
	// right: the snapshot has exactly what an honest server has.
	right outcome = iota + 1
	// incomplete: it has some of that, nothing else, and says so.
	incomplete
	// refused: there is no snapshot, and an error says why.
	refused
	// believed: the server's word cannot be checked. The snapshot has what the
	// server sent, which the script tells.
	believed
)

func (o outcome) String() string {
	return []string{"?", "right", "incomplete", "refused", "believed"}[o]
}

// A hostile is a script.
type hostile struct {
	name string // what the server does, and when
	// setup makes an honest server the hostile one.
	setup func(s *stage)
	// want is what must come of it, and first is that on the first night where
	// that is something else. 0: whatever it is, what it says of itself is true.
	want, first outcome
	is          error                                    // of the error of refused
	says        string                                   // in the error, a note or a reason; on any night but a right one
	hint        string                                   // likewise, of the error
	sent        []string                                 // octets that the server gives for messages, if believed
	later       bool                                     // it is played on a later night only
	gone        bool                                     // the server says with one voice that known messages are gone
	keeps       bool                                     // no DELE is sent on the hostile night
	removed     func(t *testing.T, r *Report, err error) // checks the removal
}

// A stage is where a script is played.
type stage struct {
	*pop3test.Maildrop
	t *testing.T
	// options are how the client connects; what a script does not change is an
	// insecure connection with a password.
	options pop3conn.Options
	// raw, if there is one, is the server in place of the maildrop.
	raw func(c net.Conn)
	// wrap is put under what the maildrop's server writes, TLS included.
	wrap func(c net.Conn) net.Conn
	// removing says that the backup is over, and what is deleted is found out.
	removing atomic.Bool
	// over ends what a server waits for that is never to come.
	over chan struct{}
}

// on has a handler answer a command.
func (s *stage) on(verb string, handle func(c *pop3test.Conn, command string)) {
	if s.Handle == nil {
		s.Handle = map[string]func(*pop3test.Conn, string){}
	}
	s.Handle[verb] = handle
}

// say has a text answer a command.
func (s *stage) say(verb, text string) {
	s.on(verb, func(c *pop3test.Conn, _ string) { c.Say("%s", text) })
}

// password is nothing that a server or a message says by chance.
const password = "Xyzzy7-open.plugh"

// truth is the mail of the maildrop, and late what comes after the first night.
var truth = []string{
	"From: ann@example.org\r\nSubject: 0\r\n\r\nnothing to report\r\n",
	"From: ann@example.org\r\nSubject: 1\r\n\r\nnothing to report\r\n",
	"From: ann@example.org\r\nSubject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\nend\r\n",
	"From: ann@example.org\r\nSubject: octets\r\n\r\n\x00\xff bare\nLF and\rCR \x1b[31m\r\n",
	"From: ann@example.org\r\nSubject: long\r\n\r\n" + strings.Repeat("line without an end ", 600) + "\r\n",
}

const late = "From: bob@example.org\r\nSubject: 5\r\n\r\nnothing to report\r\n"

// heapLimit is how many octets of memory a server may make a backup use.
const heapLimit = 128 << 20

// TestHostileServers plays all scripts. It is not parallel: what other tests
// use would count.
func TestHostileServers(t *testing.T) {
	// What is made once and kept for ever belongs to no bubble.
	run(t, newRepository(t), drop(truth...))
	var begun, backedUp image // a repository, and one with the first night's snapshot
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		begun = imageOf(t, p)
		run(t, p.repo, drop(truth...))
		backedUp = imageOf(t, p)
	})
	families := map[string][]hostile{
		"greeting": hostileGreetings(), "encryption": hostileEncryption(), "login": hostileLogins(), "list": hostileLists(),
		"retrieve": hostileBodies(), "remove": hostileRemovals(), "every command": hostileEverywhere(),
	}
	temp := t.TempDir()
	names := map[string]bool{}
	for _, scripts := range families {
		for _, h := range scripts {
			if names[h.name] {
				t.Errorf("two scripts are called %q", h.name)
			}
			names[h.name] = true
		}
	}
	written := len(names) - len(families["every command"])
	t.Logf("%d scripts, %d of them written by hand", len(names), written)
	if len(names) < 80 || written < 50 {
		t.Errorf("%d scripts, %d of them written by hand: want 80 and 50", len(names), written)
	}
	for family, scripts := range families {
		t.Run(family, func(t *testing.T) {
			for _, h := range scripts {
				t.Run(h.name, func(t *testing.T) {
					if !h.later {
						h.play(t, temp, begun, "the first night")
					}
					h.play(t, temp, backedUp, "a later night")
				})
			}
		})
	}
}

// play plays a script in a bubble: time costs nothing there, and all that was
// started has to end.
func (h *hostile) play(t *testing.T, temp string, found image, night string) {
	defer memory.Limit(t, night, heapLimit)()
	defer func() { // and not behind it: a bubble in which something fails ends the test
		if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
			t.Errorf("%s: left behind: %q", night, left)
		}
		if n := openSpools(); n > 0 {
			t.Errorf("%s: %d spool files are still open", night, n)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24 * time.Hour)
		began := time.Now()
		t.Cleanup(func() {
			if took := time.Since(began); took > 12*time.Hour {
				t.Errorf("%s: it took %v", night, took)
			}
		})
		h.night(t, found.place(t), night, temp)
	})
}

// An image is what is in a store.
type image map[string][]byte

func imageOf(t *testing.T, p *place) image {
	i := image{}
	for info, err := range p.store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if i[info.Name], err = p.store.Get(t.Context(), info.Name, 0, -1); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// place is a store with that in it, opened.
func (i image) place(t *testing.T) *place {
	p := &place{store: objects.NewMemory()}
	for name, b := range i {
		if err := p.store.Put(t.Context(), name, b); err != nil {
			t.Fatal(err)
		}
	}
	p.repo = p.bare(t)
	return p
}

// bare opens the repository as proof does, with no cache that could be written
// to: hundreds of them take their time.
func (p *place) bare(t *testing.T) *storage.Repository {
	t.Helper()
	r, err := storage.Open(t.Context(), p.store, unlock, storage.Options{CacheDir: filepath.Join(os.DevNull, "none")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// night plays a script for one night, and an honest one after it.
func (h *hostile) night(t *testing.T, p *place, night, temp string) {
	d := drop(truth...)
	var before []string
	_, later := p.repo.Latest("alice/laptop")
	if later {
		before = truth
		d.Add(late)
	}
	s := &stage{Maildrop: d, t: t, over: make(chan struct{}), options: pop3conn.Options{
		Address: "maildrop.example:110", Security: pop3conn.Insecure, User: "alice", Password: password,
	}}
	h.setup(s)
	v := &visit{stage: s, log: new(syncBuffer)}
	v.observe()
	honest := left(d)

	log := slog.New(slog.NewTextHandler(v.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	src := New(Options{Dial: v.dial, TempDir: temp, Log: log})
	o := options(t, p.repo)
	o.Log, o.Pause = log, nil
	result, err := backup.Run(t.Context(), p.repo, src, o)
	src.Close()
	want := h.want
	if !later && h.first != 0 {
		want = h.first
	}
	said := v.texts(result, err)
	if got := outcomeOf(result, err); want == 0 {
		want = got
	} else if got != want && !(want == believed && got == right) {
		t.Errorf("%s: it is %v, want %v: %q", night, got, want, said)
	}
	if want != right && !strings.Contains(strings.Join(said, "\n"), h.says) {
		t.Errorf("%s: nothing says %q: %q", night, h.says, said)
	}
	if want == refused && h.is != nil && !errors.Is(err, h.is) {
		t.Errorf("%s: the error is no %q: %v", night, h.is, err)
	}
	if h.hint != "" && want == refused && !strings.Contains(peer.Hint(err), h.hint) {
		t.Errorf("%s: the hint is %q, want %q", night, peer.Hint(err), h.hint)
	}
	proof := p.bare(t) // what anybody finds who has nothing but the store
	h.judge(t, proof, result, before, honest, want, night)

	policy, _ := ParsePolicy("delete-after-backup")
	s.removing.Store(true)
	src = New(Options{Dial: v.dial, TempDir: temp, Log: log})
	report, removeErr := src.Remove(t.Context(), Removal{Account: "alice/laptop", Policy: policy, Repo: p.repo, Proof: proof, Now: time.Now()})
	src.Close()
	close(s.over)
	if report != nil {
		for _, verdict := range slices.Concat(report.Kept, report.Unknown, report.Deleted) {
			said = append(said, verdict.Reason)
		}
	}
	if removeErr != nil {
		said = append(said, removeErr.Error())
		v.wantServer(t, removeErr, night)
	}
	if want != believed { // else nobody knows what the server has
		v.wantDeletions(t, proof, h.keeps, night)
	}
	if later && h.removed != nil {
		h.removed(t, report, removeErr)
	}
	v.wantDiscreet(t, said, night)

	// The server is honest again. What it still has is there at once.
	synctest.Wait()
	after := new(pop3test.Maildrop)
	for _, m := range d.Messages {
		after.Messages = append(after.Messages, &pop3test.Message{UIDL: m.UIDL, Octets: m.Octets})
	}
	if last := run(t, p.repo, after); want != believed {
		wantHeld(t, p.repo, last, after)
	}
	if want != believed {
		wantAll(t, p.repo, left(after))
	}
	wantAll(t, p.repo, before)
}

// judge looks at the snapshot.
func (h *hostile) judge(t *testing.T, proof *storage.Repository, result *backup.Result, before, honest []string, want outcome, night string) {
	if s, ok := proof.Latest("alice/laptop"); ok != (len(before) > 0 || want != refused) && want != refused {
		t.Errorf("%s: the latest snapshot is %+v", night, s)
	}
	wantAll(t, proof, before)
	if result == nil {
		return
	}
	var got []string
	for _, m := range messagesOf(t, proof, result.Snapshot) {
		got = append(got, m.octets)
	}
	slices.Sort(got)
	allowed := slices.Clone(honest)
	slices.Sort(allowed)
	if want == right && !slices.Equal(got, allowed) {
		t.Errorf("%s: the snapshot holds %d messages %.300q\nwant %d %.300q", night, len(got), got, len(allowed), allowed)
	}
	allowed = slices.Concat(allowed, h.sent)
	for _, octets := range got {
		i := slices.Index(allowed, octets)
		if i < 0 {
			t.Errorf("%s: invented, or twice: %.300q", night, octets)
			continue
		}
		if want != believed {
			allowed = slices.Delete(allowed, i, i+1)
		}
	}
	for _, octets := range before {
		if !h.gone && !slices.Contains(got, octets) {
			t.Errorf("%s: it was archived, and is not in the snapshot any more: %.300q", night, octets)
		}
	}
}

// outcomeOf says what a run came to.
func outcomeOf(r *backup.Result, err error) outcome {
	switch {
	case err != nil:
		return refused
	case r.Snapshot.Marks.Has(storage.Incomplete), len(r.Missing) > 0:
		return incomplete
	}
	return right
}

// wantAll fails the test unless the account's snapshots have all of these
// messages.
func wantAll(t *testing.T, repo *storage.Repository, want []string) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	all := map[string]bool{}
	for _, s := range repo.Snapshots("alice/laptop") {
		for _, m := range messagesOf(t, repo, s) {
			all[m.octets] = true
		}
	}
	for _, octets := range want {
		if !all[octets] {
			t.Errorf("lost: %.300q", octets)
		}
	}
}
