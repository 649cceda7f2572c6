package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"restante/storage"
)

// A job is one folder in a run. Surveying finds what is new, gone and flagged;
// then its chunks are read, by as many workers as care to; then it is saved.
type job struct {
	run    *run
	listed Listed
	name   string
	parent *storage.Folder // as the last snapshot has it, or nil

	tries int // of surveying; only its surveyor changes it
	// estimate is how many messages count as to be read in the Progress.
	estimate int64

	// Guarded by run.mu:
	chunks  []*chunk // to be read
	reading int      // workers at the survey or at a chunk
	each    int64    // octets of a message, on average of those read last; 0: none was

	mu      sync.Mutex // guards what follows
	draft   *storage.Draft
	status  Status
	doubt   bool // something was left out: the next run must look again
	givenUp bool // the folder was, with what was read of it until then
	missing []storage.Missing
	saved   storage.SavedFolder // when done
	// exists are the UIDs that the survey found, and expunged those that were not
	// there any more when they were asked for again.
	exists   []uint32
	expunged map[uint32]bool
}

// chunkSize is how many messages are asked for at once at most: whole pages.
const chunkSize = 512

// describe puts what the listing says into a folder record.
func (j *job) describe(f *storage.Folder) {
	f.Levels, f.Raw, f.Delimiter = j.listed.Levels, j.listed.Raw, j.listed.Delimiter
	f.Attributes, f.SpecialUse, f.Subscribed = j.listed.Attributes, j.listed.SpecialUse, j.listed.Subscribed
}

// sameDescription says whether the listing says what the parent's record says.
func (j *job) sameDescription() bool {
	p, l := j.parent, &j.listed
	return slices.Equal(p.Levels, l.Levels) && slices.Equal(p.Raw, l.Raw) && p.Delimiter == l.Delimiter &&
		slices.Equal(p.Attributes, l.Attributes) && slices.Equal(p.SpecialUse, l.SpecialUse) && p.Subscribed == l.Subscribed
}

// unchanged says whether the listing shows that nothing happened in the folder
// since the last snapshot (RFC 7162 section 3.1.2.1: any change of a message
// raises HIGHESTMODSEQ; an expunge lowers the count). A folder of which
// something is missing has no HIGHESTMODSEQ in its record.
func (j *job) unchanged() bool {
	if j.parent == nil || j.run.o.Full {
		return false
	}
	if j.listed.NoSelect {
		return j.parent.UIDValidity == 0 && j.parent.Messages == 0
	}
	p, s := j.parent, j.listed.Status
	return s != nil && p.HighestModSeq != 0 && p.HighestModSeq == s.HighestModSeq &&
		p.UIDValidity == s.UIDValidity && p.UIDNext == s.UIDNext && p.Counted == int64(s.Messages)
}

// guess says how many messages there will be to read, as far as the listing
// tells.
func (j *job) guess() int64 {
	s, p := j.listed.Status, j.parent
	if s == nil {
		return 0
	}
	n := int64(s.Messages)
	if p != nil && p.UIDValidity == s.UIDValidity && !j.run.o.Full {
		n -= p.Messages
	}
	return max(0, n)
}

// keep takes the folder over from the parent, as far as its messages go.
func (j *job) keep(ctx context.Context) (err error) {
	if j.sameDescription() {
		j.saved = j.parent.Keep()
	} else {
		// Seldom, and cheap: the pages stay the same.
		d := j.run.w.Draft(j.parent)
		d.Describe(j.describe)
		j.saved, err = d.Save(ctx)
	}
	j.run.o.Progress.FoldersDone.Add(1)
	if s := j.listed.Status; s != nil {
		j.run.counted(int(s.Messages), max(0, int(int64(s.Messages)-j.parent.Messages)))
	}
	return err
}

// saveEmpty saves a folder that cannot hold messages.
func (j *job) saveEmpty(ctx context.Context) (err error) {
	d := j.run.w.Draft(nil)
	d.Describe(j.describe)
	j.saved, err = d.Save(ctx)
	j.run.o.Progress.FoldersDone.Add(1)
	return err
}

