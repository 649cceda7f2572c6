package pack

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/seal"
)

func testScope() *Scope {
	return &Scope{Sealer: seal.New([16]byte{1}), Key: &seal.Key{2}, Vault: [16]byte{3}}
}

// fill adds n segments of a few blobs each and returns what they hold.
func fill(t *testing.T, b *Builder, n int) (raws [][]byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for range n {
		var raw []byte
		var ids []ID
		var lengths []uint32
		for range 1 + r.IntN(50) {
			blob := make([]byte, r.IntN(2000))
			for i := range blob {
				blob[i] = byte(r.Uint32())
			}
			raw = append(raw, blob...)
			ids = append(ids, ID{byte(r.Uint32()), byte(r.Uint32())})
			lengths = append(lengths, uint32(len(blob)))
		}
		class := Class(1 + r.IntN(4))
		box, err := b.scope.SealSegment(class, raw, seal.Fast)
		if err != nil {
			t.Fatal(err)
		}
		b.Add(class, box, len(raw), ids, lengths)
		raws = append(raws, raw)
	}
	return raws
}

func from(b []byte) func(offset, length int64) ([]byte, error) {
	return func(offset, length int64) ([]byte, error) { return b[offset : offset+length], nil }
}

func TestPackGivesBackItsDirectoryAndSegments(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 7, 60, 400} {
		b := NewBuilder(testScope(), ulid.Make())
		raws := fill(t, b, n)
		bound := b.Size()
		octets, dir, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		size := int64(len(octets))
		if size != Padded(size) {
			t.Errorf("a pack of %d octets is not padded", size)
		}
		if size > Padded(bound) {
			t.Errorf("Size promised at most %d, the pack has %d", Padded(bound), size)
		}
		got, err := ReadDirectory(testScope(), b.ID(), size, from(octets))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, dir) {
			t.Fatal("the directory read is not the one written")
		}
		for i, s := range got {
			raw, err := testScope().OpenSegment(s.Class, octets[s.Offset:][:s.Box], s.Raw)
			if err != nil || !bytes.Equal(raw, raws[i]) {
				t.Fatalf("segment %d: %v", i, err)
			}
		}
	}
}

func TestPackUnderAnotherNameOrDamagedIsRefused(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testScope(), ulid.Make())
	fill(t, b, 3)
	octets, _, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(octets))
	if _, err := ReadDirectory(testScope(), ulid.ULID{9}, size, from(octets)); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("another name: %v", err)
	}
	other := testScope()
	other.Vault = [16]byte{4}
	if _, err := ReadDirectory(other, b.ID(), size, from(octets)); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("another vault: %v", err)
	}
	for _, cut := range []int64{0, 10, 80, size - 1} {
		if _, err := ReadDirectory(testScope(), b.ID(), cut, from(octets[:cut])); err == nil {
			t.Errorf("cut to %d octets and still read", cut)
		}
	}
	bad := bytes.Clone(octets)
	bad[size-trailerSize-20] ^= 1 // in the directory
	if _, err := ReadDirectory(testScope(), b.ID(), size, from(bad)); err == nil {
		t.Error("a flipped bit in the directory was not found")
	}
}

func TestPaddedSizes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ n, want int64 }{
		{0, 64 << 10}, {1, 64 << 10}, {64 << 10, 64 << 10}, {64<<10 + 1, 128 << 10},
		{1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 32<<10}, {32 << 20, 32 << 20}, {32<<20 + 1, 33 << 20},
	} {
		if got := Padded(c.n); got != c.want {
			t.Errorf("Padded(%d) = %d, want %d", c.n, got, c.want)
		}
	}
	for n := int64(1 << 20); n < 40<<20; n += 12_345 {
		p := Padded(n)
		if p < n || float64(p-n) > 0.12*float64(n) || Padded(p) != p {
			t.Fatalf("Padded(%d) = %d", n, p)
		}
	}
}

func FuzzParseDirectory(f *testing.F) {
	b := NewBuilder(testScope(), ulid.Make())
	id := ID{1}
	b.Add(Text, make([]byte, 50), 10, []ID{id}, []uint32{10})
	f.Add(b.dir.Append(nil))
	f.Add([]byte{1, 2, 200, 1, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := ParseDirectory(in, 1<<20)
		if err != nil {
			return
		}
		again, err := ParseDirectory(d.Append(nil), 1<<20)
		if err != nil || !reflect.DeepEqual(d, again) {
			t.Fatalf("written again it reads differently: %v", err)
		}
	})
}

func TestShortAnswerOfAStoreIsNoDirectory(t *testing.T) {
	t.Parallel()
	b := NewBuilder(testScope(), ulid.Make())
	fill(t, b, 20)
	octets, _, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		_, err := ReadDirectory(testScope(), b.ID(), int64(len(octets)), func(offset, length int64) ([]byte, error) {
			return octets[offset:][:min(length, int64(n))], nil
		})
		if !errors.Is(err, ErrNotPack) {
			t.Fatalf("%d octets: %v", n, err)
		}
	}
}
