package messages

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// A huge message is a header and then the same lines of base64 over and over,
// without taking any memory.
type huge struct {
	header string
	body   []byte
	size   int64
}

func newHuge(size int64, end string) *huge {
	return &huge{
		header: "Subject: huge" + end + "Content-Transfer-Encoding: base64" + end + end,
		body:   []byte(lines(encode(random(57*1000)), 76, end) + end),
		size:   size,
	}
}

func (h *huge) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < h.size {
		from := []byte(h.header)
		if off >= int64(len(from)) {
			from = h.body[(off-int64(len(from)))%int64(len(h.body)):]
		} else {
			from = from[off:]
		}
		c := copy(p[n:], from[:min(int64(len(from)), h.size-off)])
		n += c
		off += int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// A peak is the most octets of heap that look saw.
type peak struct {
	start, most uint64
}

func newPeak() *peak {
	runtime.GC()
	p := new(peak)
	p.start = heap()
	return p
}

func (p *peak) look() { p.most = max(p.most, heap()) }

func (p *peak) octets() uint64 { return p.most - min(p.most, p.start) }

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// maxHeap is what a message of any size may take on its way through Split or
// Join.
const maxHeap = 40 << 20

func TestMemoryFor64MiB(t *testing.T) { testHuge(t, 64<<20) }

func TestMemoryFor1GiB(t *testing.T) {
	if os.Getenv("RESTANTE_LONG") == "" {
		t.Skip("RESTANTE_LONG is not set; this takes some 10 seconds and 800 MB of temporary files")
	}
	testHuge(t, 1<<30)
}

func testHuge(t *testing.T, size int64) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	for _, end := range []string{"\n", "\r\n"} {
		m := newHuge(size, end)
		file, err := os.CreateTemp(t.TempDir(), "parts")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var offsets []int64
		at := int64(0)
		p := newPeak()
		r, err := Split(m, size, func(_ Kind, part []byte) (ID, error) {
			p.look()
			if len(part) > 4<<20 {
				t.Errorf("a part of %d octets", len(part))
			}
			_, err := file.WriteAt(part, at)
			offsets = append(offsets, at)
			at += int64(len(part))
			return numbered(len(offsets)), err
		})
		if err != nil || r.Fallback {
			t.Fatal(err, r.Reason)
		}
		p.look()
		if r.Decoded < int(size/(6<<20)) {
			t.Errorf("only %d parts decoded", r.Decoded)
		}
		t.Logf("Split: %d MiB, %d parts, %.1f MiB of heap", size>>20, r.Parts, float64(p.octets())/(1<<20))
		if p.octets() > maxHeap {
			t.Errorf("Split takes %d octets of heap", p.octets())
		}

		n := 0
		var part []byte
		p = newPeak()
		same := &original{m: m, size: size}
		err = Join(same, r.Recipe, func(id ID) ([]byte, error) {
			p.look()
			if n++; id != numbered(n) {
				return nil, fmt.Errorf("part %x out of order", id)
			}
			end := at
			if n < len(offsets) {
				end = offsets[n]
			}
			part = append(part[:0], make([]byte, end-offsets[n-1])...)
			_, err := file.ReadAt(part, offsets[n-1])
			return part, err
		})
		if err != nil || same.next != size || same.pos != len(same.buf) {
			t.Fatalf("Join: %v after %d octets", err, same.next)
		}
		t.Logf("Join: %.1f MiB of heap", float64(p.octets())/(1<<20))
		if p.octets() > maxHeap {
			t.Errorf("Join takes %d octets of heap", p.octets())
		}
	}
}

// footprint is how many octets a cutter has taken for one message.
func (c *cutter) footprint() int {
	s := &c.scanner
	return cap(c.window.buf) + cap(c.proof.joiner.buf) + cap(c.proof.original.buf) +
		cap(c.recipe) + cap(c.octets) + 64*cap(c.parts) + 48*cap(s.spans) + 40*cap(s.open) +
		cap(s.contentType) + cap(s.encoding) + cap(s.boundaries)
}

// checkFootprint fails the test where cutting m takes more than 64 times its
// octets, and some to begin with.
func checkFootprint(t testing.TB, m []byte) {
	t.Helper()
	c := newCutter(windowSize, pieceSize)
	if _, err := c.split(bytes.NewReader(m), int64(len(m)), new(store).save); err != nil {
		t.Fatal(err)
	}
	if f := c.footprint(); f > 64*len(m)+1024 {
		t.Errorf("a message of %d octets takes %d octets of memory: %.200q", len(m), f, m)
	}
}

func TestMemoryOfSmallMessages(t *testing.T) {
	t.Parallel()
	multipart := "Content-Type: multipart/mixed; boundary="
	for _, m := range []string{
		"", "x", "\n", "\r\n\r\n",
		strings.Repeat(multipart+"x\n\n--x\n", 200),
		multipart + "x\n\n" + strings.Repeat("--x\n", 5000),
		multipart + strings.Repeat("x", 200) + "\n\n" + strings.Repeat("--"+strings.Repeat("x", 200)+"\n\n", 200),
		strings.Repeat("Content-Type: message/rfc822\n\n", 500),
		"\n" + strings.Repeat(strings.Repeat("A", 344)+"\n\n", 100),
		"\n" + strings.Repeat("AAAA\n", 2000),
		strings.Repeat("\n", 10_000),
	} {
		checkFootprint(t, []byte(m))
	}
	rnd := rand.New(rand.NewSource(1))
	tokens := []string{multipart + "x\n\n", "--x\n", "--x--\n", "\n", "AAAA", "text ", "Content-Type: message/rfc822\n\n", strings.Repeat("A", 76) + "\n"}
	for range 2000 {
		var b strings.Builder
		for range rnd.Intn(100) {
			b.WriteString(tokens[rnd.Intn(len(tokens))])
		}
		checkFootprint(t, []byte(b.String()))
	}
}

func TestFieldsAreNotKeptWhole(t *testing.T) {
	t.Parallel()
	c := newCutter(windowSize, pieceSize)
	m := "Content-Type: multipart/mixed" + strings.Repeat("\n ;;;(", 1<<20)
	if _, err := c.split(strings.NewReader(m), int64(len(m)), new(store).save); err != nil {
		t.Fatal(err)
	}
	if n := cap(c.scanner.contentType); n > 2*maxField {
		t.Errorf("%d octets of a Content-Type are kept", n)
	}
}
