package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"restante/storage/ledger"
)

// Hold is a hold on an account's snapshots, or on all there are: none of them
// can be forgotten until it is released.
type Hold = ledger.Hold

// ErrNoHold says that there is no such hold.
var ErrNoHold = errors.New("no such hold")

// AllHolds lists the holds that are not released, oldest first.
func (r *Repository) AllHolds() (list []Hold) {
	r.ledger.View(func(s *ledger.State) {
		for _, h := range s.Holds {
			list = append(list, h)
		}
	})
	slices.SortFunc(list, func(a, b Hold) int {
		return cmp.Or(cmp.Compare(a.Added, b.Added), strings.Compare(a.ID.String(), b.ID.String()))
	})
	return list
}

// Hold puts an account under a hold, or all accounts where it is empty, those
// to come among them. An account may be under several. The error is
// ErrNoSnapshot where the account has none: a hold on a name that was mistyped
// would hold nothing.
func (r *Repository) Hold(ctx context.Context, account, reason string) (Hold, error) {
	h := Hold{ID: NewID(), Account: account, Reason: reason}
	err := r.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
		if account != "" && len(s.Snapshots[account]) == 0 {
			return nil, fmt.Errorf("account %q: %w", account, ErrNoSnapshot)
		}
		return &h, nil
	})
	r.ledger.View(func(s *ledger.State) {
		if added, ok := s.Holds[h.ID]; ok {
			h = added
		}
	})
	return h, err
}

// Release ends the hold whose id begins with prefix, and returns it. That it
// was there, and why it ended, stays in the ledger.
func (r *Repository) Release(ctx context.Context, prefix, reason string) (h Hold, err error) {
	err = r.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
		ids := make([]ID, 0, len(s.Holds))
		for id := range s.Holds {
			ids = append(ids, id)
		}
		id, err := named("hold", prefix, ids)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoHold, err)
		}
		h = s.Holds[id]
		return &ledger.Release{ID: id, Reason: reason}, nil
	})
	return h, err
}

// Holds are the reasons of the holds that an account is under.
func (r *Repository) Holds(account string) (reasons []string) {
	r.ledger.View(func(s *ledger.State) { reasons = holds(s, account) })
	return reasons
}

func holds(s *ledger.State, account string) (reasons []string) {
	for _, h := range s.Holds {
		if h.Account == "" || h.Account == account {
			reasons = append(reasons, cmp.Or(h.Reason, "no reason was given"))
		}
	}
	slices.Sort(reasons)
	return reasons
}

// named finds the one id of some that begins with prefix; kind is what they
// name, for the error.
func named(kind, prefix string, ids []ID) (found ID, err error) {
	n := 0
	for _, id := range ids {
		if prefix != "" && strings.HasPrefix(id.String(), prefix) {
			found, n = id, n+1
		}
	}
	switch {
	case n == 0:
		return found, fmt.Errorf("no %s's id begins with %q", kind, prefix)
	case len(prefix) < 4:
		return found, fmt.Errorf("%q is too short to name a %s: write four digits or more of its id", prefix, kind)
	case n > 1:
		return found, fmt.Errorf("the ids of %d %ss begin with %q", n, kind, prefix)
	}
	return found, nil
}
