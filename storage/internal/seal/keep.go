package seal

import (
	"crypto/cipher"
	"sync"
)

// Keeping returns a Sealer that is as New's, but keeps the ciphers of the boxes
// that it made and opened last. It is for who has many processes in one open the
// same boxes, as a simulation does: a program opens most boxes once.
func Keeping(repository [16]byte) *Sealer {
	return &Sealer{repository: repository, kept: &kept{ciphers: map[box]cipher.AEAD{}}}
}

// mostKept is how many ciphers are kept, about 1 KiB each.
const mostKept = 1 << 12

// A box is what a cipher is for: the secret, kind and salt that its key is
// derived from.
type box struct {
	secret Key
	kind   Kind
	salt   [saltSize]byte
}

type kept struct {
	mu      sync.Mutex // guards ciphers
	ciphers map[box]cipher.AEAD
}

func (k *kept) aead(secret *Key, kind Kind, salt []byte) (cipher.AEAD, error) {
	b := box{*secret, kind, [saltSize]byte(salt)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.ciphers[b]; a != nil {
		return a, nil
	}
	a, err := derive(secret, kind, salt)
	if err != nil {
		return nil, err
	}
	if len(k.ciphers) >= mostKept {
		clear(k.ciphers)
	}
	k.ciphers[b] = a
	return a, nil
}
