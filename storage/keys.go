package storage

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"

	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/objects"
)

const keysPrefix = "keys/"

// Unlock is what a repository is opened with: a passphrase or age identities,
// or both.
type Unlock struct {
	// Passphrase is asked for when a slot needs it; nil: there is none.
	Passphrase func() (string, error)
	// Identities open slots for recipients.
	Identities []age.Identity
}

// Passphrase is an Unlock with this passphrase.
func Passphrase(p string) Unlock {
	return Unlock{Passphrase: func() (string, error) { return p, nil }}
}

// A Lock is what a new key slot is for: a passphrase or an age recipient.
type Lock struct {
	Passphrase string
	// Recipient is an X25519 ("age1…") or post-quantum hybrid ("age1pq1…")
	// recipient.
	Recipient string
	// Label is what the slot is called.
	Label string
	// WorkFactor is the binary logarithm of scrypt's cost; 0 for 17.
	WorkFactor int
}

// workFactor makes scrypt take 128 MiB and about half a second, as OWASP asks
// for ("Password Storage Cheat Sheet"). Age's own choice, 18, takes 256 MiB,
// more than all else that a backup needs.
const workFactor = 17

// mostWorkFactor is the highest that is accepted: 1 GiB. Whoever can write the
// bucket can put a slot there, and it must not take all memory to find that
// it is not ours.
const mostWorkFactor = 20

// How a slot is opened.
const (
	HowPassphrase = "passphrase"
	HowX25519     = "x25519"
	HowHybrid     = "hybrid"
)

func (l *Lock) recipient() (r age.Recipient, how string, err error) {
	switch {
	case l.Passphrase != "" && l.Recipient != "":
		return nil, "", errors.New("a key slot has a passphrase or a recipient, not both")
	case l.Passphrase != "":
		if l.WorkFactor > mostWorkFactor {
			return nil, "", fmt.Errorf("a work factor of %d is more than %d, the most that is accepted", l.WorkFactor, mostWorkFactor)
		}
		s, err := age.NewScryptRecipient(l.Passphrase)
		if err != nil {
			return nil, "", err
		}
		s.SetWorkFactor(cmp.Or(l.WorkFactor, workFactor))
		return s, HowPassphrase, nil
	case strings.HasPrefix(l.Recipient, "age1pq1"):
		r, err = age.ParseHybridRecipient(l.Recipient)
		return r, HowHybrid, err
	case l.Recipient != "":
		r, err = age.ParseX25519Recipient(l.Recipient)
		return r, HowX25519, err
	}
	return nil, "", errors.New("the passphrase is empty")
}

// slotPlain is what a slot's age file holds. FORMAT.md section 3.
type slotPlain struct {
	Restante   string `json:"restante"` // "key"
	Repository string `json:"repository"`
	Key        string `json:"key"`
}

// makeSlot wraps the repository key, puts the age file into the store and
// returns it, too.
func (r *Repository) makeSlot(ctx context.Context, l Lock) (k ledger.Key, file []byte, err error) {
	recipient, how, err := l.recipient()
	if err != nil {
		return k, nil, err
	}
	plain, err := json.Marshal(slotPlain{"key", r.config.ID, base64.StdEncoding.EncodeToString(r.key[:])})
	if err != nil {
		return k, nil, err
	}
	var buf bytes.Buffer
	w, err := age.Encrypt(&buf, recipient)
	if err != nil {
		return k, nil, fmt.Errorf("wrap the repository key: %w", err)
	}
	w.Write(plain)
	if err := w.Close(); err != nil {
		return k, nil, fmt.Errorf("wrap the repository key: %w", err)
	}
	sum := sha256.Sum256(buf.Bytes())
	k = ledger.Key{ID: NewID(), Label: l.Label, How: how, Recipient: l.Recipient, Sum: sum[:]}
	name := keysPrefix + k.ID.String()
	if err := r.store.Put(ctx, name, buf.Bytes()); err != nil {
		return k, nil, fmt.Errorf("write the key slot: %w", err)
	}
	// What wraps the key must be there before anything is sealed with it.
	if back, err := r.store.Get(ctx, name, 0, -1); err != nil || !bytes.Equal(back, buf.Bytes()) {
		return k, nil, errors.Join(fmt.Errorf("the store does not give the key slot back as it was written: %w", ErrDamaged), err)
	}
	return k, buf.Bytes(), nil
}

