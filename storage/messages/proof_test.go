package messages

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
)

// Every bit of a recipe and of its parts matters: flip any, and the proof
// fails.
func TestProofSeesEveryFlippedBit(t *testing.T) {
	t.Parallel()
	names, _ := filepath.Glob("testdata/*.eml")
	if len(names) == 0 {
		t.Fatal("no messages in testdata")
	}
	for _, name := range names {
		m, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r, s := splitJoin(t, m)
		var octets []byte
		var parts []part
		for _, p := range s.parts {
			octets = append(octets, p...)
			parts = append(parts, part{from: len(octets) - len(p), to: len(octets)})
		}
		ids := idOctets(t, r.Recipe)
		prove := func() error {
			_, _, operations, err := readHeader(r.Recipe)
			if err != nil {
				return err
			}
			var p proof
			if err := p.begin(bytes.NewReader(m), r.Recipe); err != nil {
				return err
			}
			if err := p.build(operations, octets, parts); err != nil {
				return err
			}
			return p.end()
		}
		if err := prove(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var p proof
		if p.begin(bytes.NewReader(m), r.Recipe); p.end() == nil {
			t.Errorf("%s: nobody noticed that all operations were missing", name)
		}
		for _, target := range [][]byte{r.Recipe, octets} {
			for i := range target {
				if &target[0] == &r.Recipe[0] && (ids[i] || i == 0 && bytes.IndexByte(m, '\n') < 0) {
					continue // proveIDs is there for ids; without LF a form is like the other
				}
				for bit := range 8 {
					target[i] ^= 1 << bit
					if prove() == nil {
						t.Errorf("%s: bit %d of octet %d of %d flipped, and nobody noticed", name, bit, i, len(target))
					}
					target[i] ^= 1 << bit
				}
			}
		}
	}
}

// idOctets says which octets of a recipe belong to ids.
func idOctets(t testing.TB, recipe []byte) map[int]bool {
	ids := map[int]bool{}
	for rest := operations(t, recipe); len(rest) > 0; {
		var op operation
		var err error
		if rest, err = op.read(rest); err != nil {
			t.Fatal(err)
		}
		if op.what != doLiteral {
			end := len(recipe) - len(rest)
			for i := end - len(op.id); i < end; i++ {
				ids[i] = true
			}
		}
	}
	return ids
}

func TestProveIDsSeesEveryFlippedBit(t *testing.T) {
	t.Parallel()
	m, err := os.ReadFile("testdata/attachment-crlf.eml")
	if err != nil {
		t.Fatal(err)
	}
	r, s := splitJoin(t, m)
	var parts []part
	for i, p := range s.parts {
		parts = append(parts, part{to: len(p), id: numbered(i + 1)})
	}
	if err := proveIDs(operations(t, r.Recipe), parts); err != nil {
		t.Fatal(err)
	}
	for i := range idOctets(t, r.Recipe) {
		for bit := range 8 {
			r.Recipe[i] ^= 1 << bit
			if proveIDs(operations(t, r.Recipe), parts) == nil {
				t.Errorf("bit %d of octet %d flipped, and nobody noticed", bit, i)
			}
			r.Recipe[i] ^= 1 << bit
		}
	}
}

// A flipper reads right but for one bit in those reads for which flip says so.
type flipper struct {
	m     io.ReaderAt
	reads int
	flip  func(read int) bool
	at    func(n int) int // which octet of a read of n
}

func (f *flipper) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.m.ReadAt(p, off)
	if f.flip(f.reads) && n > 0 {
		p[f.at(n)] ^= 0x10
	}
	f.reads++
	return n, err
}

