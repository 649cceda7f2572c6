package storage

import (
	"context"
	"errors"
	"fmt"

	"restante/storage/ledger"
)

// ErrHeld says that snapshots are under a hold and cannot be forgotten.
var ErrHeld = errors.New("under a hold")

// Forget drops snapshots from the repository: all of them, or with an error
// none. What only they needed stays in the store until it is pruned. The error
// is ErrNoSnapshot where one is not there, ErrHeld where one must stay.
func (r *Repository) Forget(ctx context.Context, ids []ID, reason string) error {
	return r.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
		return forgetting(s, ids, reason)
	})
}

// errNothing ends an append that has nothing to say.
var errNothing = errors.New("nothing to do")

// ForgetBy drops the snapshots of accounts that choose names, all with one
// entry of the ledger, and returns their ids. Choose is given an account's
// snapshots, oldest first, and the reasons of the holds that it is under. It is
// asked again when somebody appended to the ledger meanwhile, so that what is
// forgotten was chosen from just what there was.
func (r *Repository) ForgetBy(ctx context.Context, accounts []string, reason string, choose func(account string, list []Snapshot, holds []string) []ID) (ids []ID, err error) {
	err = r.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
		ids = nil
		for _, account := range accounts {
			ids = append(ids, choose(account, oldestFirst(s.Snapshots[account]), holds(s, account))...)
		}
		if len(ids) == 0 {
			return nil, errNothing
		}
		return forgetting(s, ids, reason)
	})
	if errors.Is(err, errNothing) {
		return nil, nil
	}
	return ids, err
}

// forgetting is the entry that drops snapshots, if the state allows it.
func forgetting(s *ledger.State, ids []ID, reason string) (ledger.Body, error) {
	there := map[ID]string{} // to its account
	for account, list := range s.Snapshots {
		for i := range list {
			there[list[i].ID] = account
		}
	}
	for _, id := range ids {
		account, ok := there[id]
		if !ok {
			return nil, fmt.Errorf("%s: %w", id.Short(), ErrNoSnapshot)
		}
		if s.Held(account) {
			return nil, fmt.Errorf("snapshot %s of %q is %w", id.Short(), account, ErrHeld)
		}
	}
	return &ledger.Forget{Snapshots: ids, Reason: reason}, nil
}