// unlock finds a slot that opens and takes the repository key out of it. It
// passes over those that were refused.
func (r *Repository) unlock(ctx context.Context, identities []age.Identity, refused map[ID]error) error {
	passed := func(name string) bool {
		id, err := hex.DecodeString(name)
		return err == nil && len(id) == len(ID{}) && refused[ID(id)] != nil
	}
	// The slot that opened last time is most likely the right one.
	if name, err := r.cache.get("slot"); err == nil && !passed(string(name)) {
		if b, err := r.cache.get(keysPrefix + string(name)); err == nil && r.trySlot(string(name), b, identities) == nil {
			return nil
		}
	}
	var names []string
	for info, err := range r.store.List(ctx, keysPrefix, "") {
		if err != nil {
			return fmt.Errorf("list key slots: %w", err)
		}
		if name := strings.TrimPrefix(info.Name, keysPrefix); !passed(name) {
			names = append(names, name)
		}
	}
	foreign := 0
	var damaged error
	for _, name := range names {
		var b []byte
		var getErr error
		err := objects.Proven(func() ([]byte, error) {
			b, getErr = r.store.Get(ctx, keysPrefix+name, 0, -1)
			return b, getErr
		}, func(b []byte) error { return r.trySlot(name, b, identities) })
		switch {
		case errors.Is(getErr, objects.ErrNotFound):
			continue // removed meanwhile
		case getErr != nil:
			return fmt.Errorf("read key slot %s: %w", name, getErr)
		case err == nil:
			r.cacheSlot(name, b)
			return nil
		case errors.Is(err, ErrWrongKey):
			foreign++
		default:
			damaged = fmt.Errorf("key slot %s: %w", name, err)
		}
	}
	switch {
	case foreign == 0 && damaged != nil:
		return damaged
	case damaged != nil:
		return fmt.Errorf("%w; besides, %w", ErrWrongKey, damaged)
	case foreign == 0 && len(refused) == 0:
		if _, err := r.store.Get(ctx, ledger.First, 0, 1); errors.Is(err, objects.ErrNotFound) {
			return r.unfinished()
		}
		return fmt.Errorf("there is no key slot at all: %w", ErrMissing)
	}
	return ErrWrongKey
}

// judgeSlot says why the slot that opened must not be used. It must be in the
// ledger: an init or an AddKey that was interrupted leaves slots that are not,
// with another key even.
func (r *Repository) judgeSlot() (why error) {
	r.ledger.View(func(s *ledger.State) {
		switch k, known := s.Keys[r.slot]; {
		case !known:
			why = fmt.Errorf("key slot %s is not in the ledger: %w", r.slot.Short(), ErrWrongKey)
		case k.Removed:
			why = fmt.Errorf("key slot %s was removed: %w", r.slot.Short(), ErrWrongKey)
		case len(k.Sum) > 0 && !bytes.Equal(k.Sum, r.slotSum[:]):
			why = fmt.Errorf("key slot %s is not what was added under that name: %w", r.slot.Short(), ErrDamaged)
		}
	})
	return why
}

// cacheSlot keeps a copy of the slot that opens the repository.
func (r *Repository) cacheSlot(name string, file []byte) {
	r.cache.put(keysPrefix+name, file)
	r.cache.put("slot", []byte(name))
}

