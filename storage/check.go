package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/ledger"
	"restante/storage/messages"
	"restante/storage/objects"
)

// CheckOptions say how much is checked.
type CheckOptions struct {
	// ReadData is the share of the packs whose every blob is read, from 0 to
	// 1; which packs is left to chance.
	ReadData float64
	// Progress is told from time to time how far it is; may be nil.
	Progress func(CheckProgress)
}

// CheckProgress says what is being checked and how far it is.
type CheckProgress struct {
	Step        string
	Done, Total int64 // packs, or snapshots
}

// A Finding is something that is wrong.
type Finding struct {
	Object  string `json:"object"`  // the object's name, or what else it is about
	Problem string `json:"problem"` // a sentence
}

// Checked is what a check went through and found.
type Checked struct {
	Entries   uint64    `json:"ledger_entries"`
	Packs     int       `json:"packs"`
	PackBytes int64     `json:"pack_bytes"`
	Indexes   int       `json:"indexes"`
	Snapshots int       `json:"snapshots"`
	Messages  int64     `json:"messages"` // distinct places: a message in two snapshots counts once
	PacksRead int       `json:"packs_read"`
	BytesRead int64     `json:"bytes_read"`
	Unneeded  int       `json:"unneeded_packs"` // in the store, unknown to the ledger: of runs that were interrupted
	Findings  []Finding `json:"findings"`
}

