// Package storage keeps mail at rest: a repository of snapshots in an object
// store, encrypted, deduplicated and compressed. [Init] makes one, [Open]
// opens it. A [Writer] saves messages and commits snapshots;
// [Repository.OpenSnapshot] reads them back.
//
//	config               what the repository is, readable without a key
//	keys/<id>            key slots: the repository key, wrapped
//	vaults/<id>          each vault's key
//	packs/<ulid>         blobs in sealed segments, and a directory of them
//	indexes/<ulid>       directories of packs, gathered
//	ledger/<n>           what happened, in order, for ever
//	checkpoints/<n>      the state after entry n
//
// FORMAT.md, beside this file, has every octet.
package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// Short names for what callers meet all the time.
type (
	// An ID names a snapshot, a vault, a key slot or a hold.
	ID = ledger.ID
	// A Snapshot is an account at a point in time.
	Snapshot = ledger.Snapshot
	// A BlobID is a blob's name, made from its octets under the vault's key.
	BlobID = [16]byte
)

// Errors that people must be told apart. Others are those of the store and
// the ledger.
var (
	// ErrNoRepository: there is none at that place.
	ErrNoRepository = errors.New("there is no repository")
	// ErrExists: there is one already.
	ErrExists = errors.New("there is a repository already")
	// ErrWrongKey: no key slot opens with what was given.
	ErrWrongKey = errors.New("no key slot opens with this passphrase or identity")
	// ErrDamaged: an object is not what was written.
	ErrDamaged = errors.New("damaged")
	// ErrMissing: an object that is needed is not there.
	ErrMissing = errors.New("missing")
)

const (
	configName = "config"
	format     = 1
)

// config is the object that says what the repository is. FORMAT.md section 2.
type config struct {
	Restante string `json:"restante"` // "repository"
	Format   int    `json:"format"`
	ID       string `json:"id"`      // 32 hexadecimal digits
	Segment  int    `json:"segment"` // octets aimed at before compression
	Pack     int64  `json:"pack"`    // octets aimed at
}

func parseConfig(b []byte) (config, [16]byte, error) {
	var c config
	var id [16]byte
	if err := json.Unmarshal(b, &c); err != nil || c.Restante != "repository" {
		return c, id, fmt.Errorf("%s: not the config of a repository: %w", configName, ErrDamaged)
	}
	if c.Format != format {
		return c, id, fmt.Errorf("the repository has format %d, this program knows %d: %w", c.Format, format, ledger.ErrNewer)
	}
	raw, err := hex.DecodeString(c.ID)
	if err != nil || len(raw) != len(id) || c.Segment < 1<<10 || c.Segment > 32<<20 || c.Pack < 64<<10 || c.Pack > 48<<20 {
		return c, id, fmt.Errorf("%s: %w", configName, ErrDamaged)
	}
	return c, [16]byte(raw), nil
}

// A Repository is an open repository. Its methods may be called from many
// goroutines.
type Repository struct {
	store  objects.Store
	config config
	id     [16]byte
	sealer *seal.Sealer
	key    seal.Key
	slot   ID // the key slot that opened it
	// slotSum is the SHA-256 of that slot's object, configSum that of config.
	slotSum, configSum [32]byte
	ledger             *ledger.Ledger
	cache              *cache
	log                *slog.Logger

	segments *segmentCache

	mu     sync.Mutex // guards vaults
	vaults map[ID]*vault
}

// Options say how a repository is used. The zero value will do.
type Options struct {
	// CacheDir is the directory for what need not be read again, one for all
	// repositories. Empty: a temporary one, removed by Close.
	CacheDir string
	// NoCache keeps all of that in memory, where it ends with Close. It means
	// more memory for a repository with millions of messages.
	NoCache bool
	// Writer is what ledger entries say of who wrote them.
	Writer string
	Log    *slog.Logger
	// Stale leaves out the look for new entries: the repository is as this
	// machine last saw it, and a Writer looks before it saves anything.
	// Without a cache it means nothing.
	Stale bool
	// Damaged also opens a repository whose ledger cannot be read to its end, for
	// Repair and nothing else: what it says of the rest may be missing.
	Damaged bool
	// SegmentMemory is how many octets of opened segments are kept; 0 for 48 MiB.
	SegmentMemory int64
}

func (o *Options) defaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Writer == "" {
		host, _ := os.Hostname()
		o.Writer = "restante on " + host
	}
	if o.SegmentMemory == 0 {
		o.SegmentMemory = 48 << 20
	}
}

// freeMemory takes a millisecond or more. Tests that open a repository
// thousands of times replace it.
var freeMemory = debug.FreeOSMemory

// newSealer makes what seals. Tests that open the same boxes thousands of times
// replace it.
var newSealer = seal.New

// nameTime is the time that names begin with. The test that goes through every
// interleaving has it stand still.
var nameTime = ulid.Now

