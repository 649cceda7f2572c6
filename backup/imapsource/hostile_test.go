package imapsource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
	"restante/backup/accounts/peer"
	"restante/storage"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// Servers that mean harm, or are broken beyond all that is known of real ones.
// None of them makes a backup lose, invent, leak or choke: [TestHostileServers]
// plays each against a run as it is in production, from the connection to the
// repository, after a first backup from a server that is well.

// A hostile is such a server, and what must come of it.
type hostile struct {
	name    string // what the server does
	caps    string // besides IMAP4rev1; empty: everything; "none"
	conn    func(*imapconn.Options)
	prepare func(c *chain) // before the first backup
	// server makes of a server that is well the one of the name.
	server func(c *chain, s *imaptest.Script)
	// raw speaks in its place, from the first octet on.
	raw func(conn net.Conn)
	// times is how many connections it is hostile on before it comes to its
	// senses; 0: all.
	times int
	// parallel is how many connections there may be; 0: one.
	parallel int
	want     outcome
}

// hostiles are all of them.
func hostiles() []hostile {
	return slices.Concat(beginnings(), hostileLogins(), hostileLiterals(), hostileFetches(), hostileLines(), hostileNumbers(),
		hostileEpochs(), hostileTags(), hostileFolders(), hostileTimes(), hostileWords(), hostileSteps())
}

// An outcome is how a run ends.
type outcome struct {
	how  string   // "complete", "incomplete", "refused"
	says []string // what its notes, its missing messages or its error tell, among other things
	is   error
	hint string
	// truth changes what the account is taken to hold, where what the server says
	// has to be believed.
	truth func(v view)
	// anomalous: the snapshot is said to be.
	anomalous bool
	// either: what comes of it depends on who is faster, and it may be complete.
	either bool
	// lies: the flags that the server tells are not those of the messages, and
	// nobody can know.
	lies bool
}

// complete is a run that has all, and says so.
func complete(says ...string) outcome { return outcome{how: "complete", says: says} }

// incomplete is a run that lacks something, or may, and says what.
func incomplete(says ...string) outcome { return outcome{how: "incomplete", says: says} }

// refused is a run that ends with an error.
func refused(is error, says ...string) outcome { return outcome{how: "refused", is: is, says: says} }

func (o outcome) hinting(hint string) outcome { o.hint = hint; return o }

func (o outcome) believing(truth func(v view)) outcome { o.truth = truth; return o }

func (o outcome) lying() outcome { o.lies = true; return o }

func (o outcome) noted() outcome { o.anomalous = true; return o }

const (
	// mostMemory is what a server may make a run take, garbage included.
	mostMemory = 128 << 20
	// longest is how long a server may hold a run up, by the clock of its bubble.
	longest = 24 * time.Hour
	host    = rogue.Host
	// noCache is where nothing can be kept: a directory below what is none.
	noCache = os.DevNull + "/cache"
)

// leastHostiles is how many there are at least. It only grows.
const leastHostiles = 200

func TestThereAreHostileServersEnough(t *testing.T) {
	all := hostiles()
	names := map[string]bool{}
	for _, h := range all {
		if names[h.name] {
			t.Errorf("there are two called %q", h.name)
		}
		names[h.name] = true
	}
	if len(all) < leastHostiles {
		t.Errorf("there are %d hostile servers, fewer than %d", len(all), leastHostiles)
	}
	if n := len(all) - len(hostileSteps()); n < 120 {
		t.Errorf("%d of them are written by hand, fewer than 120", n)
	}
}

// It is not parallel: what other tests use would count as memory.
func TestHostileServers(t *testing.T) {
	// What is made once in a process must not be made in a bubble.
	c := newChain(t, everything)
	c.fill()
	c.whole("a server that is well", nil)
	// Memory is what is in use, not what the collector has not come to.
	defer debug.SetGCPercent(debug.SetGCPercent(40))
	runtime.GC()
	idle := heapNow()
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			if heapNow() > idle+16<<20 {
				runtime.GC() // so that what others left counts little
			}
			p := newPeak(idle)
			synctest.Test(t, func(t *testing.T) { h.play(t, p) })
			if took := p.took(); took > mostMemory {
				t.Errorf("it took %d MiB of memory", took>>20)
			}
		})
	}
}

