package pack

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/seal"
)

// FuzzReadDirectory: the end of a pack whose trailer and directory say anything,
// sealed as they should be. Nothing outside of the pack is read, and what comes of
// it lies within.
func FuzzReadDirectory(f *testing.F) {
	b := NewBuilder(testScope(), ulid.Make())
	b.Add(Text, make([]byte, 50), 10, []ID{{1}}, []uint32{10})
	f.Add(b.dir.Append(nil), int64(0), uint32(0))
	f.Add([]byte{0}, int64(-1), uint32(1<<32-1))
	f.Add([]byte{1, 2, 200, 1, 0, 0}, int64(8), uint32(7))
	f.Fuzz(func(t *testing.T, plain []byte, offBy int64, longer uint32) {
		scope, id := testScope(), ulid.ULID{5}
		octets := append([]byte(magic), make([]byte, 100)...)
		at := binary.LittleEndian.AppendUint64(nil, uint64(int64(len(octets))+offBy))
		dir, err := scope.Sealer.Seal(nil, scope.Key, seal.Directory, scope.pack(id), plain, seal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		at = binary.LittleEndian.AppendUint32(at, uint32(len(dir))+longer)
		octets, err = scope.Sealer.Seal(append(octets, dir...), scope.Key, seal.Trailer, scope.pack(id), at, seal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		size := int64(len(octets))
		d, err := ReadDirectory(scope, id, size, func(offset, length int64) ([]byte, error) {
			if offset < 0 || length < 0 || offset+length > size {
				t.Fatalf("%d octets from %d asked for, of %d", length, offset, size)
			}
			return bytes.Clone(octets[offset:][:length]), nil
		})
		if err != nil {
			return
		}
		if d.Blobs()*len(ID{}) > len(plain) {
			t.Errorf("%d blobs in %d octets", d.Blobs(), len(plain))
		}
		for _, s := range d {
			if s.Offset < int64(len(magic)) || s.Offset+int64(s.Box) > size || len(s.IDs) != len(s.Lengths) {
				t.Errorf("%+v in a pack of %d octets", s, size)
			}
		}
	})
}