// survey opens the folder and finds out what there is to do.
func (j *job) survey(ctx context.Context, m Mailbox) error {
	r := j.run
	status := m.Status()
	parent, renamed := j.parent, false
	if parent == nil {
		parent, renamed = r.renamed(status)
	}
	if j.contradicts(status) {
		return errEpoch
	}
	same := parent != nil && parent.UIDValidity == status.UIDValidity && !r.o.Full && !renamed

	exists, err := m.UIDs(ctx)
	doubt := errors.Is(err, ErrEnumeration)
	if err != nil && !doubt {
		return err
	}
	uncertain := err
	var base *storage.Folder
	if same {
		base = parent
	}
	d := r.w.Draft(base)
	d.Describe(func(f *storage.Folder) {
		j.describe(f)
		f.UIDValidity, f.UIDNext, f.HighestModSeq, f.Counted, f.Missing = status.UIDValidity, status.UIDNext, 0, 0, nil
	})
	fresh, flagsKnown := exists, true
	if same {
		if k, ok := m.(KeyMailbox); ok {
			if err := rekey(ctx, d, parent, k.Keys()); err != nil {
				return err
			}
		}
		if fresh, flagsKnown, err = j.compare(ctx, m, d, parent, exists, doubt); err != nil {
			return err
		}
	}
	if parent != nil && !same {
		// A new epoch, or a new name: most of it is in the archive already.
		if h, ok := m.(HeaderMailbox); ok && !r.o.Full {
			if fresh, err = j.recognise(ctx, h, d, parent, fresh); err != nil {
				return err
			}
		}
	}

	// From here on nothing fails: what there is to tell is told once.
	if parent != nil && parent.UIDValidity != 0 && parent.UIDValidity != status.UIDValidity {
		r.note("folder %q: UIDVALIDITY changed from %d to %d; its messages are matched again", j.name, parent.UIDValidity, status.UIDValidity)
	}
	if doubt {
		r.note("folder %q: %v; none of its messages is taken for gone", j.name, uncertain)
		r.setIncomplete()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if parent != nil && !same && !renamed {
		r.stats.Gone += parent.Messages // from their places, if not from the folder
	}
	for uids := range slices.Chunk(fresh, chunkSize) {
		j.chunks = append(j.chunks, &chunk{uids: uids})
	}
	r.o.Progress.Messages.Add(int64(len(fresh)) - j.estimate)
	j.estimate = int64(len(fresh))
	j.mu.Lock()
	j.draft, j.status, j.doubt, j.exists = d, status, doubt || !flagsKnown, exists
	j.mu.Unlock()
	return nil
}

// contradicts says whether the folder that was opened has another UIDVALIDITY
// than the list has and the last snapshot. It may be another folder than the one
// that was asked for, or the folder may have changed places with another one since
// it was listed, which the next run finds as well.
func (j *job) contradicts(opened Status) bool {
	p, l := j.parent, j.listed.Status
	return p != nil && l != nil && p.UIDValidity != 0 && p.UIDValidity == l.UIDValidity && opened.UIDValidity != p.UIDValidity
}

// rekey puts the new keys of messages that the parent has into the draft.
func rekey(ctx context.Context, d *storage.Draft, parent *storage.Folder, keys map[uint32]string) error {
	if len(keys) == 0 {
		return nil
	}
	var list []storage.Message
	for m, err := range parent.All(ctx) {
		if err != nil {
			return &LocalError{Err: err}
		}
		if key, other := keys[m.UID]; other {
			m.Key = key
			list = append(list, m)
		}
	}
	if err := d.Add(list); err != nil {
		return &LocalError{Err: err}
	}
	return nil
}

// renamed finds the folder that the parent has under a name that is no longer
// listed, if this one may be it: servers keep UIDVALIDITY through a RENAME.
func (r *run) renamed(status Status) (*storage.Folder, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found *storage.Folder
	for _, f := range r.gone {
		if f.UIDValidity == status.UIDValidity && f.UIDValidity != 0 && f.UIDNext <= status.UIDNext && f.Messages > 0 {
			if found != nil {
				return nil, false
			}
			found = f
		}
	}
	return found, found != nil
}

func (r *run) setIncomplete() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.incomplete = true
}

