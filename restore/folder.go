package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"restante/storage"
)

// A folder is one group on its way.
type folder struct {
	*run
	group    Group
	report   *FolderReport
	selected items
	missing  []uint32 // numbers of those that are to be appended
	empty    bool     // nothing was picked of it
	match    *matcher
	journal  *journal
	epoch    uint32
	known    bool // what is known beforehand of the epoch was taken in

	unlabelled []unlabelled // what is there and lacks labels

	refused set    // not to be tried again
	wanted  set    // what was missing when the restoring began
	arrived set    // of those
	steps   int    // things that will not have to be done again
	careful bool   // one message at a time
	grown   uint32 // how far the folder had come when it was looked into; 0: not known
	late    late
	lost    int // messages in a row over which the connection was lost
	tries   map[uint32]int
}

func newFolder(r *run, g Group, report *FolderReport) *folder {
	f := &folder{run: r, group: g, report: report, match: newMatcher(r.repo, g.Vault), tries: map[uint32]int{}}
	f.match.found = func(id string, k Known) { f.journal.add(f.epoch, id, k) }
	return f
}

// mostAtOnce is how many messages of a folder are made room for at once.
const mostAtOnce = 1 << 20

// plan finds out what is missing in the folder.
func (f *folder) plan(ctx context.Context) error {
	if !f.group.Picked {
		f.selected.list = make([]item, 0, min(max(0, f.group.Folder.Messages), mostAtOnce))
	}
	for m, err := range f.group.Messages {
		if err != nil {
			return fmt.Errorf("read the snapshot: %w", err)
		}
		f.selected.add(&m)
	}
	n := len(f.selected.list)
	f.report.Selected = int64(n)
	if n == 0 && f.group.Picked {
		f.empty = true
		f.o.Progress.FoldersDone.Add(1)
		return nil
	}
	var withheld map[storage.BlobID]int
	var limit int64
	var reason string
	if t, ok := f.target.(LimitedTarget); ok {
		limit = t.SizeLimit()
	}
	if f.report.Create || n == 0 {
		for i := range n {
			f.missing = append(f.missing, uint32(i))
		}
	} else {
		err := f.with(ctx, func(ctx context.Context, box Box) error {
			limit = box.Limits().Size
			remembering, _ := box.(RememberingBox)
			if remembering != nil && f.o.Again {
				if err := remembering.Forget(f.selected.known, f.o.DryRun); err != nil {
					return err
				}
			}
			if err := f.compare(ctx, box); err != nil {
				return err
			}
			if err := f.findUnlabelled(ctx, box); err != nil || remembering == nil {
				return err
			}
			withheld, reason = remembering.Withheld()
			return nil
		})
		f.journal.close() // there may be thousands of folders
		f.journal = nil
		if err != nil {
			return err
		}
	}
	f.report.Present = int64(n - len(f.missing))
	f.withhold(withheld, reason)
	f.refuseLarge(limit)
	f.report.Missing = int64(len(f.missing))
	for _, i := range f.missing {
		f.report.Bytes += f.selected.list[i].size
	}
	f.o.Progress.FoldersDone.Add(1)
	f.o.Progress.Messages.Add(f.report.Missing)
	f.o.Progress.Bytes.Add(f.report.Bytes)
	f.wanted = newSet(f.missing)
	if len(f.missing) == 0 || f.o.DryRun {
		f.forget()
	}
	return nil
}

// withhold refuses the messages that are not to be tried again.
func (f *folder) withhold(list map[storage.BlobID]int, reason string) {
	f.missing = slices.DeleteFunc(f.missing, func(i uint32) bool {
		recipe := f.selected.list[i].recipe
		if list[recipe] == 0 {
			return false
		}
		list[recipe]--
		f.refuse(i, reason)
		return true
	})
}

// forget lets go of what takes memory.
func (f *folder) forget() { f.selected, f.missing, f.match = items{}, nil, nil }

// refuseLarge refuses the messages that the folder would not take.
func (f *folder) refuseLarge(limit int64) {
	f.missing = slices.DeleteFunc(f.missing, func(i uint32) bool {
		size := f.selected.list[i].size
		if limit <= 0 || size <= limit {
			return false
		}
		f.refuse(i, tooLarge(size, limit))
		return true
	})
}

func tooLarge(size, limit int64) string {
	return fmt.Sprintf("its %d octets are more than the %d that the server takes", size, limit)
}

