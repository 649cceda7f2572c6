// Package seal makes and opens boxes, the authenticated and encrypted octet
// strings that everything in a repository is kept in: [Sealer.Seal],
// [Sealer.Open]. FORMAT.md section 3 has the octets.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// A Key is a secret that boxes' keys are derived from: the repository's or a
// vault's.
type Key [32]byte

// A Kind ties a box to what it is for.
type Kind string

const (
	Vault      Kind = "vault"
	Ledger     Kind = "ledger"
	Checkpoint Kind = "checkpoint"
	Segment    Kind = "segment"
	Directory  Kind = "directory"
	Trailer    Kind = "trailer"
	Index      Kind = "index"
	// Cache is for what stands in a local cache and nowhere else.
	Cache Kind = "cache"
)

const (
	version  = 1
	saltSize = 24
	tagSize  = 16
	// headSize is what stands before the data in a plaintext: the codec and
	// the data's length.
	headSize = 5

	// Overhead is how many octets a box is longer than the data in it, where
	// that is neither compressed nor padded.
	Overhead = 1 + saltSize + headSize + tagSize

	// MaxData is the most octets of data that a box may hold.
	MaxData = 128 << 20

	label = "restante/1 "
)

// ErrOpen says that a box is damaged, stands in the wrong place, or was
// sealed under another key; these cannot be told apart.
var ErrOpen = errors.New("damaged, or sealed under another key")

// A Sealer seals and opens the boxes of one repository. It may be used by
// many goroutines at once.
type Sealer struct {
	repository [16]byte
	kept       *kept // nil: a cipher is derived for every box
}

// New returns the Sealer of the repository with this id.
func New(repository [16]byte) *Sealer { return &Sealer{repository: repository} }

// Options say how a box is made.
type Options struct {
	Compress Level
	// Pad is the size whose next multiple the plaintext is filled up to with
	// zeros; 0 for none.
	Pad int
}

// Seal appends to dst a box with data. Context ties the box to its place:
// Open needs the same. Data is stored as it is where compression does not
// make it smaller.
func (s *Sealer) Seal(dst []byte, secret *Key, kind Kind, context, data []byte, o Options) ([]byte, error) {
	if len(data) > MaxData {
		return nil, fmt.Errorf("%s of %d octets is too large for a box", kind, len(data))
	}
	start := len(dst)
	dst = append(dst, version)
	dst = append(dst, make([]byte, saltSize)...)
	salt := dst[start+1:]
	rand.Read(salt) // never fails: crypto/rand ends the process instead
	aead, err := s.aead(secret, kind, salt)
	if err != nil {
		return nil, err
	}

	head := len(dst)
	dst = append(dst, codecPlain, 0, 0, 0, 0)
	if o.Compress != None {
		dst = compress(dst, data, o.Compress)
		if packed := len(dst) - head - headSize; packed < len(data) {
			dst[head] = codecZstd
		} else {
			dst = dst[:head+headSize]
		}
	}
	if dst[head] == codecPlain {
		dst = append(dst, data...)
	}
	binary.LittleEndian.PutUint32(dst[head+1:], uint32(len(dst)-head-headSize))
	if o.Pad > 0 {
		if over := (len(dst) - head) % o.Pad; over > 0 {
			dst = append(dst, make([]byte, o.Pad-over)...)
		}
	}
	var nonce [12]byte // constant: the key is used for this box alone
	return aead.Seal(dst[:head], nonce[:], dst[head:], s.associated(kind, context)), nil
}

// Open returns the data of a box. The box is left as it is. Raw, if not
// negative, is how many octets the data must have; with it, memory is
// allocated once.
func (s *Sealer) Open(secret *Key, kind Kind, context, box []byte, raw int) ([]byte, error) {
	if len(box) < Overhead {
		return nil, fmt.Errorf("%s of %d octets is too short: %w", kind, len(box), ErrOpen)
	}
	if box[0] != version {
		return nil, fmt.Errorf("%s has box version %d, this program knows %d: %w", kind, box[0], version, ErrOpen)
	}
	aead, err := s.aead(secret, kind, box[1:1+saltSize])
	if err != nil {
		return nil, err
	}
	var nonce [12]byte
	plain, err := aead.Open(nil, nonce[:], box[1+saltSize:], s.associated(kind, context))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, ErrOpen)
	}
	n := binary.LittleEndian.Uint32(plain[1:])
	if uint64(n) > uint64(len(plain)-headSize) {
		return nil, fmt.Errorf("%s: its data is longer than the box: %w", kind, ErrOpen)
	}
	data := plain[headSize : headSize+n]
	switch plain[0] {
	case codecPlain:
	case codecZstd:
		if data, err = decompress(data, raw); err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
	default:
		return nil, fmt.Errorf("%s has codec %d, which this program does not know", kind, plain[0])
	}
	if raw >= 0 && len(data) != raw {
		return nil, fmt.Errorf("%s holds %d octets where %d were expected: %w", kind, len(data), raw, ErrOpen)
	}
	return data, nil
}

// Derive returns a key for a purpose other than boxes.
func Derive(secret *Key, purpose string) (Key, error) {
	k, err := hkdf.Key(sha256.New, secret[:], nil, label+purpose, 32)
	if err != nil {
		return Key{}, fmt.Errorf("derive key: %w", err)
	}
	return Key(k), nil
}

func (s *Sealer) aead(secret *Key, kind Kind, salt []byte) (cipher.AEAD, error) {
	if s.kept != nil {
		return s.kept.aead(secret, kind, salt)
	}
	return derive(secret, kind, salt)
}

func derive(secret *Key, kind Kind, salt []byte) (cipher.AEAD, error) {
	k, err := hkdf.Key(sha256.New, secret[:], salt, label+string(kind), 32)
	if err != nil {
		return nil, fmt.Errorf("derive key: %w", err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (s *Sealer) associated(kind Kind, context []byte) []byte {
	a := make([]byte, 0, 64)
	a = append(a, label...)
	a = append(a, kind...)
	a = append(a, 0)
	a = append(a, s.repository[:]...)
	return append(a, context...)
}