// Where one read gives a wrong bit, Split notices and stores the message
// whole; where memory or disk cannot be relied on at all it fails. It never
// returns a recipe for another message.
func TestSplitSurvivesAFlippedBit(t *testing.T) {
	t.Parallel()
	small, err := os.ReadFile("testdata/attachment-crlf.eml")
	if err != nil {
		t.Fatal(err)
	}
	large := append(bytes.Clone(small), random(2<<20)...)
	rnd := rand.New(rand.NewSource(1))
	for _, m := range [][]byte{small, large} {
		right := &flipper{m: bytes.NewReader(m), flip: func(int) bool { return false }}
		if r, err := Split(right, int64(len(m)), new(store).save); err != nil || r.Fallback {
			t.Fatal(r.Reason, err)
		}
		noticed := 0
		for wrong := range right.reads {
			for range 4 {
				f := &flipper{m: bytes.NewReader(m), flip: func(n int) bool { return n == wrong }, at: rnd.Intn}
				s := new(store)
				r, err := Split(f, int64(len(m)), s.save)
				if err != nil {
					t.Fatalf("read %d of %d flipped: %v", wrong, right.reads, err)
				}
				if r.Fallback {
					noticed++
					if !errors.Is(r.Reason, errProof) {
						t.Errorf("the reason is %v", r.Reason)
					}
				}
				var out bytes.Buffer
				if err := Join(&out, r.Recipe, s.load); err != nil || !bytes.Equal(out.Bytes(), m) {
					t.Fatalf("read %d of %d flipped: the recipe is for another message (%v)", wrong, right.reads, err)
				}
			}
		}
		if noticed == 0 {
			t.Error("nothing was ever noticed")
		}
		always := &flipper{m: bytes.NewReader(m), flip: func(int) bool { return true }, at: rnd.Intn}
		if _, err := Split(always, int64(len(m)), new(store).save); !errors.Is(err, errProof) {
			t.Errorf("all reads flipped: %v", err)
		}
	}
}

// Nothing is saved of a message whose proof fails, while it is not large.
func TestNothingIsSavedBeforeTheProof(t *testing.T) {
	t.Parallel()
	m, err := os.ReadFile("testdata/attachment-crlf.eml")
	if err != nil {
		t.Fatal(err)
	}
	f := &flipper{m: bytes.NewReader(m), flip: func(n int) bool { return n == 0 }, at: func(n int) int { return n - 30 }}
	s := new(store)
	r, err := Split(f, int64(len(m)), s.save)
	if err != nil || !r.Fallback {
		t.Fatal(r, err)
	}
	if len(s.parts) != 1 || !bytes.Equal(s.parts[0], m) {
		t.Errorf("%d parts were saved for a message stored whole", len(s.parts))
	}
}

// A message whose reading fails is not one whose proof fails.
func TestReadErrorsDuringTheProof(t *testing.T) {
	t.Parallel()
	m := []byte("\n" + long("text "))
	broken := errors.New("disk is gone")
	reads := 0
	_, err := Split(readerAt(func(p []byte, off int64) (int, error) {
		if reads++; reads > 1 {
			return 0, broken
		}
		return bytes.NewReader(m).ReadAt(p, off)
	}), int64(len(m)), new(store).save)
	if !errors.Is(err, broken) || errors.Is(err, errProof) {
		t.Errorf("error is %v", err)
	}
}

// A message that becomes shorter, or another, between two readings is stored
// as what it is at last, or not at all; Split does not wait for what is gone.
func TestMessageChangesBetweenReadings(t *testing.T) {
	t.Parallel()
	m := bytes.Repeat([]byte("line\r\n"), 1<<19)
	for after := range 20 {
		reads := 0
		changed := bytes.Repeat([]byte{'\r'}, len(m))
		now := func() []byte {
			if reads > after {
				return changed
			}
			return m
		}
		s := new(store)
		r, err := Split(readerAt(func(p []byte, off int64) (int, error) {
			reads++
			return bytes.NewReader(now()).ReadAt(p, off)
		}), int64(len(m)), s.save)
		if err != nil {
			if !errors.Is(err, errProof) {
				t.Errorf("after %d reads: %v", after, err)
			}
			continue
		}
		mustBuild(t, now(), r, s)
	}
}

type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