// Open opens the repository in a store.
func Open(ctx context.Context, store objects.Store, unlock Unlock, o Options) (*Repository, error) {
	o.defaults()
	c := openCache(o, store.Location())
	r, err := open(ctx, store, unlock, o, c)
	if err != nil && c.warm() {
		var astray bool
		if astray, err = ledAstray(ctx, store, c, err); astray {
			c.clear()
			r, err = open(ctx, store, unlock, o, c)
		}
	}
	if err != nil {
		r.ledger = nil // what the cache has is better
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// ledAstray says whether a cache may be why a repository could not be opened:
// it is of another repository that stood at the same place, or damaged. It
// returns the error, or a better one.
func ledAstray(ctx context.Context, store objects.Store, c *cache, err error) (bool, error) {
	cached, _ := c.get(configName)
	stored, storeErr := store.Get(ctx, configName, 0, -1)
	if errors.Is(storeErr, objects.ErrNotFound) {
		return false, fmt.Errorf("%s: %w", store.Location(), ErrNoRepository)
	}
	if storeErr != nil {
		return false, err
	}
	if !bytes.Equal(cached, stored) {
		return true, err
	}
	inStore := errors.Is(err, ledger.ErrShorter) || errors.Is(err, ledger.ErrHole) || errors.Is(err, ErrWrongKey)
	return !inStore, err
}

// open returns a Repository that must be closed even where there is an error.
func open(ctx context.Context, store objects.Store, unlock Unlock, o Options, c *cache) (*Repository, error) {
	r := &Repository{store: store, cache: c, log: o.Log, segments: newSegmentCache(o.SegmentMemory), vaults: map[ID]*vault{}}
	b, err := c.through(ctx, store, configName)
	if errors.Is(err, objects.ErrNotFound) {
		return r, fmt.Errorf("%s: %w", store.Location(), ErrNoRepository)
	}
	if err != nil {
		return r, fmt.Errorf("read %s: %w", configName, err)
	}
	if r.config, r.id, err = parseConfig(b); err != nil {
		return r, err
	}
	r.sealer, r.configSum = newSealer(r.id), sha256.Sum256(b)
	identities, err := unlock.identities()
	if err != nil {
		return r, err
	}
	// More than one slot may open: what an interrupted init left, or a slot
	// that was removed while another has the same passphrase.
	refused := map[ID]error{}
	var first error
	for {
		err := r.unlock(ctx, identities, refused)
		freeMemory() // what scrypt took is more than all else will
		if first != nil && errors.Is(err, ErrWrongKey) {
			return r, first
		}
		if err != nil {
			return r, cmp.Or(first, err)
		}
		err = r.openLedger(ctx, o)
		if err != nil && o.Damaged && r.ledgerDamaged(ctx) {
			return r, nil
		}
		if err == nil {
			if err = r.judgeSlot(); err == nil {
				return r, nil
			}
		} else if !errors.Is(err, ErrDamaged) {
			return r, err
		}
		refused[r.slot] = err
		first = cmp.Or(first, err)
	}
}

// openLedger brings the ledger up to date.
func (r *Repository) openLedger(ctx context.Context, o Options) error {
	r.ledger = ledger.New(r.store, boxes{r}, r.configSum, o.Writer)
	cached := false
	if state, err := r.cache.openSealed(r, stateName); err == nil {
		if err := r.ledger.Import(state); err != nil {
			r.log.Debug("cached state is no use", "error", err)
		}
		cached = true
	} else if err := r.ledger.Leap(ctx); err != nil {
		return err
	}
	if o.Stale && cached {
		err := r.ledger.Verify(ctx)
		if err != nil || r.judgeSlot() == nil {
			return err
		}
		// The slot may be newer than what this machine saw.
	}
	err := r.ledger.Complete(ctx)
	if errors.Is(err, ledger.ErrNone) {
		return r.unfinished()
	}
	return err
}

// ledgerDamaged says whether an entry is missing or damaged, so that the ledger
// cannot be read to its end.
func (r *Repository) ledgerDamaged(ctx context.Context) bool {
	damaged, err := r.ledger.Damaged(ctx)
	return err == nil && len(damaged) > 0
}

// unfinished is the error of a repository without an entry in its ledger.
func (r *Repository) unfinished() error {
	return fmt.Errorf("%s: %w: its making was interrupted; run init again", r.store.Location(), ErrNoRepository)
}

// Close keeps what the next run can use and lets go of the rest.
func (r *Repository) Close() error {
	if r.ledger != nil {
		r.saveState()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, v := range r.vaults {
		errs = append(errs, v.index.Close())
	}
	clear(r.vaults)
	return errors.Join(append(errs, r.cache.close())...)
}

const stateName = "state"

func (r *Repository) saveState() {
	if r.cache.none() {
		return
	}
	b, err := r.ledger.Export()
	if err == nil {
		err = r.cache.putSealed(r, stateName, b)
	}
	if err != nil {
		r.log.Warn("the cache could not be written; the next run reads more", "error", err)
	}
}

// Refresh takes up what others did to the repository since.
func (r *Repository) Refresh(ctx context.Context) error { return r.ledger.Refresh(ctx) }

// Location says where the repository is.
func (r *Repository) Location() string { return r.store.Location() }

// ID is the repository's id, 32 hexadecimal digits.
func (r *Repository) ID() string { return r.config.ID }

// boxes is the ledger's Sealer.
type boxes struct{ r *Repository }

func number(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// ledgerPad is what entries are padded to, in octets of plaintext.
const ledgerPad = 512

func (b boxes) SealEntry(n uint64, plain []byte) ([]byte, error) {
	return b.r.sealer.Seal(nil, &b.r.key, seal.Ledger, number(n), plain, seal.Options{Compress: seal.Fast, Pad: ledgerPad})
}

func (b boxes) OpenEntry(n uint64, box []byte) ([]byte, error) {
	plain, err := b.r.sealer.Open(&b.r.key, seal.Ledger, number(n), box, -1)
	if errors.Is(err, seal.ErrOpen) {
		err = fmt.Errorf("it is %w, or sealed under another key", ErrDamaged)
	}
	return plain, err
}

func (b boxes) SealCheckpoint(n uint64, plain []byte) ([]byte, error) {
	return b.r.sealer.Seal(nil, &b.r.key, seal.Checkpoint, number(n), plain, seal.Options{Compress: seal.Fast})
}

func (b boxes) OpenCheckpoint(n uint64, box []byte) ([]byte, error) {
	return b.r.sealer.Open(&b.r.key, seal.Checkpoint, number(n), box, -1)
}
