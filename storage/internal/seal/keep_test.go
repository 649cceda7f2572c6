package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// TestKeepingSealsAndOpensAsNew: also when there are more ciphers than are kept,
// and never a box under another key or of another kind.
func TestKeepingSealsAndOpensAsNew(t *testing.T) {
	t.Parallel()
	id, secret, other := [16]byte{1}, &Key{2}, &Key{3}
	plain, keeping := New(id), Keeping(id)
	for i := range uint64(mostKept + 10) {
		data := binary.LittleEndian.AppendUint64(nil, i)
		by, to := plain, keeping
		if i%2 == 0 {
			by, to = keeping, plain
		}
		box, err := by.Seal(nil, secret, Ledger, nil, data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keeping.Open(other, Ledger, nil, box, -1); !errors.Is(err, ErrOpen) {
			t.Fatalf("box %d under another key: %v", i, err)
		}
		if _, err := keeping.Open(secret, Index, nil, box, -1); !errors.Is(err, ErrOpen) {
			t.Fatalf("box %d of another kind: %v", i, err)
		}
		for range 2 { // it is kept the second time
			if got, err := to.Open(secret, Ledger, nil, box, -1); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("box %d: %x, %v", i, got, err)
			}
		}
	}
}