// finish saves a job whose chunks are all read.
func (j *job) finish(ctx context.Context) error {
	listed, lacking, known, err := j.save(ctx)
	if err != nil {
		return err
	}
	r := j.run
	r.counted(listed, lacking)
	if lacking > known {
		r.note("folder %q: %s that the server lists are not in the snapshot, and nobody knows why", j.name, count(int64(lacking-known)))
		r.setIncomplete()
	}
	r.o.Progress.FoldersDone.Add(1)
	return nil
}

// counted adds messages that the source listed, and those of them that the
// snapshot lacks.
func (r *run) counted(listed, lacking int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Listed += int64(listed)
	r.stats.Unproven += int64(lacking)
}

// save is finish for what the job's own mutex guards, which must not be held
// where the run's is wanted. It tells how many messages the source listed, how
// many of those the saved folder lacks, and of how many that is known.
func (j *job) save(ctx context.Context) (listed, lacking, known int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	slices.SortFunc(j.missing, func(a, b storage.Missing) int { return int(int64(a.UID) - int64(b.UID)) })
	j.draft.Describe(func(f *storage.Folder) {
		f.Missing = j.missing
		if j.listed.NoSelect {
			return
		}
		// Only a folder that is known to be whole is skipped when the server
		// says that nothing changed.
		if !j.doubt && len(j.missing) == 0 {
			f.HighestModSeq, f.Counted = j.status.HighestModSeq, int64(j.status.Messages)
		}
	})
	if j.saved, err = j.draft.Save(ctx); err != nil {
		return 0, 0, 0, err
	}
	lacking, err = j.lacking(ctx)
	listed = len(j.exists) - len(j.expunged)
	j.exists = nil
	if known = len(j.missing); j.givenUp {
		known = lacking // it is said already
	}
	return listed, lacking, known, err
}

// lacking reads back which messages the saved folder has, and counts those that
// the source listed and that it lacks.
func (j *job) lacking(ctx context.Context) (n int, err error) {
	rest := j.exists
	next := func(before uint32, all bool) {
		for ; len(rest) > 0 && (all || rest[0] < before); rest = rest[1:] {
			if !j.expunged[rest[0]] {
				n++
			}
		}
	}
	for has, err := range j.draft.Folder().Flags(ctx) {
		if err != nil {
			return 0, &LocalError{Err: fmt.Errorf("folder %q: read back what was saved: %w", j.name, err)}
		}
		if next(has.UID, false); len(rest) > 0 && rest[0] == has.UID {
			rest = rest[1:]
		}
	}
	next(0, true)
	return n, nil
}

// soFar saves the folder as it is now, for a partial snapshot; not ok means
// that there is nothing of it yet.
func (j *job) soFar(ctx context.Context) (f storage.SavedFolder, ok bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.saved.Valid():
		return j.saved, true, nil
	case j.draft != nil:
		f, err = j.draft.Save(ctx)
		return f, err == nil, err
	case j.parent != nil:
		return j.parent.Keep(), true, nil
	}
	return f, false, nil
}

// epoch is the UIDVALIDITY that the survey saw.
func (j *job) epoch() uint32 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.status.UIDValidity
}

// mostReasons is of how many messages of a folder it is kept why they could not
// be had. A server may give none of hundreds of thousands, with long reasons, and
// the folder's record has to have room for all.
const mostReasons = 1000

// setAside notes a message that cannot be had.
func (j *job) setAside(uid uint32, reason string) {
	tries := 1
	if j.parent != nil {
		for _, m := range j.parent.Missing {
			if m.UID == uid && j.parent.UIDValidity == j.status.UIDValidity {
				tries = m.Tries + 1
			}
		}
	}
	j.mu.Lock()
	if len(j.missing) >= mostReasons {
		reason = "as with many others in this folder"
	}
	j.missing = append(j.missing, storage.Missing{UID: uid, Tries: tries, Reason: reason})
	validity := j.status.UIDValidity
	j.mu.Unlock()
	r := j.run
	r.mu.Lock()
	defer r.mu.Unlock()
	r.incomplete = true
	r.missing = append(r.missing, Missing{Folder: j.name, UIDValidity: validity, UID: uid, Reason: reason})
	r.o.Log.Warn("a message could not be had", "account", r.o.Account, "folder", j.name, "uid", uid, "reason", reason)
}
