package storage

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"restante/storage/objects"
)

// wrongOnce gives octets with a wrong bit every other time that they are asked
// for. The config is what all begins with, and has to be right.
type wrongOnce struct {
	objects.Store
	mu    sync.Mutex
	asked map[string]int
	wrong int // answers that were
}

func (w *wrongOnce) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	b, err := w.Store.Get(ctx, name, offset, length)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || len(b) == 0 || name == configName {
		return b, err
	}
	key := fmt.Sprint(name, offset, length)
	if w.asked[key]++; w.asked[key]%2 == 1 {
		w.wrong++
		b[len(b)-1] ^= 1
	}
	return b, nil
}

// TestOctetsThatAreWrongOnceAreReadAgain opens, restores, checks and prunes
// over a way that does not keep octets as they are.
func TestOctetsThatAreWrongOnceAreReadAgain(t *testing.T) {
	t.Parallel()
	sp := mustSpecimen(t)
	store := &wrongOnce{Store: sp.copy(t), asked: map[string]int{}}
	r, err := Open(t.Context(), store, Passphrase(testPassphrase), Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sp.wantRestored(t, "wrong once", damage{}, r)
	checked, err := r.Check(t.Context(), CheckOptions{ReadData: 1})
	if err != nil || len(checked.Findings) > 0 {
		t.Errorf("a check finds %v, %v", checked.Findings, err)
	}
	if _, err := r.Prune(t.Context(), PruneOptions{AllowMuch: true}); err != nil {
		t.Error(err)
	}
	if store.wrong < len(sp.names) {
		t.Errorf("only %d answers were wrong, of %d objects", store.wrong, len(sp.names))
	}
}