// Check proves the ledger from its first entry on, and that what it says is
// there: keys, vaults, packs with their directories, indexes that agree with
// them, and the tree of every snapshot down to the recipe of every message.
// With ReadData it also opens every segment of a share of the packs, proves
// every blob in them and what their recipes refer to.
//
// It changes nothing. The error says that the check could not be done; what is
// wrong with the repository is in the Findings.
func (r *Repository) Check(ctx context.Context, o CheckOptions) (*Checked, error) {
	c := &checker{opened: r, o: o, result: Checked{Findings: []Finding{}}, seen: map[BlobID]bool{}}
	if c.o.Progress == nil {
		c.o.Progress = func(CheckProgress) {}
	}
	// What a cache or this process has read before proves nothing of the
	// store: the check begins with nothing at hand.
	c.repo = r.bare()
	defer c.repo.Close()
	for _, step := range []func(context.Context) error{c.ledger, c.keys, c.packs, c.indexes, c.snapshots, c.data} {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	c.settle(ctx)
	slices.SortStableFunc(c.result.Findings, func(a, b Finding) int { return slices.Compare([]byte(a.Object), []byte(b.Object)) })
	return &c.result, nil
}

type checker struct {
	opened *Repository // as the caller has it
	repo   *Repository // the same with nothing at hand
	o      CheckOptions

	mu     sync.Mutex // guards result and seen
	result Checked
	seen   map[BlobID]bool // structure blobs that were gone through

	state  *ledger.State // what the ledger gives; not changed any more
	vaults map[ID]*vault // their index is made of the packs' own directories and nothing else
}

// bare returns the same repository with a temporary cache and no ledger. It
// must be closed.
func (r *Repository) bare() *Repository {
	return &Repository{store: r.store, config: r.config, id: r.id, configSum: r.configSum, sealer: r.sealer, key: r.key,
		slot: r.slot, slotSum: r.slotSum, cache: openCache("", ""), log: slog.New(slog.DiscardHandler), // what is wrong becomes a finding
		segments: newSegmentCache(r.segments.limit), vaults: map[ID]*vault{}}
}

func (c *checker) found(object, format string, a ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Findings = append(c.result.Findings, Finding{object, fmt.Sprintf(format, a...)})
}

// ledger reads the whole ledger, whatever caches and checkpoints say.
func (c *checker) ledger(ctx context.Context) error {
	c.o.Progress(CheckProgress{Step: "ledger"})
	b, err := c.repo.store.Get(ctx, configName, 0, -1)
	switch {
	case errors.Is(err, objects.ErrNotFound):
		c.found(configName, "it is missing; without it nobody can open the repository who has no cache of it")
	case err != nil:
		return fmt.Errorf("read %s: %w", configName, err)
	}
	// Entry 0 says which config it is; the one at hand may be out of a damaged
	// cache.
	l := ledger.New(c.repo.store, boxes{c.repo}, sha256.Sum256(b), "check")
	err = l.Complete(ctx)
	if sha256.Sum256(b) != c.repo.configSum && errors.Is(err, ledger.ErrChain) && l.Entries() == 0 {
		if b != nil {
			c.found(configName, "it is not the config that this repository was made with")
		}
		l = ledger.New(c.repo.store, boxes{c.repo}, c.repo.configSum, "check")
		err = l.Complete(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		damaged, damagedErr := l.Damaged(ctx)
		if damagedErr != nil {
			return damagedErr
		}
		for name, why := range damaged {
			c.found(name, "%v", why)
		}
		c.found(ledger.Slot(l.Entries()), "%v; it and all after it are not proven", err)
	}
	if l.Entries() < c.opened.ledger.Entries() {
		// A checkpoint or cache knows more: what it says of the rest is better
		// than nothing.
		l = c.opened.ledger
	} else if l.Entries() == c.opened.ledger.Entries() && !ledger.Equal(l, c.opened.ledger) {
		c.found("checkpoints", "the state kept in a checkpoint or cache is not what the ledger gives")
	}
	c.repo.ledger = l
	damaged, err := l.DamagedCheckpoints(ctx)
	if err != nil {
		return err
	}
	for name, why := range damaged {
		c.found(name, "%v; readers pass it over, and it can be deleted", why)
	}
	if c.state, err = l.Clone(); err != nil {
		return err
	}
	c.result.Entries = c.state.Next
	for _, v := range c.state.Violations {
		c.found("ledger", "%s", v)
	}
	return nil
}

func (c *checker) keys(ctx context.Context) error {
	there := map[string]bool{}
	for info, err := range c.repo.store.List(ctx, keysPrefix, "") {
		if err != nil {
			return fmt.Errorf("list key slots: %w", err)
		}
		there[info.Name] = true
	}
	for id, k := range c.state.Keys {
		name := keysPrefix + id.String()
		switch {
		case !k.Removed && !there[name]:
			c.found(name, "the key slot is missing")
		case k.Removed && there[name]:
			c.found(name, "the key slot was removed, but its object is still there; remove it again")
		case !k.Removed:
			b, err := c.repo.store.Get(ctx, name, 0, -1)
			if err != nil && !errors.Is(err, objects.ErrNotFound) {
				return fmt.Errorf("read key slot %s: %w", id.Short(), err)
			}
			want := k.Sum
			if id == c.repo.slot {
				want = c.repo.slotSum[:]
			}
			if sum := sha256.Sum256(b); err != nil || len(want) > 0 && !bytes.Equal(sum[:], want) {
				c.found(name, "the key slot is damaged; nobody can open the repository with it")
			}
		}
	}
	c.vaults = map[ID]*vault{}
	for id := range c.state.Vaults {
		v, err := c.repo.vault(ctx, id)
		if err != nil {
			c.found(vaultName(id), "%v; nothing of this vault can be read", err)
			continue
		}
		c.vaults[id] = v
	}
	return nil
}

// packs proves that every live pack is there with the right size and a
// directory that opens, and indexes them anew.
func (c *checker) packs(ctx context.Context) error {
	sizes := map[string]int64{}
	for info, err := range c.repo.store.List(ctx, "packs/", "") {
		if err != nil {
			return fmt.Errorf("list packs: %w", err)
		}
		sizes[info.Name] = info.Size
	}
	var list []ledger.Pack
	for _, id := range slices.SortedFunc(maps.Keys(c.state.Packs), ulid.ULID.Compare) {
		p := c.state.Packs[id]
		name := packName(id)
		size, there := sizes[name]
		delete(sizes, name)
		c.result.Packs++
		c.result.PackBytes += p.Size
		switch {
		case !there:
			c.found(name, "the pack is missing; %d blobs are in it", p.Blobs)
		case size != p.Size:
			c.found(name, "the pack has %d octets where it should have %d", size, p.Size)
		case c.vaults[p.Vault] != nil:
			list = append(list, p)
		}
	}
	for name := range sizes {
		id, err := ulid.ParseStrict(name[len("packs/"):])
		if _, condemned := c.state.Condemned[id]; err != nil || !condemned {
			c.result.Unneeded++
		}
	}
	var mu sync.Mutex
	read := map[*vault][]index.Pack{}
	add := func(v *vault) error {
		mu.Lock()
		batch := read[v]
		delete(read, v)
		mu.Unlock()
		err := v.index.Add(batch, func(ulid.ULID) bool { return true })
		if errors.Is(err, index.ErrDamaged) { // of the temporary index; it is made again
			return nil
		}
		return err
	}
	err := c.eachPack(ctx, "packs", list, func(ctx context.Context, v *vault, p ledger.Pack) error {
		d, err := v.readDirectory(ctx, p)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.found(packName(p.ID), "%v", err)
			return nil
		}
		if d.Blobs() != p.Blobs {
			c.found(packName(p.ID), "its directory lists %d blobs where the ledger says %d", d.Blobs(), p.Blobs)
		}
		mu.Lock()
		read[v] = append(read[v], index.Pack{ID: p.ID, Size: p.Size, Directory: d})
		full := len(read[v]) == 16 // a table for each pack would be many files
		mu.Unlock()
		if full {
			return add(v)
		}
		return nil
	})
	for _, v := range c.vaults {
		err = errors.Join(err, add(v))
	}
	return err
}

// settle drops findings about what others removed while the check ran.
func (c *checker) settle(ctx context.Context) {
	if len(c.result.Findings) == 0 || c.repo.ledger.Refresh(ctx) != nil {
		return
	}
	c.repo.ledger.View(func(s *ledger.State) {
		gone := map[string]bool{}
		for id := range s.Condemned {
			gone[packName(id)] = true
		}
		for id := range c.state.Indexes {
			if _, there := s.Indexes[id]; !there {
				gone[indexName(id)] = true
			}
		}
		for _, list := range c.state.Snapshots {
			for _, snap := range list {
				if _, there := s.Snapshot(snap.ID); !there {
					gone[snapshotName(snap)] = true
				}
			}
		}
		c.result.Findings = slices.DeleteFunc(c.result.Findings, func(f Finding) bool { return gone[f.Object] })
	})
}

func snapshotName(s Snapshot) string { return "snapshot " + s.ID.Short() + " of " + s.Account }

// eachPack does something for each pack, several at a time.
func (c *checker) eachPack(ctx context.Context, step string, list []ledger.Pack, do func(context.Context, *vault, ledger.Pack) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	var done atomic.Int64
	for _, p := range list {
		g.Go(func() error {
			if err := do(ctx, c.vaults[p.Vault], p); err != nil {
				return err
			}
			c.o.Progress(CheckProgress{step, done.Add(1), int64(len(list))})
			return nil
		})
	}
	return g.Wait()
}

// indexes proves that indexes say what the packs' directories say.
func (c *checker) indexes(ctx context.Context) error {
	for id, i := range c.state.Indexes {
		c.result.Indexes++
		v := c.vaults[i.Vault]
		if v == nil {
			continue
		}
		packs, err := v.readIndex(ctx, i)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.found(indexName(id), "%v; the packs' own directories are used instead", err)
			continue
		}
		var want []index.Pack
		err = v.withIndex(ctx, func() (err error) {
			want, err = v.index.Directories(i.Packs)
			return err
		})
		if err != nil {
			return err
		}
		same := map[ulid.ULID][]byte{}
		for _, p := range want {
			same[p.ID] = p.Directory.Append(nil)
		}
		for _, p := range packs {
			if d, ok := same[p.ID]; ok && !slices.Equal(d, p.Directory.Append(nil)) {
				c.found(indexName(id), "what it says of pack %s is not what the pack says", p.ID)
			}
		}
	}
	return nil
}

