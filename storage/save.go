package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/oklog/ulid/v2"

	"restante/storage/internal/index"
	"restante/storage/internal/pack"
	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/messages"
)

// A Writer saves blobs of one vault into packs, and commits snapshots that
// need them. Nothing that it saves is in the repository before a Commit
// returns. Its methods may be called from many goroutines.
//
// One that a [Group] gave shares packs and ledger entries with the others.
type Writer struct {
	repo *Repository
	v    *vault
	// room is the company of a member of a group, whose shared Writer does the
	// work; nil: this Writer works for itself alone.
	room *room
	ctx  context.Context // of what goes on in the background
	stop context.CancelCauseFunc

	refresh  sync.Once // before the first blob is saved
	sealers  chan struct{}
	uploads  chan struct{}
	inFlight sync.WaitGroup // segments being sealed, then packs being written

	// gate lets nobody save while a commit is made: held for reading by save,
	// for writing by Commit.
	gate sync.RWMutex

	mu      sync.Mutex // guards what follows
	open    [pack.Structure + 1]segmentDraft
	pending map[BlobID]struct{} // saved, and not in the index yet
	recent  map[BlobID][]byte   // structure among them, for drafts that go on
	// used are packs that the next snapshots need: of a member, guarded by the
	// shared Writer's mu, which has none itself.
	used    map[ulid.ULID]struct{}
	pack    *pack.Builder
	written []index.Pack // in the store, not committed
	err     error        // what ended the work in the background

	stored int64 // octets written to the store
	raw    int64 // octets of new blobs
	// Of a shared Writer, members are those it works for, and counted is what of
	// stored they have as theirs; of a member, counted is what of raw it has.
	members map[*Writer]bool
	counted int64
}

// A segmentDraft gathers the blobs of the next segment of a class.
type segmentDraft struct {
	raw     []byte
	ids     []BlobID
	lengths []uint32
}

// Writer returns a Writer for the vault. It must be closed. What it does in
// the background ends with ctx.
func (r *Repository) Writer(ctx context.Context, vaultID ID) (*Writer, error) {
	v, err := r.vault(ctx, vaultID)
	if err != nil {
		return nil, err
	}
	return r.writer(ctx, v), nil
}

func (r *Repository) writer(ctx context.Context, v *vault) *Writer {
	w := &Writer{
		repo: r, v: v,
		sealers: make(chan struct{}, runtime.GOMAXPROCS(0)), uploads: make(chan struct{}, 2),
		pending: map[BlobID]struct{}{}, recent: map[BlobID][]byte{}, used: map[ulid.ULID]struct{}{},
	}
	w.ctx, w.stop = context.WithCancelCause(ctx)
	return w
}

// shared is the Writer that does the work.
func (w *Writer) shared() *Writer {
	if w.room != nil {
		return w.room.w
	}
	return w
}

// Close ends what goes on in the background. What was not committed is given
// up.
func (w *Writer) Close() {
	if w.room != nil {
		w.room.leave(w)
		return
	}
	w.stop(errors.New("the writer is closed"))
	w.inFlight.Wait()
}

// Vault is the id of the vault written to.
func (w *Writer) Vault() ID { return w.v.id }

// SavedMessage is what SaveMessage made of a message.
type SavedMessage struct {
	Recipe BlobID
	New    bool // the vault did not have it before
	Whole  bool // it could not be cut exactly and is stored as it is
}

// SaveMessage saves the message of size octets in m.
func (w *Writer) SaveMessage(m io.ReaderAt, size int64) (SavedMessage, error) {
	result, err := messages.Split(m, size, func(kind messages.Kind, part []byte) (BlobID, error) {
		class := pack.Attachments
		if kind == messages.Text {
			class = pack.Text
		}
		id, _, err := w.save(class, part)
		return id, err
	})
	if err != nil {
		return SavedMessage{}, err
	}
	id, isNew, err := w.save(pack.Recipes, result.Recipe)
	return SavedMessage{id, isNew, result.Fallback}, err
}

// saveStructure saves a blob of a tree. The octets are kept until they are
// committed, and must not be changed.
func (w *Writer) saveStructure(octets []byte) (BlobID, error) {
	id, _, err := w.save(pack.Structure, octets)
	return id, err
}

func (w *Writer) recentStructure(id BlobID) ([]byte, bool) {
	w = w.shared()
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.recent[id]
	return b, ok
}

// save saves a blob, unless the vault has it.
func (w *Writer) save(c pack.Class, octets []byte) (id BlobID, isNew bool, err error) {
	return w.shared().saveFor(w, c, octets)
}

