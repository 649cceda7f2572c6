package storage

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/pack"
	"restante/storage/ledger"
)

// A packUse is how much of a live pack snapshots need.
type packUse struct {
	ledger.Pack
	needed int // blobs
	// Octets of its segments, as they are sealed: of all, and the part that
	// needed blobs have in them.
	boxes, neededBoxes int64
}

// dropped is how many octets of it nobody needs, without padding.
func (u *packUse) dropped() int64 { return u.boxes - u.neededBoxes }

const (
	// gatherFrom is how many small packs there are before they are put
	// together.
	gatherFrom = 8
	// rewriteGain is what part of the rewritten octets must be freed for it to
	// pay: one in so many.
	rewriteGain = 8
)

// plan decides what becomes of each pack.
func (p *pruner) plan() error {
	p.use = map[ulid.ULID]*packUse{}
	condemned := map[ulid.ULID]bool{}
	p.repo.ledger.View(func(s *ledger.State) {
		for id, pack := range s.Packs {
			p.use[id] = &packUse{Pack: pack}
		}
		for id := range s.Condemned {
			condemned[id] = true
		}
	})
	for _, v := range p.vaults {
		uses, err := v.marks.Uses()
		if err != nil {
			return err
		}
		for _, use := range uses {
			u := p.use[use.Pack]
			if u == nil {
				continue
			}
			u.needed += use.Needed
			u.boxes += int64(use.Box)
			if use.Raw > 0 {
				u.neededBoxes += int64(float64(use.Box) * float64(use.NeededRaw) / float64(use.Raw))
			}
			p.result.Blobs += int64(use.Blobs)
			p.result.Needed += int64(use.Needed)
		}
	}

	var known, dropped int64
	usable := map[ID][]*packUse{} // by vault
	for _, id := range slices.SortedFunc(maps.Keys(p.use), ulid.ULID.Compare) {
		u := p.use[id]
		known += u.Size
		switch {
		case p.young(id) && u.needed == 0:
			p.result.Young.add(u.Size)
		case u.needed == 0:
			p.unneeded = append(p.unneeded, id)
			p.result.Unneeded.add(u.Size)
			dropped += u.Size
		case !p.young(id):
			usable[u.Vault] = append(usable[u.Vault], u)
		}
	}
	abandoned := map[ulid.ULID]bool{}
	for _, id := range p.abandoned {
		abandoned[id] = true
	}
	for _, id := range slices.SortedFunc(maps.Keys(p.listed), ulid.ULID.Compare) {
		size := p.listed[id].Size
		switch {
		case p.use[id] != nil:
		case condemned[id]:
			p.leftovers = append(p.leftovers, id)
			p.result.Leftover.add(size)
		case p.young(id) && !abandoned[id]:
			p.result.Young.add(size)
		default:
			p.strays = append(p.strays, id)
			p.result.Stray.add(size)
		}
	}
	p.rewrite = map[ID][]ulid.ULID{}
	for vault, list := range usable {
		if p.o.KeepPacks {
			break
		}
		chosen, written := chooseRewrite(list, p.repo.config.Pack)
		for _, u := range chosen {
			p.rewrite[vault] = append(p.rewrite[vault], u.ID)
			p.result.Rewritten.add(u.Size)
			dropped += u.dropped()
		}
		p.result.Written += written
	}
	p.result.Freed = p.result.Unneeded.Bytes + p.result.Stray.Bytes + p.result.Leftover.Bytes + p.result.Rewritten.Bytes - p.result.Written
	if known > 0 {
		p.result.Dropped = float64(dropped) / float64(known)
	}
	p.result.Findings = []Finding{}
	p.planned = true
	return nil
}

// young says that a pack was written within the grace. One that is missing is
// not.
func (p *pruner) young(id ulid.ULID) bool {
	info, listed := p.listed[id]
	return listed && time.Since(info.Modified) < p.o.Grace
}

// chooseRewrite chooses the packs of a vault whose needed blobs go into new
// packs, in the order of their names, and estimates how many octets those will
// have: packs of which less than half is needed, and small ones. Small packs
// are put together like tables of an index: those that together are no smaller
// than the next larger one, so that each blob is written anew a logarithmic
// number of times however many nights there are.
func chooseRewrite(list []*packUse, target int64) (chosen []*packUse, written int64) {
	var small []*packUse
	for _, u := range list {
		switch {
		case u.dropped() > u.boxes/2:
			chosen = append(chosen, u)
		case u.Size < target/4:
			small = append(small, u)
		}
	}
	slices.SortFunc(small, func(a, b *packUse) int { return cmp.Or(cmp.Compare(a.Size, b.Size), a.ID.Compare(b.ID)) })
	gathered, sum := 0, int64(0)
	for _, u := range small {
		if gathered >= gatherFrom && u.Size > 2*sum {
			break
		}
		sum += u.Size
		gathered++
	}
	if gathered >= gatherFrom {
		chosen = append(chosen, small[:gathered]...)
	}
	var before, needed int64
	for _, u := range chosen {
		before += u.Size
		needed += u.neededBoxes + int64(u.needed)*blobCost
	}
	for left := needed; left > 0; left -= target {
		written += pack.Padded(min(left, target))
	}
	if gathered < gatherFrom && before-written < before/rewriteGain {
		return nil, 0 // what would be written is no less
	}
	slices.SortFunc(chosen, func(a, b *packUse) int { return a.ID.Compare(b.ID) })
	return chosen, written
}