// play plays the server to a run, and sees what comes of it.
func (h *hostile) play(t *testing.T, p *peak) {
	caps := h.caps
	switch caps {
	case "":
		caps = everything
	case "none":
		caps = ""
	}
	repo, err := storage.Init(t.Context(), objects.NewMemory(), storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: noCache})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	c := &chain{t: t, account: imaptest.NewAccount(caps), repo: repo, temp: t.TempDir()}
	c.fill()
	if h.prepare != nil {
		h.prepare(c)
	}
	b := &bench{chain: c, peak: p, logged: new(rogue.Heard), clear: new(rogue.Heard)}
	b.tls, b.trusted = rogue.Certificate(t)

	first, err := b.run(c.honest(b), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	before := c.snapshot(first.Snapshot)
	c.same("before", before, c.view())

	c.account.Add("INBOX", letter(50), `\Seen`) // UID 13
	c.account.Add("INBOX", letter(52), ``)      // UID 14
	c.account.Flag("INBOX", 2, `\Answered`)
	c.account.Add("Sent", letter(51), ``) // UID 8
	c.account.Expunge("Sent", 3)

	start := time.Now()
	result, err := b.run(h.dial(b), h.conn, max(1, h.parallel))
	if took := time.Since(start); took > longest {
		t.Errorf("it held the run up for %v", took)
	}
	b.judge(h.want, first.Snapshot, before, result, err)
	if text := rogue.Unfit(b.logged.String()); text != "" {
		t.Errorf("the log: %s", text)
	}
	if rogue.Exposed(b.clear, h.conn) {
		t.Errorf("the password goes out in clear")
	}

	// The next server is well, and nothing is left of this one.
	result, err = b.run(c.honest(b), nil, 1)
	if err != nil {
		t.Fatalf("the next run: %v", err)
	}
	b.recovered(h.want, c.snapshot(result.Snapshot))
	if result.Snapshot.Marks.Has(ledger.Incomplete) {
		t.Errorf("the next run is marked %v: %v, %v", result.Snapshot.Marks, result.Snapshot.Notes, result.Missing)
	}
	c.same("the first snapshot", c.snapshot(first.Snapshot), before)
	if names, err := os.ReadDir(c.temp); err != nil || len(names) > 0 {
		t.Errorf("in the temporary directory: %v, %v", names, err)
	}
	b.nobodyLeft()
}

// A bench is a chain with all that is watched.
type bench struct {
	*chain
	peak    *peak
	tls     *tls.Config
	trusted *tls.Config
	logged  *rogue.Heard
	clear   *rogue.Heard // what the client says to hostile servers, as it is on the wire
	dialled atomic.Int32
}

// dialing is the Dial of the options of a connection.
type dialing = func(ctx context.Context, network, address string) (net.Conn, error)

// honest connects to the account's own server.
func (c *chain) honest(b *bench) dialing {
	return func(context.Context, string, string) (net.Conn, error) {
		s := c.account.Script()
		s.TLS, s.StartTLS = b.tls, true
		client, server := rogue.NewLine()
		go imaptest.New(s).Serve(server)
		return client, nil
	}
}

// dial connects to the hostile server.
func (h *hostile) dial(b *bench) dialing {
	s := b.account.Script()
	s.TLS, s.StartTLS = b.tls, true
	if h.server != nil {
		h.server(b.chain, &s)
	}
	serve := imaptest.New(s).Serve
	if h.raw != nil {
		serve = func(conn net.Conn) {
			defer conn.Close()
			h.raw(conn)
		}
	}
	own := b.honest(b)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if n := b.dialled.Add(1); h.times > 0 && int(n) > h.times {
			return own(ctx, network, address)
		}
		client, server := rogue.NewLine()
		go serve(server)
		return &tap{Tapped: rogue.Tapped{Conn: client, Said: b.clear}, peak: b.peak}, nil
	}
}

// run runs a backup as it is in production.
func (b *bench) run(dial dialing, change func(*imapconn.Options), parallel int) (*backup.Result, error) {
	b.t.Helper()
	log := slog.New(rogue.PlainLog{To: b.logged})
	src := New(Options{Parallel: parallel, TempDir: b.temp, Log: log, Dial: func(ctx context.Context, odd func(imapconn.Oddity)) (*imapconn.Conn, error) {
		o := imapconn.Options{
			Address: host + ":143", Security: imapconn.StartTLS, TLS: b.trusted, User: "alice", Password: password,
			Odd: odd, Log: log, TempDir: b.temp, Dial: dial, ClientName: "Restante", Compress: true,
		}
		if change != nil {
			change(&o)
		}
		return imapconn.Dial(ctx, o)
	}})
	defer src.Close()
	vault, err := b.repo.VaultID(storage.DefaultVault)
	if err != nil {
		b.t.Fatal(err)
	}
	return backup.Run(b.t.Context(), b.repo, src, backup.Options{Account: b.accountName(), Vault: vault, Log: log})
}