// identities asks for the passphrase at most once.
func (u *Unlock) identities() ([]age.Identity, error) {
	list := slices.Clone(u.Identities)
	if u.Passphrase != nil {
		p, err := u.Passphrase()
		if err != nil {
			return nil, err
		}
		if p == "" {
			return nil, fmt.Errorf("the passphrase is empty: %w", ErrWrongKey)
		}
		s, err := age.NewScryptIdentity(p)
		if err != nil {
			return nil, err
		}
		s.SetMaxWorkFactor(mostWorkFactor)
		list = append(list, s)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("neither a passphrase nor an identity was given: %w", ErrWrongKey)
	}
	return list, nil
}

// openSlot opens the age file of a key slot. Tests that open the same ones
// thousands of times replace it.
var openSlot = func(file []byte, identities []age.Identity) ([]byte, error) {
	in, err := age.Decrypt(bytes.NewReader(file), identities...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(in, 4<<10))
}

func (r *Repository) trySlot(name string, file []byte, identities []age.Identity) error {
	b, err := openSlot(file, identities)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		return ErrWrongKey
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var p slotPlain
	if err := json.Unmarshal(b, &p); err != nil || p.Restante != "key" {
		return ErrDamaged
	}
	key, err := base64.StdEncoding.DecodeString(p.Key)
	id, errID := hex.DecodeString(name)
	if err != nil || errID != nil || len(key) != len(r.key) || len(id) != len(r.slot) {
		return ErrDamaged
	}
	if p.Repository != r.config.ID {
		return fmt.Errorf("it is of another repository: %w", ErrDamaged)
	}
	r.key, r.slot, r.slotSum = seal.Key(key), ID(id), sha256.Sum256(file)
	return nil
}

// Keys lists the key slots that are not removed; used is the one that opened
// the repository.
func (r *Repository) Keys() (slots []ledger.Key, used ID) {
	r.ledger.View(func(s *ledger.State) {
		for _, k := range s.Keys {
			if !k.Removed {
				slots = append(slots, k)
			}
		}
	})
	slices.SortFunc(slots, func(a, b ledger.Key) int {
		if a.Added != b.Added {
			return int(a.Added - b.Added)
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return slots, r.slot
}

// AddKey adds a key slot.
func (r *Repository) AddKey(ctx context.Context, l Lock) (ledger.Key, error) {
	k, _, err := r.makeSlot(ctx, l)
	if err != nil {
		return k, err
	}
	return k, r.ledger.Append(ctx, func(*ledger.State) (ledger.Body, error) { return &k, nil })
}

// errRemovedBefore says that the ledger has it already that a slot is removed.
var errRemovedBefore = errors.New("the key slot was removed before")

// RemoveKey removes the key slot whose id begins with prefix. The last one,
// and the one that opened the repository, stay. Of one that was removed
// before it deletes the object, which a run that was interrupted has left.
func (r *Repository) RemoveKey(ctx context.Context, prefix string) (ledger.Key, error) {
	var k ledger.Key
	err := r.ledger.Append(ctx, func(s *ledger.State) (ledger.Body, error) {
		var there, before []ID
		for id, c := range s.Keys {
			if c.Removed {
				before = append(before, id)
			} else {
				there = append(there, id)
			}
		}
		id, err := named("key slot", prefix, there)
		if gone, errGone := named("key slot", prefix, before); err != nil && id.IsZero() && errGone == nil {
			k = s.Keys[gone]
			return nil, errRemovedBefore
		}
		if err != nil {
			return nil, err
		}
		if k = s.Keys[id]; id == r.slot {
			return nil, fmt.Errorf("key slot %s is the one that opened the repository; open it with another to remove this one", id.Short())
		}
		k.Removed = true
		return &k, nil
	})
	if err != nil && !errors.Is(err, errRemovedBefore) {
		return k, err
	}
	if err := r.store.Delete(ctx, keysPrefix+k.ID.String()); err != nil {
		return k, fmt.Errorf("the slot is removed in the ledger, but its object is still in the store: %w", err)
	}
	return k, nil
}
