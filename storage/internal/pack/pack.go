package pack

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/seal"
)

const (
	magic       = "restante pack 1\n"
	trailerData = 8 + 4
	trailerSize = trailerData + seal.Overhead

	smallest = 64 << 10 // a padded pack's least size
	doubling = 1 << 20  // below this, sizes are powers of two
)

// A Scope is what ties packs to their place: the vault's key and id.
type Scope struct {
	Sealer *seal.Sealer
	Key    *seal.Key
	Vault  [16]byte
}

func (s *Scope) segment(c Class) []byte { return append(s.Vault[:], byte(c)) }

func (s *Scope) pack(id ulid.ULID) []byte { return append(s.Vault[:], id[:]...) }

// SealSegment makes the box of a segment.
func (s *Scope) SealSegment(c Class, raw []byte, level seal.Level) ([]byte, error) {
	return s.Sealer.Seal(nil, s.Key, seal.Segment, s.segment(c), raw, seal.Options{Compress: level})
}

// OpenSegment returns the blobs in a segment's box, raw octets long.
func (s *Scope) OpenSegment(c Class, box []byte, raw int) ([]byte, error) {
	return s.Sealer.Open(s.Key, seal.Segment, s.segment(c), box, raw)
}

// A Builder puts a pack together in memory.
type Builder struct {
	scope *Scope
	id    ulid.ULID
	buf   []byte
	dir   Directory
	// dirSize is how long the directory's data will be, at most.
	dirSize int
}

// NewBuilder begins a pack under a name that was never used before.
func NewBuilder(scope *Scope, id ulid.ULID) *Builder {
	return &Builder{scope: scope, id: id, buf: []byte(magic), dirSize: binary.MaxVarintLen32}
}

// ID is the pack's name.
func (b *Builder) ID() ulid.ULID { return b.id }

// Add puts a sealed segment into the pack and returns its offset there.
func (b *Builder) Add(c Class, box []byte, raw int, ids []ID, lengths []uint32) int64 {
	s := Segment{Class: c, Offset: int64(len(b.buf)), Box: len(box), Raw: raw, IDs: ids, Lengths: lengths}
	b.buf = append(b.buf, box...)
	b.dir = append(b.dir, s)
	b.dirSize += s.mostOctets()
	return s.Offset
}

// Empty says that nothing was added yet.
func (b *Builder) Empty() bool { return len(b.dir) == 0 }

// Size is how long the pack would be without padding, in octets; at most a
// few octets more than it will be.
func (b *Builder) Size() int64 {
	return int64(len(b.buf) + b.dirSize + seal.Overhead + trailerSize)
}

// Full says whether the pack should be finished rather than added to, when
// about target octets are aimed at: it is at that size, or near it and at a
// size that needs next to no padding.
func (b *Builder) Full(target int64) bool {
	size := b.Size()
	return size >= target-target/32 || size >= target/2 && float64(Padded(size)-size) < 0.004*float64(size)
}

// Finish returns the pack's octets and its directory.
func (b *Builder) Finish() ([]byte, Directory, error) {
	context := b.scope.pack(b.id)
	dir, err := b.scope.Sealer.Seal(nil, b.scope.Key, seal.Directory, context, b.dir.Append(nil), seal.Options{})
	if err != nil {
		return nil, nil, err
	}
	start := len(b.buf)
	size := start + len(dir) + trailerSize
	padded := int(Padded(int64(size)))
	b.buf = slices.Grow(b.buf, padded-start)[:start+padded-size]
	rand.Read(b.buf[start:])

	var at [trailerData]byte
	binary.LittleEndian.PutUint64(at[:], uint64(len(b.buf)))
	binary.LittleEndian.PutUint32(at[8:], uint32(len(dir)))
	b.buf = append(b.buf, dir...)
	b.buf, err = b.scope.Sealer.Seal(b.buf, b.scope.Key, seal.Trailer, context, at[:], seal.Options{})
	return b.buf, b.dir, err
}

// ErrNotPack says that octets are no pack of format 1.
var ErrNotPack = errors.New("not a pack of format 1")

// ReadDirectory finds and opens the directory of the pack id of size octets.
// Get reads length octets of the pack from offset. It is called twice at
// most, thrice where the head is to be proven too.
func ReadDirectory(scope *Scope, id ulid.ULID, size int64, get func(offset, length int64) ([]byte, error)) (Directory, error) {
	if size < int64(len(magic)+trailerSize) {
		return nil, fmt.Errorf("%d octets: %w", size, ErrNotPack)
	}
	tail := min(size, 64<<10)
	b, err := get(size-tail, tail)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != tail {
		return nil, fmt.Errorf("%d octets were to be had where %d were asked for: %w", len(b), tail, ErrNotPack)
	}
	context := scope.pack(id)
	at, err := scope.Sealer.Open(scope.Key, seal.Trailer, context, b[tail-trailerSize:], trailerData)
	if err != nil {
		return nil, err
	}
	offset, length := int64(binary.LittleEndian.Uint64(at)), int64(binary.LittleEndian.Uint32(at[8:]))
	if offset < int64(len(magic)) || offset+length != size-trailerSize {
		return nil, fmt.Errorf("trailer points outside: %w", ErrNotPack)
	}
	if offset >= size-tail {
		b = b[offset-(size-tail):][:length]
	} else if b, err = get(offset, length); err != nil {
		return nil, err
	}
	data, err := scope.Sealer.Open(scope.Key, seal.Directory, context, b, -1)
	if err != nil {
		return nil, err
	}
	return ParseDirectory(data, offset)
}

// CheckHead proves the first octets of a pack.
func CheckHead(b []byte) error {
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return ErrNotPack
	}
	return nil
}

// Padded returns the size that a pack of n octets is filled up to: the next
// Padmé size (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files
// and Communication with PURBs", PETS 2019, section 4.3), and below 1 MiB the
// next power of two from 64 KiB up.
func Padded(n int64) int64 {
	if n <= smallest {
		return smallest
	}
	if n <= doubling {
		return 1 << bits.Len64(uint64(n-1))
	}
	e := bits.Len64(uint64(n)) - 1 // floor of the binary logarithm
	s := bits.Len64(uint64(e))     // octets needed to write it down
	mask := int64(1)<<(e-s) - 1
	return (n + mask) &^ mask
}