// refuse notes that a message will not be restored.
func (f *folder) refuse(i uint32, reason string) {
	f.refused.put(i, true)
	f.steps++
	uid := f.selected.list[i].uid
	reference := Reference(f.report.Folder, uid)
	if f.group.Reference != nil {
		reference = f.group.Reference(int(i))
	}
	f.report.Refused = append(f.report.Refused, Refused{uid, reference, reason})
	f.o.Log.Warn("a message was not restored", "folder", f.report.Place, "message", reference, "reason", reason)
}

// compare sets what is missing, after a look into the folder.
func (f *folder) compare(ctx context.Context, box Box) error {
	if err := f.enter(ctx, box); err != nil {
		return err
	}
	missing, unread, err := f.match.missing(ctx, box, f.selected.list)
	if err != nil {
		return err
	}
	f.missing, f.grown = missing, grown(box)
	if unread > 0 {
		f.note(fmt.Sprintf("the server has %d messages that it does not show; they could not be compared, and what was missing besides may be among them", unread))
	}
	return nil
}

func (f *folder) note(note string) {
	if !slices.Contains(f.report.Notes, note) {
		f.report.Notes = append(f.report.Notes, note)
	}
}

// enter finds out what is known of the folder beforehand. It is another folder
// when its epoch is.
func (f *folder) enter(ctx context.Context, box Box) error {
	fresh := !f.known || f.epoch != box.Epoch()
	if f.journal != nil && !fresh {
		return nil
	}
	f.journal.close()
	know := func(id string, k Known) {}
	if fresh {
		f.epoch, f.match.seen = box.Epoch(), byID[sight]{}
		know = func(id string, k Known) { f.match.seen.put(id, k.sight()) }
	}
	f.journal = openJournal(f.o.JournalDir, f.target.Location(), f.report.Place, f.epoch, know)
	if b, ok := box.(RememberingBox); ok && fresh {
		b.Remembered(know)
	}
	if fresh && f.o.Known != nil {
		if err := f.o.Known(ctx, f.group.Folder.Levels, f.epoch, know); err != nil {
			return &archiveError{err}
		}
	}
	f.known = true
	return nil
}

// archiveError is an error of the repository: there is no use in asking the
// target again.
type archiveError struct{ error }

func (e *archiveError) Unwrap() error { return e.error }

// again does something, and once more where the connection fails, as long as it
// gets on.
func (f *folder) again(ctx context.Context, do func(context.Context) error) error {
	failures, before := 0, f.progress()
	for {
		err := do(ctx)
		if errors.Is(err, errLate) {
			if err := f.pause(ctx); err != nil {
				return err
			}
			continue
		}
		_, archive := errors.AsType[*archiveError](err)
		if err == nil || ctx.Err() != nil || archive || errors.Is(err, ErrAccess) || errors.Is(err, ErrRoom) || errors.Is(err, ErrFolder) || errors.Is(err, ErrNotes) {
			return err
		}
		now := f.progress()
		if f.careful = now == before; !f.careful {
			failures, before = 0, now
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

func (f *folder) progress() int {
	if f.match == nil {
		return f.steps
	}
	return f.steps + f.match.reads
}

// with opens the folder and does something with it, again where that fails.
func (f *folder) with(ctx context.Context, do func(context.Context, Box) error) error {
	return f.again(ctx, func(ctx context.Context) error {
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
	})
}

// create makes the folder where it is not there, and subscribes to it where it
// was subscribed to.
func (f *folder) create(ctx context.Context) error {
	var doing string
	do := func(context.Context) ([]string, error) { return nil, nil }
	switch {
	case f.report.Failed != "":
	case f.report.Create:
		doing = "create"
		do = func(ctx context.Context) ([]string, error) {
			return f.target.Create(ctx, f.report.Place, Folder{Place: f.report.Place, SpecialUse: f.group.Folder.SpecialUse, Subscribed: f.group.Folder.Subscribed})
		}
	case f.report.Subscribe:
		doing = "subscribe to"
		do = func(ctx context.Context) ([]string, error) { return f.target.Subscribe(ctx, f.report.Place) }
	}
	return f.again(ctx, func(ctx context.Context) error {
		notes, err := do(ctx)
		for _, n := range notes {
			f.note(n)
		}
		if err != nil {
			return fmt.Errorf("%s folder %q on %s: %w", doing, f.report.Place, f.target.Location(), err)
		}
		return nil
	})
}

// giveUp lets an error that is about this folder alone not be one of others.
func (f *folder) giveUp(ctx context.Context, err error) error {
	if ctx.Err() != nil || !errors.Is(err, ErrFolder) {
		return err
	}
	f.report.Failed = err.Error()
	f.o.Log.Warn("a folder was not restored", "folder", f.report.Place, "error", err)
	f.forget()
	return nil
}