// snapshots goes through every tree, each blob of which once.
func (c *checker) snapshots(ctx context.Context) error {
	var list []Snapshot
	for _, account := range slices.Sorted(maps.Keys(c.state.Snapshots)) {
		list = append(list, c.state.Snapshots[account]...)
	}
	c.result.Snapshots = len(list)
	for i, s := range list {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		c.o.Progress(CheckProgress{"snapshots", int64(i), int64(len(list))})
		if c.vaults[s.Vault] == nil {
			continue
		}
		if err := c.snapshot(ctx, s); err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.found(snapshotName(s), "%v", err)
		}
	}
	return nil
}

func (c *checker) snapshot(ctx context.Context, s Snapshot) error {
	if c.seen[s.Root] {
		return nil
	}
	t, err := c.repo.OpenSnapshot(ctx, s)
	if err != nil {
		return err
	}
	v := c.vaults[s.Vault]
	var errs []error
	var counted int64
	for _, f := range t.Folders {
		counted += f.Messages
		if c.seen[f.id] {
			continue
		}
		if err := c.folder(ctx, v, f); err != nil {
			errs = append(errs, err)
			continue
		}
		c.seen[f.id] = true
	}
	if counted != s.Messages {
		errs = append(errs, fmt.Errorf("its folders hold %d messages where it says %d", counted, s.Messages))
	}
	if errs == nil {
		c.seen[s.Root] = true
	}
	return errors.Join(errs...)
}

