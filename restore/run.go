package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"restante/storage"
)

// Options say how a restore is done.
type Options struct {
	// Into are the levels of a folder that everything is put below; empty: into
	// the folders where it was.
	Into []string
	// DryRun finds out what would be done, and does nothing.
	DryRun bool
	// Known tells, of a folder of the target and its epoch, which messages need
	// not be read to be compared, by their IDs; may be nil.
	Known func(ctx context.Context, levels []string, epoch uint32) (map[string]Known, error)
	// JournalDir is a directory for notes on what was added where, which make it
	// cheap to start again; empty: none.
	JournalDir string
	Progress   *Progress
	Log        *slog.Logger
	// Pause waits before the i-th try again; nil: 1 s, doubled each time, at
	// most 30 s.
	Pause func(ctx context.Context, i int) error
}

const (
	// Messages are handed to the target in batches of so many, or so many
	// octets.
	batchMessages = 64
	batchBytes    = 8 << 20
	// mostFailures is how many failures in a row end a restore.
	mostFailures = 6
)

// ErrRoom says that the target has no room for what is missing.
var ErrRoom = errors.New("the target has not enough room")

// Run restores groups of messages to a target: for each folder it finds out
// what is missing there and adds it. It can be interrupted at any time and
// started again; nothing is added twice.
//
// The Report is there even with an error, for what was done until then. That
// messages were refused is no error.
func Run(ctx context.Context, repo *storage.Repository, groups []Group, t Target, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pause == nil {
		o.Pause = pause
	}
	r := &run{o: o, repo: repo, target: t, report: &Report{Target: t.Location(), DryRun: o.DryRun, Folders: []*FolderReport{}}}
	o.Progress.at("listing folders")
	if err := r.place(ctx, groups); err != nil {
		return r.report, err
	}
	o.Progress.at("comparing")
	o.Progress.Folders.Store(int64(len(r.folders)))
	if err := r.each(ctx, (*folder).plan); err != nil {
		return r.report, err
	}
	if err := r.room(ctx); err != nil {
		return r.report, err
	}
	if o.DryRun {
		o.Progress.at("done")
		return r.report, nil
	}
	o.Progress.at("creating folders")
	for _, f := range r.folders {
		if err := f.create(ctx); err != nil {
			return r.report, err
		}
	}
	o.Progress.at("restoring")
	if err := r.each(ctx, (*folder).fill); err != nil {
		return r.report, err
	}
	o.Progress.at("done")
	return r.report, nil
}

func pause(ctx context.Context, i int) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(min(time.Second<<i, 30*time.Second)):
		return nil
	}
}

type run struct {
	o       Options
	repo    *storage.Repository
	target  Target
	report  *Report
	folders []*folder
}

// A folder is one group on its way.
type folder struct {
	*run
	group    Group
	report   *FolderReport
	selected []storage.Message
	missing  []storage.Message
	match    *matcher
	journal  *journal
	epoch    uint32
	refused  map[storage.BlobID]bool // not to be tried again
}

// place finds out where each group goes.
func (r *run) place(ctx context.Context, groups []Group) error {
	there := map[string]Folder{}
	existing, err := r.target.Folders(ctx)
	if err != nil {
		return fmt.Errorf("list the folders of %s: %w", r.target.Location(), err)
	}
	for _, f := range existing {
		there[f.Place] = f
	}
	taken := map[string]string{}
	for _, g := range groups {
		name := g.Folder.Name()
		raw := g.Folder.Raw
		if len(r.o.Into) > 0 {
			raw = nil
		}
		place, notes, err := r.target.Place(slices.Concat(r.o.Into, g.Folder.Levels), raw, g.Folder.Delimiter)
		if err != nil {
			return fmt.Errorf("folder %q: %w", name, err)
		}
		if other, twice := taken[place]; twice {
			return fmt.Errorf("folders %q and %q would both become %q on %s; restore one of them with --into", other, name, place, r.target.Location())
		}
		taken[place] = name
		found, exists := there[place]
		f := &folder{run: r, group: g, match: newMatcher(r.repo, g.Vault), refused: map[storage.BlobID]bool{}, report: &FolderReport{
			Folder: name, Place: place, Create: !exists, Notes: notes, Dropped: map[string]int64{},
			Subscribe: exists && g.Folder.Subscribed && !found.Subscribed}}
		r.folders = append(r.folders, f)
		r.report.Folders = append(r.report.Folders, f.report)
	}
	return nil
}

// each does something for every folder, several at a time.
func (r *run) each(ctx context.Context, do func(*folder, context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, r.target.Parallel()))
	for _, f := range r.folders {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			return do(f, ctx)
		})
	}
	return g.Wait()
}

