package imapsource

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
	"restante/cmd/testbed/memory"
	"restante/storage"
	"restante/storage/objects"
)

// A message may be larger than the memory there is.

// A streamed message is made while it is sent: lines of base64, or of text,
// which are not all alike.
type streamed struct {
	octets int64
	base64 bool
}

const (
	streamedText   = "From: ann@example.org\r\nSubject: large\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
	streamedBase64 = "From: ann@example.org\r\nSubject: large\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)

// write writes the message and calls between every few MiB.
func (s streamed) write(w io.Writer, between func()) {
	header := streamedText
	if s.base64 {
		header = streamedBase64
	}
	left := s.octets
	send := func(b []byte) bool {
		n, err := w.Write(b[:min(int64(len(b)), left)])
		left -= int64(n)
		return err == nil && left > 0
	}
	random := rand.New(rand.NewPCG(1, 2))
	raw, lines := make([]byte, 57*1024), make([]byte, 0, 78*1024)
	for n, ok := 0, send([]byte(header)); ok; n++ {
		for i := range raw {
			raw[i] = byte(random.Uint32() & 0x11) // compresses, and is never the same
		}
		lines = lines[:0]
		for i := 0; i < len(raw); i += 57 {
			lines = append(base64.StdEncoding.AppendEncode(lines, raw[i:i+57]), "\r\n"...)
		}
		if ok = send(lines); n%100 == 0 {
			between()
		}
	}
}

// A watch keeps the most memory in use that it has seen. It looks when it is
// told to, and counts what is reachable, so that nothing depends on when the
// collector runs.
type watch struct {
	objects.Store
	mu     sync.Mutex // guards what follows
	before uint64
	most   uint64
	looks  int
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.most = max(w.most, memory.Reachable())
	w.looks++
}

func (w *watch) Put(ctx context.Context, name string, data []byte) error {
	w.look()
	return w.Store.Put(ctx, name, data)
}

// large backs up one large message and returns the octets of memory that it
// took at most.
func large(t testing.TB, message streamed) int64 {
	dir, err := objects.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{Store: dir}
	repo, err := storage.Init(t.Context(), w, storage.Lock{Passphrase: "x", WorkFactor: 1}, storage.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	c := &chain{t: t, account: imaptest.NewAccount(everything), repo: repo, temp: t.TempDir()}
	m := c.account.Add("INBOX", "", ``)
	script := c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			if !wantsBody(cmd, 1) {
				own(conn, cmd)
				return
			}
			conn.Say("* 1 FETCH (UID 1 FLAGS (\\Seen) INTERNALDATE %s RFC822.SIZE %d BODY[] {%d}\r\n", m.Date, message.octets, message.octets)
			message.write(conn, w.look)
			conn.Say(")\r\n")
			conn.OK(cmd)
		}
	})
	w.look()
	w.before, w.most, w.looks = w.most, 0, 0
	result := c.must(script)
	if result.Snapshot.Bytes != message.octets || result.Snapshot.Marks != 0 {
		t.Fatalf("%d octets, marked %v, %v", result.Snapshot.Bytes, result.Snapshot.Marks, result.Missing)
	}
	if least := int(message.octets / (16 << 20)); w.looks < least {
		t.Fatalf("the memory was looked at %d times only", w.looks)
	}
	for m, err := range c.tree(result.Snapshot)["INBOX"].All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		compared := &against{}
		done := make(chan struct{})
		r, pipe := io.Pipe()
		compared.r = r
		go func() {
			defer close(done)
			message.write(pipe, w.look)
			pipe.Close()
		}()
		if err := repo.WriteMessage(t.Context(), compared, result.Snapshot.Vault, m.Recipe); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); n != 0 || err != nil {
			t.Errorf("%d octets are missing, %v", n, err)
		}
		<-done
	}
	return int64(w.most) - int64(w.before)
}

// against is a writer that compares what is written with a reader.
type against struct {
	r   io.Reader
	buf []byte
}

func (a *against) Write(p []byte) (int, error) {
	if a.buf = append(a.buf[:0], p...); len(p) == 0 {
		return 0, nil
	}
	if _, err := io.ReadFull(a.r, a.buf); err != nil || string(a.buf) != string(p) {
		return 0, fmt.Errorf("it comes back otherwise, %v", err)
	}
	return len(p), nil
}

var shapes = map[string]streamed{"text": {}, "base64": {base64: true}}

// It is not parallel: what other tests use would count.
func TestLargeMessageDoesNotSitInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 320 MiB are read")
	}
	const limit = 128 << 20
	for name, message := range shapes {
		message.octets = 160<<20 + 7
		if took := large(t, message); took > limit {
			t.Errorf("%s: a message of %d MiB took %d MiB of memory", name, message.octets>>20, took>>20)
		} else {
			t.Logf("%s: a message of %d MiB took %d MiB of memory", name, message.octets>>20, took>>20)
		}
	}
}

// BenchmarkLargeMessage reports the memory that a message of 1 GiB takes.
func BenchmarkLargeMessage(b *testing.B) {
	for name, message := range shapes {
		b.Run(name, func(b *testing.B) {
			message.octets = 1 << 30
			b.SetBytes(message.octets)
			took := int64(0)
			for b.Loop() {
				took = max(took, large(b, message))
			}
			b.ReportMetric(float64(took)/(1<<20), "MiB-in-use")
		})
	}
}

// The literal's announced size alone costs nothing.
func TestAnnouncedSizeCostsNothing(t *testing.T) {
	c := newChain(t, everything)
	c.fill()
	w := new(watch)
	w.look()
	w.before, w.most = w.most, 0
	c.incomplete("first", c.with("UID FETCH", func(own imaptest.Handler) imaptest.Handler {
		return func(conn *imaptest.Conn, cmd imaptest.Command) {
			if !wantsBody(cmd, 5) {
				own(conn, cmd)
				return
			}
			conn.Say("* 5 FETCH (UID 5 FLAGS () BODY[] {4000000000}\r\nFrom: x\r\n")
			w.look()
			conn.Close()
		}
	}), "INBOX/1000/5: ")
	w.look()
	if took := int64(w.most) - int64(w.before); took > 256<<20 {
		t.Errorf("a message that is said to have 4 GB took %d MiB", took>>20)
	}
}
