package seal

import (
	"bytes"
	"testing"
)

// Whatever stands in the place of a box opens as nothing but what was sealed: not
// under another key, in another place, or changed in any bit.
func FuzzOpen(f *testing.F) {
	s := New([16]byte{1})
	for _, o := range []Options{{}, {Compress: Fast}, {Compress: Good, Pad: 512}} {
		box, err := s.Seal(nil, testKey(7), Ledger, []byte("3"), bytes.Repeat([]byte("mail "), 50), o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(box)
		f.Add(box[:len(box)-1])
	}
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, box []byte) {
		data, err := s.Open(testKey(7), Ledger, []byte("3"), box, -1)
		if err == nil && !bytes.Equal(data, bytes.Repeat([]byte("mail "), 50)) {
			t.Errorf("%q opens", data)
		}
		if _, err := s.Open(testKey(7), Checkpoint, []byte("3"), box, -1); err == nil {
			t.Error("a box of another kind opens")
		}
		if _, err := s.Open(testKey(8), Ledger, []byte("3"), box, -1); err == nil {
			t.Error("a box under another key opens")
		}
	})
}

// FuzzDecompress: what is compressed in a box is not authenticated where somebody
// else has the key. It gives no more than a box may hold, and no other length
// than was asked for.
func FuzzDecompress(f *testing.F) {
	for _, data := range [][]byte{nil, []byte("mail"), bytes.Repeat([]byte("mail "), 10_000)} {
		f.Add(compress(nil, data, Fast), len(data))
		f.Add(compress(nil, data, Good), -1)
	}
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, -1) // 2^63 octets are said
	f.Fuzz(func(t *testing.T, packed []byte, raw int) {
		if raw > 1<<20 {
			raw %= 1 << 20
		}
		data, err := decompress(packed, raw)
		if err == nil && len(data) > MaxData {
			t.Errorf("%d octets", len(data))
		}
		if err == nil && len(data) > 0 {
			if again, err := decompress(compress(nil, data, Fast), len(data)); err != nil || !bytes.Equal(again, data) {
				t.Errorf("%d octets come back as %d, %v", len(data), len(again), err)
			}
		}
	})
}