func (c *checker) folder(ctx context.Context, v *vault, f *Folder) error {
	lost := 0
	var current BlobID // of the page at hand
	for list, err := range f.PageWise(ctx, func(id BlobID) bool { current = id; return c.seen[id] }) {
		if err != nil {
			return err
		}
		before := lost
		for _, m := range list {
			c.result.Messages++
			_, found, err := v.locate(ctx, m.Recipe)
			if err != nil {
				return err
			}
			if !found {
				lost++
			}
		}
		c.seen[current] = lost == before
	}
	flags := int64(0)
	for _, err := range f.Flags(ctx) {
		if err != nil {
			return err
		}
		flags++
	}
	if flags != f.Messages {
		return fmt.Errorf("folder %q: flags of %d messages where it says %d", f.Name(), flags, f.Messages)
	}
	if lost > 0 {
		return fmt.Errorf("folder %q: no pack has the recipes of %d messages", f.Name(), lost)
	}
	return nil
}

// data reads every blob of a share of the packs.
func (c *checker) data(ctx context.Context) error {
	if c.o.ReadData <= 0 {
		return nil
	}
	bad := map[string]bool{}
	for _, f := range c.result.Findings {
		bad[f.Object] = true
	}
	var list []ledger.Pack
	for id, p := range c.state.Packs {
		if c.vaults[p.Vault] != nil && !bad[packName(id)] && chance() < c.o.ReadData {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b ledger.Pack) int { return a.ID.Compare(b.ID) })
	return c.eachPack(ctx, "data", list, func(ctx context.Context, v *vault, p ledger.Pack) error {
		b, err := c.repo.store.Get(ctx, packName(p.ID), 0, -1)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.found(packName(p.ID), "%v", err)
			return nil
		}
		c.mu.Lock()
		c.result.PacksRead++
		c.result.BytesRead += int64(len(b))
		c.mu.Unlock()
		if err := v.checkPack(ctx, p, b); err != nil {
			c.found(packName(p.ID), "%v", err)
		}
		return nil
	})
}

// chance is a random number from 0 to 1.
func chance() float64 {
	var b [8]byte
	rand.Read(b[:])
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}

// checkPack proves every segment and blob of a pack, and that what its recipes
// refer to is in a live pack.
func (v *vault) checkPack(ctx context.Context, p ledger.Pack, b []byte) error {
	if err := pack.CheckHead(b); err != nil {
		return err
	}
	d, err := pack.ReadDirectory(&v.scope, p.ID, int64(len(b)), func(offset, length int64) ([]byte, error) {
		if offset < 0 || offset+length > int64(len(b)) {
			return nil, objects.ErrRange
		}
		return b[offset:][:length], nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range d {
		raw, err := v.scope.OpenSegment(s.Class, b[s.Offset:][:s.Box], s.Raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("%d blobs of %s at %d: %w", len(s.IDs), s.Class, s.Offset, err))
			continue
		}
		for i, id := range s.IDs {
			blob := raw[:s.Lengths[i]]
			raw = raw[s.Lengths[i]:]
			if v.blobID(domainOf(s.Class), blob) != id {
				errs = append(errs, fmt.Errorf("blob %x: %w", id, ErrDamaged))
				continue
			}
			if s.Class == pack.Recipes {
				if err := v.checkRecipe(ctx, blob); err != nil {
					errs = append(errs, fmt.Errorf("recipe %x: %w", id, err))
				}
			}
		}
	}
	return errors.Join(errs...)
}

func (v *vault) checkRecipe(ctx context.Context, recipe []byte) error {
	refs, err := messages.References(recipe)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		l, found, err := v.locate(ctx, ref.ID)
		if err != nil {
			return err
		}
		if !found || domainOf(l.Class) != contentDomain {
			return fmt.Errorf("part %x is %w", ref.ID, ErrMissing)
		}
		if int64(l.Length) != ref.Size {
			return fmt.Errorf("part %x has %d octets where the recipe says %d: %w", ref.ID, l.Length, ref.Size, ErrDamaged)
		}
	}
	return nil
}
