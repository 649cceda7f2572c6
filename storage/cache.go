package storage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"restante/storage/internal/seal"
	"restante/storage/objects"
)

// cache is a directory with what this machine has read of one repository:
//
//	config, keys/<id>        copies of the objects
//	state                    the ledger's state, sealed
//	index/<vault>/           tables of blob ids (package index)
//	structure/<pack>-<at>    boxes of structure segments, as they are in packs
//
// Nothing in it is needed, and it may be deleted at any time, or not be there
// at all because nothing can be written. Several
// processes may use it at once: files are written under another name and
// renamed. A vault's key is never in it, since destroying the key in the
// store must destroy the vault's mail.
type cache struct {
	dir       string // empty: there is none
	temporary bool
	read      atomic.Bool // something came out of it
}

// structureLimit is how many octets of structure segments are kept.
const structureLimit = 1 << 30

// openCache opens the cache of the repository at a location, as the options have
// it. Its directory is made when something is put into it.
func openCache(o Options, location string) *cache {
	if o.NoCache {
		return &cache{}
	}
	root := o.CacheDir
	if root == "" {
		return &cache{dir: filepath.Join(os.TempDir(), "restante-cache-"+rand.Text()), temporary: true}
	}
	sum := sha256.Sum256([]byte(location))
	return &cache{dir: filepath.Join(root, hex.EncodeToString(sum[:8]))}
}

// warm says that something came out of the cache.
func (c *cache) warm() bool { return c.read.Load() }

// none says that nothing is kept.
func (c *cache) none() bool { return c.dir == "" }

// below is the path of a directory in the cache; empty where there is none.
func (c *cache) below(names ...string) string {
	if c.none() {
		return ""
	}
	return filepath.Join(c.dir, filepath.Join(names...))
}

func (c *cache) get(name string) ([]byte, error) {
	if c.none() {
		return nil, fs.ErrNotExist
	}
	b, err := os.ReadFile(filepath.Join(c.dir, filepath.FromSlash(name)))
	if err == nil {
		c.read.Store(true)
	}
	return b, err
}

func (c *cache) put(name string, b []byte) error {
	if c.none() {
		return nil
	}
	path := filepath.Join(c.dir, filepath.FromSlash(name))
	f, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if errors.Is(err, fs.ErrNotExist) { // most often the directory is there
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.CreateTemp(filepath.Dir(path), "new-*")
		}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// remove removes a file and says whether it was there.
func (c *cache) remove(name string) bool {
	return !c.none() && os.Remove(filepath.Join(c.dir, filepath.FromSlash(name))) == nil
}

// through gets an object that never changes, from the cache where it is there.
func (c *cache) through(ctx context.Context, store objects.Store, name string) ([]byte, error) {
	if b, err := c.get(name); err == nil {
		return b, nil
	}
	b, err := store.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	c.put(name, b) // without it the next run reads it again
	return b, nil
}

// openSealed and putSealed are for what the store has only in other form.

func (c *cache) openSealed(r *Repository, name string) ([]byte, error) {
	box, err := c.get(name)
	if err != nil {
		return nil, err
	}
	return r.sealer.Open(&r.key, seal.Cache, []byte(name), box, -1)
}

func (c *cache) putSealed(r *Repository, name string, plain []byte) error {
	if c.none() {
		return nil
	}
	box, err := r.sealer.Seal(nil, &r.key, seal.Cache, []byte(name), plain, seal.Options{Compress: seal.Fast})
	if err != nil {
		return err
	}
	return c.put(name, box)
}

// clear removes all that is in the cache.
func (c *cache) clear() {
	if c.none() {
		return
	}
	entries, _ := os.ReadDir(c.dir)
	for _, e := range entries {
		os.RemoveAll(filepath.Join(c.dir, e.Name()))
	}
	c.read.Store(false)
}

func (c *cache) close() error {
	if c.none() {
		return nil
	}
	if c.temporary {
		return os.RemoveAll(c.dir)
	}
	c.trim()
	return nil
}

// trim removes the structure segments that were not used for longest, where
// they take too much, and what dead writers left.
func (c *cache) trim() {
	if _, err := os.Lstat(c.dir); err != nil {
		return
	}
	for _, pattern := range []string{"new-*", "keys/new-*", "structure/new-*"} {
		left, _ := filepath.Glob(filepath.Join(c.dir, filepath.FromSlash(pattern)))
		for _, path := range left {
			if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
				os.Remove(path)
			}
		}
	}
	dir := filepath.Join(c.dir, "structure")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	var files []os.FileInfo
	total := int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, info)
			total += info.Size()
		}
	}
	if total <= structureLimit {
		return
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= structureLimit*3/4 {
			return
		}
		if os.Remove(filepath.Join(dir, f.Name())) == nil {
			total -= f.Size()
		}
	}
}

// used notes that a structure segment was used.
func (c *cache) used(name string) {
	now := time.Now()
	os.Chtimes(filepath.Join(c.dir, filepath.FromSlash(name)), now, now)
}
