package seal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

func testKey(b byte) *Key {
	var k Key
	for i := range k {
		k[i] = b
	}
	return &k
}

func TestBoxGivesBackWhatWasSealed(t *testing.T) {
	t.Parallel()
	s := New([16]byte{1})
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 100_000)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	for _, data := range [][]byte{nil, {0}, []byte("hello"), bytes.Repeat([]byte("mail "), 50_000), random} {
		for _, o := range []Options{{}, {Compress: Fast}, {Compress: Good}, {Compress: Fast, Pad: 512}, {Pad: 512}} {
			box, err := s.Seal([]byte("before"), testKey(7), Segment, []byte("ctx"), data, o)
			if err != nil {
				t.Fatal(err)
			}
			box = box[len("before"):]
			if len(box) > len(data)+Overhead+o.Pad {
				t.Errorf("%d octets became a box of %d", len(data), len(box))
			}
			if o.Pad > 0 && (len(box)-1-saltSize-tagSize)%o.Pad != 0 {
				t.Errorf("box of %d octets is not padded to %d", len(box), o.Pad)
			}
			for _, raw := range []int{-1, len(data)} {
				got, err := s.Open(testKey(7), Segment, []byte("ctx"), box, raw)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, data) {
					t.Fatalf("%+v: %d octets came back as %d", o, len(data), len(got))
				}
			}
			if _, err := s.Open(testKey(7), Segment, []byte("ctx"), box, len(data)+1); err == nil {
				t.Error("a box with less data than expected was opened")
			}
		}
	}
}

func TestBoxOpensOnlyInItsPlace(t *testing.T) {
	t.Parallel()
	s := New([16]byte{1})
	box, err := s.Seal(nil, testKey(7), Ledger, []byte{1}, []byte("entry"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	open := func(s *Sealer, k *Key, kind Kind, context []byte) error {
		_, err := s.Open(k, kind, context, box, -1)
		return err
	}
	if err := open(s, testKey(7), Ledger, []byte{1}); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"another key":        open(s, testKey(8), Ledger, []byte{1}),
		"another kind":       open(s, testKey(7), Vault, []byte{1}),
		"another context":    open(s, testKey(7), Ledger, []byte{2}),
		"no context":         open(s, testKey(7), Ledger, nil),
		"another repository": open(New([16]byte{2}), testKey(7), Ledger, []byte{1}),
	} {
		if !errors.Is(err, ErrOpen) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestEveryFlippedBitOfABoxIsFound(t *testing.T) {
	t.Parallel()
	s := New([16]byte{1})
	box, err := s.Seal(nil, testKey(7), Ledger, nil, []byte("entry"), Options{Compress: Fast, Pad: 64})
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(box) * 8 {
		bad := bytes.Clone(box)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := s.Open(testKey(7), Ledger, nil, bad, -1); err == nil {
			t.Fatalf("bit %d was flipped and not found", i)
		}
	}
	for i := range len(box) {
		if _, err := s.Open(testKey(7), Ledger, nil, box[:i], -1); !errors.Is(err, ErrOpen) {
			t.Fatalf("cut to %d octets: %v", i, err)
		}
	}
}

func TestTwoBoxesOfTheSameDataDiffer(t *testing.T) {
	t.Parallel()
	s := New([16]byte{1})
	a, _ := s.Seal(nil, testKey(7), Segment, nil, []byte("same"), Options{})
	b, _ := s.Seal(nil, testKey(7), Segment, nil, []byte("same"), Options{})
	if bytes.Equal(a[1+saltSize:], b[1+saltSize:]) {
		t.Error("two boxes of the same data are the same")
	}
}

func BenchmarkSeal(b *testing.B) {
	s := New([16]byte{1})
	var text bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	for text.Len() < 4<<20 {
		fmt.Fprintf(&text, "word%d and some more of line %d\n", r.IntN(5000), r.IntN(100))
	}
	for name, o := range map[string]Options{"plain": {}, "fast": {Compress: Fast}, "good": {Compress: Good}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				box, _ := s.Seal(nil, testKey(7), Segment, nil, text.Bytes(), o)
				b.ReportMetric(float64(len(box))/float64(text.Len()), "ratio")
			}
		})
	}
}
