package storage

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// TestWhoGivesUpReadingEndsNobodyElsesReading: two read the same segment at the
// same time, so one waits for what the other reads, and that one is cancelled.
func TestWhoGivesUpReadingEndsNobodyElsesReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := objectstest.NewFaulty(objects.NewMemory(), 1)
		mail := testMail(rand.New(rand.NewPCG(70, 1)), 3)
		r := newRepository(t, store, "")
		s := backUp(t, r, "alice", 1, mail)
		r.Close()
		r = openRepository(t, store, Options{NoCache: true})
		tree, err := r.OpenSnapshot(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := tree.Folder([]string{"INBOX"}).Message(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}

		store.Add(objectstest.Rule{Fault: objectstest.Hang, On: objectstest.Get, Prefix: "packs/", Times: 1})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { first <- r.WriteMessage(ctx, new(bytes.Buffer), s.Vault, m.Recipe) }()
		synctest.Wait() // until the store keeps it waiting
		var got bytes.Buffer
		second := make(chan error, 1)
		go func() { second <- r.WriteMessage(t.Context(), &got, s.Vault, m.Recipe) }()
		synctest.Wait() // until it waits for the first one
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("whoever was cancelled: %v", err)
		}
		if err := <-second; err != nil || !bytes.Equal(got.Bytes(), mail[1]) {
			t.Errorf("the other one: %v", err)
		}
	})
}
