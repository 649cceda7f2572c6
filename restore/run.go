package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

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
	// not be read to be compared; may be nil.
	Known func(ctx context.Context, levels []string, epoch uint32, known func(id string, k Known)) error
	// JournalDir is a directory for notes on what was added where, which make it
	// cheap to start again; empty: none.
	JournalDir string
	Progress   *Progress
	Log        *slog.Logger
	// Again adds to a target that cannot be looked into what was added to it
	// before.
	Again bool
	// Pause waits before the i-th try again; nil: 1 s, doubled each time, at
	// most 30 s.
	Pause func(ctx context.Context, i int) error
}

const (
	// Messages are handed to the target in batches of so many, or so many
	// octets.
	batchMessages = 128
	batchBytes    = 8 << 20
	// Folders are compared at the same time as long as they have no more messages
	// together: some hundred octets are kept of each meanwhile.
	mostTogether = 1 << 18
	// mostFailures is how many failures in a row end a restore.
	mostFailures = 6
	// mostTries is how often a connection may be lost over one message before it
	// is left out.
	mostTries = 3
	// mostLost is how many messages in a row may be left out for that before it
	// counts as a failure: then it is not for their sake.
	mostLost = 3
)

// ErrRoom says that the target has no room for what is missing.
var ErrRoom = errors.New("the target has not enough room")

// Run restores groups of messages to a target: for each folder it finds out
// what is missing there and adds it. It can be interrupted at any time and
// started again; nothing is added twice.
//
// The Report is there even with an error, for what was done until then. That
// messages were refused, or folders given up, is no error: see Complete.
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
	err := r.all(ctx, groups)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		// That connections ended follows from it.
		err = fmt.Errorf("the restore was interrupted: %w", cause)
	}
	return r.report, err
}

// all is the whole restore, step by step.
func (r *run) all(ctx context.Context, groups []Group) error {
	r.o.Progress.at("listing folders")
	if err := r.place(ctx, groups); err != nil {
		return err
	}
	r.o.Progress.at("comparing")
	r.o.Progress.Folders.Store(int64(len(r.folders)))
	together := semaphore.NewWeighted(mostTogether)
	err := r.each(ctx, func(f *folder, ctx context.Context) error {
		size := min(max(0, f.group.Folder.Messages), mostTogether)
		if err := together.Acquire(ctx, size); err != nil {
			return context.Cause(ctx)
		}
		defer together.Release(size)
		return f.plan(ctx)
	})
	r.leaveOut()
	if err != nil {
		return err
	}
	if err := r.room(ctx); err != nil {
		return err
	}
	if r.o.DryRun {
		r.o.Progress.at("done")
		return nil
	}
	r.o.Progress.at("creating folders")
	for _, f := range r.folders {
		if err := f.giveUp(ctx, f.create(ctx)); err != nil {
			return err
		}
	}
	r.o.Progress.at("restoring")
	if err := r.each(ctx, (*folder).fill); err != nil {
		return err
	}
	if t, ok := r.target.(FinishingTarget); ok {
		if err := t.Finish(ctx); err != nil {
			return fmt.Errorf("finish %s: %w", r.target.Location(), err)
		}
	}
	r.o.Progress.at("done")
	return nil
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
	d, delivers := r.target.(DeliveringTarget)
	if delivers {
		r.report.Losses = d.Losses()
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
		f := newFolder(r, g, &FolderReport{
			Folder: name, Place: place, Create: !exists && !delivers, Notes: notes, Dropped: map[string]int64{},
			Subscribe: exists && !g.Picked && g.Folder.Subscribed && !found.Subscribed})
		r.folders = append(r.folders, f)
		r.report.Folders = append(r.report.Folders, f.report)
	}
	return nil
}

// leaveOut leaves out the folders of which nothing was picked.
func (r *run) leaveOut() {
	r.folders = slices.DeleteFunc(r.folders, func(f *folder) bool { return f.empty })
	r.report.Folders = r.report.Folders[:0]
	for _, f := range r.folders {
		r.report.Folders = append(r.report.Folders, f.report)
	}
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
			if f.report.Failed != "" {
				return nil
			}
			return f.giveUp(ctx, do(f, ctx))
		})
	}
	return g.Wait()
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
		return fmt.Errorf("%w: %d octets are missing on %s, and its quota leaves %d", ErrRoom, sum.Bytes, r.target.Location(), room)
	}
	return nil
}