// plan finds out what is missing in the folder.
func (f *folder) plan(ctx context.Context) error {
	for m, err := range f.group.Messages {
		if err != nil {
			return fmt.Errorf("read the snapshot: %w", err)
		}
		m.From, m.To, m.Subject, m.Key = "", "", "", "" // there may be a million
		f.selected = append(f.selected, m)
	}
	f.report.Selected = int64(len(f.selected))
	f.missing = f.selected
	if !f.report.Create && len(f.selected) > 0 {
		err := f.again(ctx, func(ctx context.Context, box Box) error { return f.compare(ctx, box) })
		f.journal.close() // there may be thousands of folders
		f.journal = nil
		if err != nil {
			return err
		}
	}
	f.report.Present = f.report.Selected - int64(len(f.missing))
	f.report.Missing = int64(len(f.missing))
	for i := range f.missing {
		f.report.Bytes += f.missing[i].Size
	}
	f.o.Progress.FoldersDone.Add(1)
	f.o.Progress.Messages.Add(f.report.Missing)
	f.o.Progress.Bytes.Add(f.report.Bytes)
	return nil
}

// compare sets what is missing, after a look into the folder.
func (f *folder) compare(ctx context.Context, box Box) error {
	if err := f.enter(ctx, box); err != nil {
		return err
	}
	missing, err := f.match.missing(ctx, box, f.selected)
	if err == nil {
		f.missing = missing
	}
	return err
}

// enter finds out what is known of the folder beforehand. It is another folder
// when its epoch is.
func (f *folder) enter(ctx context.Context, box Box) error {
	if f.journal != nil && f.epoch == box.Epoch() {
		return nil
	}
	f.journal.close()
	f.epoch = box.Epoch()
	clear(f.match.read)
	f.journal, f.match.known = openJournal(f.o.JournalDir, f.target.Location(), f.report.Place, f.epoch)
	if f.o.Known == nil {
		return nil
	}
	known, err := f.o.Known(ctx, f.group.Folder.Levels, f.epoch)
	if err != nil {
		return &archiveError{err}
	}
	maps.Copy(f.match.known, known)
	return nil
}

// archiveError is an error of the repository: there is no use in asking the
// target again.
type archiveError struct{ error }

func (e *archiveError) Unwrap() error { return e.error }

// again opens the folder and does something with it, and once more where the
// connection fails, as long as it gets on.
func (f *folder) again(ctx context.Context, do func(context.Context, Box) error) error {
	for failures := 0; ; {
		done := f.report.Appended
		err := f.once(ctx, do)
		_, archive := errors.AsType[*archiveError](err)
		if err == nil || ctx.Err() != nil || archive || errors.Is(err, ErrAccess) || errors.Is(err, ErrRoom) {
			return err
		}
		if f.report.Appended > done {
			failures = 0
		}
		if failures++; failures == mostFailures {
			return err
		}
		f.o.Log.Info("trying again", "folder", f.report.Place, "error", err)
		if err := f.o.Pause(ctx, failures-1); err != nil {
			return err
		}
	}
}

func (f *folder) once(ctx context.Context, do func(context.Context, Box) error) error {
	box, err := f.target.Open(ctx, f.report.Place)
	if err != nil {
		return fmt.Errorf("open folder %q on %s: %w", f.report.Place, f.target.Location(), err)
	}
	err = do(ctx, box)
	if closeErr := box.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("folder %q on %s: %w", f.report.Place, f.target.Location(), err)
	}
	return nil
}

// room refuses to begin what the target cannot hold.
func (r *run) room(ctx context.Context) error {
	sum := r.report.Totals()
	if sum.Bytes == 0 {
		return nil
	}
	room, known, err := r.target.Room(ctx)
	if err != nil {
		return fmt.Errorf("ask %s how much room there is: %w", r.target.Location(), err)
	}
	if known && sum.Bytes > room {
		return fmt.Errorf("%w: %d octets are missing there, and its quota leaves %d", ErrRoom, sum.Bytes, room)
	}
	return nil
}

// create makes the folder where it is not there, and subscribes to it where it
// was subscribed to.
func (f *folder) create(ctx context.Context) error {
	if f.report.Subscribe {
		notes, err := f.target.Subscribe(ctx, f.report.Place)
		f.report.Notes = append(f.report.Notes, notes...)
		if err != nil {
			return fmt.Errorf("subscribe to folder %q on %s: %w", f.report.Place, f.target.Location(), err)
		}
	}
	if !f.report.Create {
		return nil
	}
	notes, err := f.target.Create(ctx, f.report.Place, Folder{Place: f.report.Place, SpecialUse: f.group.Folder.SpecialUse, Subscribed: f.group.Folder.Subscribed})
	f.report.Notes = append(f.report.Notes, notes...)
	if err != nil {
		return fmt.Errorf("create folder %q on %s: %w", f.report.Place, f.target.Location(), err)
	}
	return nil
}

// fill adds what is missing.
func (f *folder) fill(ctx context.Context) error {
	if len(f.missing) == 0 {
		return nil
	}
	wanted, first := f.missing, true
	err := f.again(ctx, func(ctx context.Context, box Box) error {
		if !first {
			// What became of messages without an answer, only a look can tell.
			if err := f.compare(ctx, box); err != nil {
				return err
			}
		}
		first = false
		if err := f.enter(ctx, box); err != nil {
			return err
		}
		return f.append(ctx, box)
	})
	f.journal.close()
	if err == nil {
		// Some may have arrived without an answer.
		f.report.Appended = 0
		for i := range wanted {
			if !f.refused[wanted[i].Recipe] {
				f.report.Appended++
			}
		}
	}
	return err
}

