package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"restante/storage/internal/pack"
	"restante/storage/ledger"
)

// Stats say how much a repository holds.
type Stats struct {
	Accounts []AccountStats `json:"accounts"`
	Classes  []ClassStats   `json:"content"`
	Objects  []ObjectStats  `json:"objects"`
	Total    ObjectStats    `json:"total"`
	// Bytes are the octets of all messages in the latest snapshots.
	Bytes int64 `json:"latest_bytes"`
}

// AccountStats are about an account's snapshots; Messages and Bytes are those
// of the latest.
type AccountStats struct {
	Account   string    `json:"account"`
	Snapshots int       `json:"snapshots"`
	First     time.Time `json:"first"`
	Latest    time.Time `json:"latest"`
	Messages  int64     `json:"messages"`
	Bytes     int64     `json:"bytes"`
}

// ClassStats are about the blobs of a class: how many octets they have, and
// how many when compressed and sealed.
type ClassStats struct {
	Class string `json:"class"`
	Blobs int64  `json:"blobs"`
	Raw   int64  `json:"raw_bytes"`
	Boxes int64  `json:"compressed_bytes"`
}

// ObjectStats are about the objects in the store of one kind.
type ObjectStats struct {
	Kind   string `json:"kind"`
	Number int64  `json:"number"`
	Bytes  int64  `json:"bytes"`
}

// Stats counts what the repository holds. It lists the store.
func (r *Repository) Stats(ctx context.Context) (*Stats, error) {
	s := &Stats{Accounts: []AccountStats{}, Total: ObjectStats{Kind: "total"}}
	for _, account := range r.Accounts() {
		list := r.Snapshots(account)
		latest := list[len(list)-1]
		s.Accounts = append(s.Accounts, AccountStats{Account: account, Snapshots: len(list), First: list[0].StartedAt(),
			Latest: latest.StartedAt(), Messages: latest.Messages, Bytes: latest.Bytes})
		s.Bytes += latest.Bytes
	}
	byClass := map[pack.Class]*ClassStats{}
	var vaults []ID
	r.ledger.View(func(st *ledger.State) {
		for id := range st.Vaults {
			vaults = append(vaults, id)
		}
	})
	for _, id := range vaults {
		v, err := r.vault(ctx, id)
		if err != nil {
			return nil, err
		}
		var classes [pack.Structure + 1]ClassStats
		err = v.withIndex(ctx, func() error {
			clear(classes[:])
			return v.index.Segments(v.live, func(c pack.Class, blobs, raw, box int64) {
				classes[c].Blobs += blobs
				classes[c].Raw += raw
				classes[c].Boxes += box
			})
		})
		if err != nil {
			return nil, err
		}
		for c, n := range classes {
			if n == (ClassStats{}) {
				continue
			}
			total := byClass[pack.Class(c)]
			if total == nil {
				total = &ClassStats{Class: pack.Class(c).String()}
				byClass[pack.Class(c)] = total
			}
			total.Blobs += n.Blobs
			total.Raw += n.Raw
			total.Boxes += n.Boxes
		}
	}
	for c := pack.Recipes; c <= pack.Structure; c++ {
		if byClass[c] != nil {
			s.Classes = append(s.Classes, *byClass[c])
		}
	}
	byKind := map[string]*ObjectStats{}
	for info, err := range r.store.List(ctx, "", "") {
		if err != nil {
			return nil, fmt.Errorf("list the store: %w", err)
		}
		kind, _, _ := strings.Cut(info.Name, "/")
		if byKind[kind] == nil {
			byKind[kind] = &ObjectStats{Kind: kind}
		}
		byKind[kind].Number++
		byKind[kind].Bytes += info.Size
		s.Total.Number++
		s.Total.Bytes += info.Size
	}
	for _, o := range byKind {
		s.Objects = append(s.Objects, *o)
	}
	slices.SortFunc(s.Objects, func(a, b ObjectStats) int { return strings.Compare(a.Kind, b.Kind) })
	return s, nil
}

// CacheDir is the directory of this repository's local cache; empty where there
// is none.
func (r *Repository) CacheDir() string { return r.cache.dir }
