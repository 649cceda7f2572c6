package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"restante/storage"
	"restante/storage/ledger"
)

// What a run has read becomes snapshots: partial ones while it goes on, and one
// in the end.

const (
	// grace is how long the last commit may take of a run that cannot go on.
	grace = 2 * time.Minute
	// moment is how long the entry of a commit may take that is under way when
	// the run is interrupted. A store that is well needs less than a second.
	moment = 5 * time.Second
)

// lasting is ctx for a commit: it ends a moment after ctx does. Of an entry that
// is given up half-way nobody can tell whether it is there.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	long, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(moment, func() { cancel(context.Cause(ctx)) }) })
	return long, func() { stop(); cancel(nil) }
}

// abandon commits what a run has that cannot go on.
func (r *run) abandon(ctx context.Context, err error) error {
	r.commits.Lock()
	defer r.commits.Unlock()
	r.mu.Lock()
	something := r.unnamed > 0
	r.mu.Unlock()
	if !something || errors.Is(err, storage.ErrPruned) {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if commitErr := r.commitPartial(last); commitErr != nil {
		return errors.Join(err, fmt.Errorf("what was read until then was not committed: %w", commitErr))
	}
	return err
}

// partialIfDue commits a partial snapshot where it is time.
func (r *run) partialIfDue(ctx context.Context) error {
	r.mu.Lock()
	read, messages := r.uncounted, r.unnamed
	r.mu.Unlock()
	if messages == 0 || !r.commits.TryLock() {
		return nil // nothing to commit, or somebody is at it
	}
	defer r.commits.Unlock()
	if read < r.o.CommitBytes && messages < commitMessages && time.Since(r.last) < r.o.CommitEvery {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // and abandon commits
	}
	long, cancel := lasting(ctx)
	defer cancel()
	return r.commitPartial(long)
}

// commitPartial commits the folders as far as they have come; those not come
// to are as in the parent. The caller holds commits.
func (r *run) commitPartial(ctx context.Context) (err error) {
	r.mu.Lock()
	jobs := slices.Clone(r.jobs)
	read, messages := r.uncounted, r.unnamed
	r.uncounted, r.unnamed = 0, 0
	r.mu.Unlock()
	defer func() {
		if err == nil || errors.Is(err, ledger.ErrUnknown) {
			return // it may be there
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.uncounted, r.unnamed = r.uncounted+read, r.unnamed+messages
	}()
	var folders []storage.SavedFolder
	for _, j := range jobs {
		f, ok, err := j.soFar(ctx)
		if err != nil {
			return err
		}
		if ok {
			folders = append(folders, f)
		}
	}
	r.mu.Lock()
	for _, f := range r.gone {
		folders = append(folders, f.Keep())
	}
	r.mu.Unlock()
	slices.SortFunc(folders, func(a, b storage.SavedFolder) int { return slices.Compare(a.Levels, b.Levels) })
	s := r.snapshot(ledger.Partial)
	if err := r.w.SaveTreeWith(r.src.Kind(), folders, r.knownDetails(), &s); err != nil {
		return err
	}
	return r.commit(ctx, &s)
}

func (r *run) snapshot(marks ledger.Marks) storage.Snapshot {
	host, _ := os.Hostname()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := storage.Snapshot{
		ID: storage.NewID(), Account: r.o.Account, Started: r.started.Unix(), Finished: r.o.Now().Unix(),
		Marks: marks, Notes: slices.Clone(r.notes), Host: host, Stats: r.stats,
	}
	if r.parent != nil {
		s.Parent = r.parent.Snapshot.ID
	}
	if r.incomplete {
		s.Marks |= ledger.Incomplete
	}
	s.Marks |= r.draining(s.Marks.Has(ledger.Partial))
	s.Stats.Missing = int64(len(r.missing))
	return s
}

// draining tells of messages that are deleted from the server because they are
// in a snapshot. What the run before did not come to is as it was before that,
// and so a partial snapshot hands on what it knows. The caller holds mu.
func (r *run) draining(partial bool) (marks ledger.Marks) {
	if r.o.Drains || partial && r.before.Has(ledger.Draining) {
		marks |= ledger.Draining
	}
	gone := r.stats.Gone > 0 || r.parent == nil // with which nobody compares it
	if r.before.Has(ledger.Draining) && gone || r.before.Has(ledger.Partial|ledger.Drained) {
		marks |= ledger.Drained
	}
	return marks
}

// commit commits a snapshot in place of the run's last partial one. The caller
// holds commits.
func (r *run) commit(ctx context.Context, s *storage.Snapshot) error {
	var superseded []storage.ID
	if !r.partial.IsZero() {
		superseded = append(superseded, r.partial)
	}
	one := []storage.Snapshot{*s}
	if err := r.w.Commit(ctx, one, superseded, nil); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	*s = one[0]
	r.partial, r.last = s.ID, time.Now()
	r.o.Progress.Commits.Add(1)
	return nil
}

// final commits the snapshot of a run that came to its end.
func (r *run) final(ctx context.Context) (storage.Snapshot, error) {
	r.commits.Lock()
	defer r.commits.Unlock()
	var folders []storage.SavedFolder
	same := r.parent != nil && r.parent.Kind == r.src.Kind() && len(r.jobs) == len(r.parent.Folders)
	for i, j := range r.jobs {
		if !j.saved.Valid() {
			if !j.left() {
				return storage.Snapshot{}, fmt.Errorf("folder %q was listed, and nobody saved it or gave it up; this is a mistake in Restante", j.name)
			}
			continue // it vanished between listing and opening
		}
		folders = append(folders, j.saved)
		same = same && j.saved.Same(r.parent.Folders[i])
	}
	details, err := r.details(ctx)
	if err != nil {
		return storage.Snapshot{}, fmt.Errorf("details: %w", err)
	}
	r.anomalies()
	if n, ok := r.src.(Noter); ok {
		for _, text := range n.Notes() {
			r.note("%s", text)
		}
	}
	s := r.snapshot(0)
	if same && len(folders) == len(r.parent.Folders) && details.Same(r.parent) {
		s.Vault, s.Root = r.o.Vault, r.parent.Snapshot.Root
		s.Folders, s.Messages, s.Bytes = r.parent.Snapshot.Folders, r.parent.Snapshot.Messages, r.parent.Snapshot.Bytes
	} else if err := r.w.SaveTreeWith(r.src.Kind(), folders, details, &s); err != nil {
		return s, err
	}
	if r.parent != nil {
		if lost := r.parent.Snapshot.Messages - s.Messages; lost > 50 && lost*5 > r.parent.Snapshot.Messages {
			r.note("%d of %s are gone since the last snapshot", lost, count(r.parent.Snapshot.Messages))
			r.anomalous = true
		}
	}
	if r.anomalous {
		s.Marks |= ledger.Anomalous
		s.Notes = slices.Clone(r.notes)
	}
	long, cancel := lasting(ctx)
	defer cancel()
	return s, r.commit(long, &s)
}

func count(messages int64) string {
	if messages == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", messages)
}

// anomalies notes the folders that are gone with mail in them.
func (r *run) anomalies() {
	for name, f := range r.gone {
		r.vanished(name, f)
	}
}

// vanished notes that a folder is gone, if there was mail in it.
func (r *run) vanished(name string, f *storage.Folder) {
	if f.Messages > 0 {
		r.note("the folder %q is gone, with %s", name, count(f.Messages))
		r.stats.Gone += f.Messages
		r.anomalous = true
	}
}