func (f *folder) append(ctx context.Context, box Box) error {
	limits := box.Limits()
	var batch []prepared
	var octets int64
	flush := func() error {
		err := f.send(ctx, box, limits, batch)
		batch, octets = nil, 0
		return err
	}
	for _, m := range f.missing {
		switch {
		case f.refused[m.Recipe]:
			continue
		case limits.Size > 0 && m.Size > limits.Size:
			f.refuse(m, fmt.Sprintf("its %d octets are more than the %d that the server takes", m.Size, limits.Size))
			continue
		case len(batch) == batchMessages || octets > 0 && octets+m.Size > batchBytes:
			if err := flush(); err != nil {
				return err
			}
		}
		p, err := f.prepare(ctx, m)
		if errors.Is(err, storage.ErrMissing) || errors.Is(err, storage.ErrDamaged) {
			f.refuse(m, "it cannot be read from the archive: "+err.Error())
			continue
		}
		if err != nil {
			return &archiveError{fmt.Errorf("UID %d: %w", m.UID, err)}
		}
		batch = append(batch, p)
		octets += m.Size
	}
	return flush()
}

func (f *folder) refuse(m storage.Message, reason string) {
	f.refused[m.Recipe] = true
	f.report.Refused = append(f.report.Refused, Refused{m.UID, reason})
	f.o.Progress.MessagesDone.Add(1)
	f.o.Progress.BytesDone.Add(m.Size)
	f.o.Log.Warn("a message was not restored", "folder", f.report.Place, "uid", m.UID, "reason", reason)
}

// prepared is a message of which it is known that the archive gives it.
type prepared struct {
	storage.Message
	octets []byte // nil: it is too large to be kept, and is read once more
}

// keepOctets is how large a message may be that is kept in memory while it is
// sent.
const keepOctets = 1 << 20

// prepare reads a message from the archive. What cannot be read must be known
// before its first octet is promised to a server.
func (f *folder) prepare(ctx context.Context, m storage.Message) (prepared, error) {
	if m.Size > keepOctets {
		return prepared{Message: m}, f.repo.WriteMessage(ctx, io.Discard, f.group.Vault, m.Recipe)
	}
	var b bytes.Buffer
	b.Grow(int(m.Size))
	err := f.repo.WriteMessage(ctx, &b, f.group.Vault, m.Recipe)
	if err == nil && int64(b.Len()) != m.Size {
		err = fmt.Errorf("it has %d octets where the snapshot says %d: %w", b.Len(), m.Size, storage.ErrDamaged)
	}
	return prepared{m, b.Bytes()}, err
}

// send appends a batch.
func (f *folder) send(ctx context.Context, box Box, limits Limits, batch []prepared) error {
	if len(batch) == 0 {
		return nil
	}
	list := make([]Outgoing, len(batch))
	dropped := make([][]string, len(batch))
	var archive atomic.Pointer[archiveError] // what went wrong on our side
	for i, m := range batch {
		flags := slices.Clone(m.Flags)
		if limits.Flag != nil {
			flags = slices.DeleteFunc(flags, func(flag string) bool {
				if limits.Flag(flag) {
					return false
				}
				dropped[i] = append(dropped[i], flag)
				return true
			})
		}
		list[i] = Outgoing{Size: m.Size, Flags: flags, InternalDate: m.InternalDate, Write: func(ctx context.Context, w io.Writer) error {
			if m.octets != nil {
				_, err := w.Write(m.octets)
				return err
			}
			err := f.repo.WriteMessage(ctx, &targetWriter{w: w}, f.group.Vault, m.Recipe)
			if _, theirs := errors.AsType[*targetError](err); err != nil && !theirs {
				archive.Store(&archiveError{fmt.Errorf("UID %d: %w", m.UID, err)})
			}
			return err
		}, NotKept: func(flags []string) { dropped[i] = append(dropped[i], flags...) }}
	}
	err := box.Append(ctx, list, func(i int, id string, err error) {
		m := batch[i]
		if err != nil {
			f.refuse(m.Message, err.Error())
			return
		}
		f.report.Appended++
		for _, flag := range dropped[i] {
			f.report.Dropped[flag]++
		}
		if id != "" {
			k := Known{m.Recipe, m.MessageID}
			f.match.known[id] = k
			f.journal.add(f.epoch, id, k)
		}
		f.o.Progress.MessagesDone.Add(1)
		f.o.Progress.BytesDone.Add(m.Size)
	})
	if a := archive.Load(); a != nil {
		return a
	}
	return err
}

// A targetWriter tells errors of writing to the target from errors of reading
// the archive.
type targetWriter struct{ w io.Writer }

type targetError struct{ error }

func (e *targetError) Unwrap() error { return e.error }

func (t *targetWriter) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	if err != nil {
		err = &targetError{err}
	}
	return n, err
}