// judge compares what came of a run with what must.
func (b *bench) judge(want outcome, first storage.Snapshot, before view, result *backup.Result, err error) {
	t := b.t
	t.Helper()
	how, said := "complete", ""
	var snapshot storage.Snapshot
	if err != nil {
		how, said = "refused", err.Error()
		snapshot, _ = b.repo.Latest(b.accountName())
		if snapshot.ID != first.ID && !snapshot.Marks.Has(ledger.Partial) {
			t.Errorf("the run ended with an error, and its snapshot is marked %v", snapshot.Marks)
		}
	} else {
		snapshot = result.Snapshot
		said = strings.Join(snapshot.Notes, "\n")
		for _, m := range result.Missing {
			said += fmt.Sprintf("\n%s/%d/%d: %s", m.Folder, m.UIDValidity, m.UID, m.Reason)
		}
		if snapshot.Marks.Has(ledger.Incomplete) {
			how = "incomplete"
		}
		if snapshot.Marks.Has(ledger.Anomalous) != want.anomalous {
			t.Errorf("the snapshot is marked %v", snapshot.Marks)
		}
	}
	if how != want.how && !(want.either && how == "complete") {
		t.Errorf("the run is %s, not %s; it says %q", how, want.how, said)
	}
	for _, text := range want.says {
		if !strings.Contains(said, text) {
			t.Errorf("it says %q, not %q", said, text)
		}
	}
	if text := rogue.Unfit(said); text != "" {
		t.Error(text)
	}
	if want.is != nil && !errors.Is(err, want.is) {
		t.Errorf("the error is no %q: %v", want.is, err)
	}
	if hint := peer.Hint(err); !strings.Contains(hint, want.hint) || want.hint == "" && hint != "" {
		t.Errorf("the hint is %q, not %q", hint, want.hint)
	}
	if how != "complete" && !strings.Contains(said, host) && !strings.Contains(said, `folder "`) && !strings.Contains(said, "list folders") &&
		!strings.Contains(said, "/1000/") && !strings.Contains(said, "/1001/") && !strings.Contains(said, "folders below") && !strings.Contains(said, "no folder") {
		t.Errorf("it names neither server nor folder: %q", said)
	}
	b.faithful(how, want, before, b.snapshot(snapshot))
}

// faithful sees that a snapshot has lost nothing, and has nothing that is not
// the account's, octet for octet.
func (b *bench) faithful(how string, want outcome, before, got view) {
	t := b.t
	t.Helper()
	truth := b.view()
	if want.truth != nil {
		want.truth(truth)
	}
	if want.lies {
		truth, before, got = truth.unflagged(), before.unflagged(), got.unflagged()
	}
	if how == "complete" {
		b.same("it is said to be complete", got, truth)
		return
	}
	for folder, list := range before {
		for place, was := range list {
			now, there := truth[folder][place]
			if has, ok := got[folder][place]; there && place != "" && (!ok || has != now && has != was) {
				t.Errorf("folder %q, %s was %.200s, and is %.200s", folder, place, was, has)
			}
		}
	}
	for folder, list := range got {
		if _, ok := truth[folder]; !ok && before[folder] == nil {
			t.Errorf("there is a folder %q", folder)
		}
		for place, has := range list {
			if place != "" && has != truth[folder][place] && has != before[folder][place] {
				t.Errorf("folder %q, %s is\n\t%.200s, not\n\t%.200s", folder, place, has, truth[folder][place])
			}
		}
	}
}

// recovered sees that the snapshot behind that of a hostile server has what the
// account has. What was told of a message stays, where nothing says that it is
// otherwise now.
func (b *bench) recovered(want outcome, got view) {
	b.t.Helper()
	truth, believed := b.view(), b.view()
	if want.truth != nil {
		want.truth(believed)
	}
	if want.lies {
		truth, believed, got = truth.unflagged(), believed.unflagged(), got.unflagged()
	}
	for folder, list := range truth {
		for place := range list {
			if has, ok := got[folder][place]; ok && has == believed[folder][place] {
				list[place] = has
			}
		}
	}
	b.same("the next run", got, truth)
}

// unflagged is a view without flags.
func (v view) unflagged() view {
	bare := view{}
	for folder, list := range v {
		bare[folder] = map[string]string{}
		for place, has := range list {
			if _, rest, ok := strings.Cut(has, "] "); ok && place != "" {
				has = rest
			}
			bare[folder][place] = has
		}
	}
	return bare
}

// nobodyLeft sees that all goroutines of the bubble but this one have ended.
func (b *bench) nobodyLeft() {
	if stacks := rogue.Left(longest); len(stacks) > 0 {
		b.t.Errorf("%d goroutines are left:\n%s", len(stacks), strings.Join(stacks, "\n\n"))
	}
}