// saveFor is save of a member, or of this Writer itself.
func (w *Writer) saveFor(m *Writer, c pack.Class, octets []byte) (id BlobID, isNew bool, err error) {
	w.gate.RLock()
	defer w.gate.RUnlock()
	var refreshErr error
	w.refresh.Do(func() { refreshErr = w.repo.ledger.Refresh(w.ctx) })
	if refreshErr != nil {
		w.fail(refreshErr)
		return id, false, refreshErr
	}
	id = w.v.blobID(domainOf(c), octets)
	w.mu.Lock()
	_, there := w.pending[id]
	err = w.err
	w.mu.Unlock()
	if there || err != nil {
		return id, false, err
	}
	where, found, err := w.v.locate(w.ctx, id)
	if err != nil {
		return id, false, err
	}

	w.mu.Lock()
	if found {
		m.used[where.Pack] = struct{}{}
		w.mu.Unlock()
		return id, false, nil
	}
	if _, there := w.pending[id]; there { // another goroutine was faster
		w.mu.Unlock()
		return id, false, nil
	}
	w.pending[id] = struct{}{}
	if c == pack.Structure {
		w.recent[id] = octets // whoever finds it pending reads it there
	}
	w.raw += int64(len(octets))
	if m != w {
		m.raw += int64(len(octets))
	}
	d := &w.open[c]
	var full segmentDraft
	if len(d.raw) > 0 && len(d.raw)+len(octets) > w.target(c) {
		full, *d = *d, segmentDraft{}
	}
	if d.raw == nil {
		d.raw = segmentBuffer(w.target(c))
	}
	d.raw = append(d.raw, octets...)
	d.ids = append(d.ids, id)
	d.lengths = append(d.lengths, uint32(len(octets)))
	w.mu.Unlock()
	if full.ids != nil {
		err = w.seal(c, full)
	}
	return id, true, err
}

// target is how many octets go into a segment of a class. Attachments gain
// nothing from being together, and are read one by one.
func (w *Writer) target(c pack.Class) int {
	if c == pack.Attachments {
		return w.repo.config.Segment / 4
	}
	return w.repo.config.Segment
}

var segmentBuffers sync.Pool

func segmentBuffer(size int) []byte {
	if b, ok := segmentBuffers.Get().(*[]byte); ok && cap(*b) >= size {
		return (*b)[:0]
	}
	return make([]byte, 0, size)
}

func (w *Writer) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.stop(err)
}

// seal makes a segment of a draft in the background. It waits while others
// are being made.
func (w *Writer) seal(c pack.Class, d segmentDraft) error {
	select {
	case w.sealers <- struct{}{}:
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
	w.inFlight.Go(func() {
		defer func() { <-w.sealers }()
		if err := w.sealNow(c, d); err != nil {
			w.fail(err)
		}
	})
	return nil
}

func (w *Writer) sealNow(c pack.Class, d segmentDraft) error {
	box, err := w.v.scope.SealSegment(c, d.raw, seal.Good)
	if err != nil {
		return fmt.Errorf("seal %s: %w", c, err)
	}
	// The proof: what a reader will get is what was saved.
	raw, err := w.v.scope.OpenSegment(c, box, len(d.raw))
	if err != nil {
		return fmt.Errorf("a segment of %s cannot be opened again right after it was sealed; is the memory of this machine sound? %w", c, err)
	}
	for i, rest := 0, raw; i < len(d.ids); i++ {
		if w.v.blobID(domainOf(c), rest[:d.lengths[i]]) != d.ids[i] {
			return fmt.Errorf("blob %x changed between saving and sealing; is the memory of this machine sound? %w", d.ids[i], ErrDamaged)
		}
		rest = rest[d.lengths[i]:]
	}
	size := len(d.raw)
	segmentBuffers.Put(&d.raw)

	w.mu.Lock()
	if w.pack == nil {
		w.pack = pack.NewBuilder(&w.v.scope, newName())
	}
	id := w.pack.ID()
	offset := w.pack.Add(c, box, size, d.ids, d.lengths)
	var full *pack.Builder
	if w.pack.Full(w.repo.config.Pack) {
		full, w.pack = w.pack, nil
	}
	w.mu.Unlock()
	if c == pack.Structure {
		w.repo.cache.put(structureName(id, offset), box)
	}
	if full != nil {
		return w.write(full)
	}
	return nil
}

// write puts a pack into the store in the background. It waits while others
// are being written.
func (w *Writer) write(b *pack.Builder) error {
	octets, dir, err := b.Finish()
	if err != nil {
		return fmt.Errorf("finish a pack: %w", err)
	}
	select {
	case w.uploads <- struct{}{}:
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
	w.inFlight.Go(func() {
		defer func() { <-w.uploads }()
		if err := w.repo.put(w.ctx, packName(b.ID()), octets); err != nil {
			w.fail(fmt.Errorf("write pack %s: %w", b.ID(), err))
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.written = append(w.written, index.Pack{ID: b.ID(), Size: int64(len(octets)), Directory: dir})
		w.stored += int64(len(octets))
	})
	return nil
}

// flush seals and writes all that was saved. The caller holds gate.
func (w *Writer) flush() error {
	for c := range w.open {
		w.mu.Lock()
		var d segmentDraft
		d, w.open[c] = w.open[c], segmentDraft{}
		w.mu.Unlock()
		if d.ids != nil {
			if err := w.seal(pack.Class(c), d); err != nil {
				return err
			}
		}
	}
	w.inFlight.Wait()
	w.mu.Lock()
	last := w.pack
	w.pack = nil
	w.mu.Unlock()
	if last != nil {
		if err := w.write(last); err != nil {
			return err
		}
		w.inFlight.Wait()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	return context.Cause(w.ctx)
}

// put writes an object under a name that nobody else uses. The same octets
// may be put again after an unclear answer.
func (r *Repository) put(ctx context.Context, name string, octets []byte) error {
	var err error
	for i := range 4 {
		if err = r.store.Put(ctx, name, octets); err == nil || final(err) {
			return err
		}
		if waitErr := ledger.Pause(ctx, i+4); waitErr != nil {
			return errors.Join(err, waitErr)
		}
	}
	return err
}

// newName returns a name for a pack or an index that nobody else has. Names
// sort by the time.
func newName() (id ulid.ULID) {
	id.SetTime(nameTime())
	rand.Read(id[6:])
	return id
}
