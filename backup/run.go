package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"restante/storage"
	"restante/storage/ledger"
)

// Options say what a run does. Account and Vault are needed.
type Options struct {
	Account string
	Vault   storage.ID
	// Exclude says which folders are left out, by their levels; nil: none.
	Exclude func(levels []string) bool
	// Full reads every message again, whatever the last snapshot has.
	Full bool
	// Drains says that messages will be deleted from the server because they are in
	// the snapshot: its successor tells whether it has the only copy of some.
	Drains bool
	// A snapshot of what is there so far is committed after CommitEvery, when
	// CommitBytes octets of messages were read, or a hundred thousand messages,
	// whose names take memory until then; 0 for a minute and 512 MiB.
	CommitEvery time.Duration
	CommitBytes int64
	Progress    *Progress
	Log         *slog.Logger
	// Pause waits before the i-th try again; nil: 1 s, doubled each time, at
	// most 30 s.
	Pause func(ctx context.Context, i int) error
	// Now is what time the snapshot says it is; nil: the clock's.
	Now func() time.Time
	// Group, if there is one, has the run share packs and ledger entries with the
	// others that are at work in it.
	Group *storage.Group
}

func (o *Options) defaults() {
	if o.CommitEvery == 0 {
		o.CommitEvery = time.Minute
	}
	if o.CommitBytes == 0 {
		o.CommitBytes = 512 << 20
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Exclude == nil {
		o.Exclude = func([]string) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pause == nil {
		o.Pause = func(ctx context.Context, i int) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(min(time.Second<<i, 30*time.Second)):
				return nil
			}
		}
	}
}

// Result is what a run did.
type Result struct {
	Snapshot storage.Snapshot
	// Parent is the snapshot that it was compared with; zero: there was none.
	Parent storage.Snapshot
	// Missing are the messages that could not be had.
	Missing []Missing
	// Whole counts messages that could not be cut exactly and are stored as
	// they are.
	Whole int64
}

// Missing is a message that could not be had.
type Missing struct {
	Folder      string
	UIDValidity uint32
	UID         uint32
	Reason      string
}

// restarts is how often a run begins again because what it built on was
// removed.
const restarts = 3

// Run backs up an account: it commits a snapshot of what the source has now.
// When it returns without an error, the snapshot is durable; it may lack
// messages all the same, which Result and the snapshot say (Incomplete).
//
// A run that ends with an error, or is cancelled, commits what it has as a
// partial snapshot, and the next one goes on from there.
func Run(ctx context.Context, repo *storage.Repository, src Source, o Options) (*Result, error) {
	o.defaults()
	for i := 0; ; i++ {
		result, err := runOnce(ctx, repo, src, o)
		if !errors.Is(err, storage.ErrPruned) || i == restarts {
			return result, err
		}
		o.Log.Warn("the run begins again", "account", o.Account, "reason", err)
		if err := repo.Refresh(ctx); err != nil {
			return nil, err
		}
	}
}

// A run is one Run.
type run struct {
	o       Options
	repo    *storage.Repository
	src     Source
	w       *storage.Writer
	parent  *storage.Tree // nil: there is none
	before  ledger.Marks  // of the last snapshot, be it the parent or in another vault
	started time.Time
	commits sync.Mutex // one commit at a time; guards what follows
	partial storage.ID // the last partial snapshot of this run, or zero
	last    time.Time  // of the last commit, or the start

	mu         sync.Mutex // guards what follows
	cond       *sync.Cond // waiting, busy or a job's chunks have changed
	jobs       []*job
	all        *job                       // the folder of all messages, of a SharingSource; it is read first
	shared     *shared                    // and its messages; nil: nothing is shared
	gone       map[string]*storage.Folder // of the parent, not listed any more, by name
	waiting    []*job                     // not surveyed yet
	busy       int                        // workers at a job
	workers    int
	failures   int // in a row
	notes      []string
	incomplete bool
	anomalous  bool
	missing    []Missing
	stats      ledger.Stats
	whole      int64
	fetched    int64 // messages
	uncounted  int64 // octets read since the last commit
	unnamed    int64 // and messages
}

// commitMessages is how many messages are read between commits at most.
const commitMessages = 100_000

func runOnce(ctx context.Context, repo *storage.Repository, src Source, o Options) (*Result, error) {
	r := &run{o: o, repo: repo, src: src, started: o.Now(), last: time.Now(), gone: map[string]*storage.Folder{}}
	r.cond = sync.NewCond(&r.mu)
	var err error
	// What is being written when the run is cancelled is worth finishing.
	if o.Group != nil {
		r.w, err = o.Group.Writer(ctx, o.Vault)
	} else {
		r.w, err = repo.Writer(context.WithoutCancel(ctx), o.Vault)
	}
	if err != nil {
		return nil, err
	}
	defer r.w.Close()

	result := new(Result)
	if latest, ok := repo.Latest(o.Account); ok {
		result.Parent, r.before = latest, latest.Marks
		if latest.Vault == o.Vault {
			o.Progress.at("reading the last snapshot")
			if r.parent, err = repo.OpenSnapshot(ctx, latest); err != nil {
				return nil, fmt.Errorf("read the last snapshot: %w", err)
			}
		} else {
			r.note("the account moved to another vault; everything is read again")
		}
	}
	o.Progress.at("listing folders")
	if err := r.list(ctx); err != nil {
		return nil, err
	}
	o.Progress.at("reading mail")
	err = r.work(ctx)
	o.Progress.at("committing")
	if err != nil {
		return nil, r.abandon(ctx, err)
	}
	s, err := r.final(ctx)
	if err != nil {
		return nil, err
	}
	o.Progress.at("done")
	result.Snapshot, result.Missing, result.Whole = s, r.missing, r.whole
	return result, nil
}

func (r *run) note(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := fmt.Sprintf(format, a...)
	r.o.Log.Warn(n, "account", r.o.Account)
	const mostNotes = 50
	if len(r.notes) < mostNotes {
		r.notes = append(r.notes, n)
	} else if len(r.notes) == mostNotes {
		r.notes = append(r.notes, "and more")
	}
}

// ask asks the source for its folders. One that is busy is waited for, as with
// everything else, and one whose connection was lost is asked again; whatever
// else is wrong, a person wants to hear of at once.
func (r *run) ask(ctx context.Context) ([]Listed, error) {
	for i := 0; ; i++ {
		listed, err := r.src.List(ctx)
		tries := 1
		switch {
		case errors.Is(err, ErrBusy):
			tries = busyTries
		case lost(err):
			tries = mostFailures / unreached
		default:
			return listed, err
		}
		if i+1 >= tries || ctx.Err() != nil {
			return nil, err
		}
		r.o.Log.Info("trying again", "account", r.o.Account, "error", err)
		if err := r.o.Pause(ctx, i); err != nil {
			return nil, err
		}
	}
}

// lost says whether it was a connection that was there that failed.
func lost(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return !errors.Is(err, ErrAccess) && (errors.Is(err, io.ErrUnexpectedEOF) || ok && (op.Op == "read" || op.Op == "write"))
}

// list makes a job of every folder.
func (r *run) list(ctx context.Context) error {
	listed, uncertain := r.ask(ctx)
	if uncertain != nil && !errors.Is(uncertain, ErrEnumeration) {
		return fmt.Errorf("list folders: %w", uncertain)
	}
	if r.parent != nil {
		for _, f := range r.parent.Folders {
			r.gone[f.Name()] = f
		}
	}
	byName := map[string]bool{}
	for _, l := range listed {
		name := storage.FolderName(l.Levels)
		if r.o.Exclude(l.Levels) {
			delete(r.gone, name) // left out on purpose
			continue
		}
		if byName[name] {
			r.note("the folder %q is listed twice; the second one is left out", name)
			r.incomplete = true
			continue
		}
		byName[name] = true
		j := &job{run: r, listed: l, name: name, parent: r.gone[name]}
		delete(r.gone, name)
		r.jobs = append(r.jobs, j)
	}
	if r.parent != nil {
		for name, f := range r.gone {
			if r.o.Exclude(f.Levels) {
				delete(r.gone, name)
			}
		}
	}
	if uncertain != nil {
		r.note("%v; no folder is taken for gone", uncertain)
		r.incomplete = true
		for name, f := range r.gone {
			r.jobs = append(r.jobs, &job{run: r, listed: listedAs(f), name: name, parent: f, saved: f.Keep()})
			delete(r.gone, name)
		}
	}
	slices.SortFunc(r.jobs, func(a, b *job) int { return slices.Compare(order(a), order(b)) })
	r.o.Progress.Folders.Store(int64(len(r.jobs)))
	for _, j := range r.jobs {
		var err error
		switch {
		case j.saved.Valid():
			r.o.Progress.FoldersDone.Add(1)
		case j.unchanged():
			err = j.keep(ctx)
		case j.listed.NoSelect:
			if j.parent != nil {
				r.vanished(j.name, j.parent)
			}
			err = j.saveEmpty(ctx)
		default:
			r.waiting = append(r.waiting, j)
			j.estimate = j.guess()
			r.o.Progress.Messages.Add(j.estimate)
		}
		if err != nil {
			return err
		}
	}
	r.share()
	return nil
}

// listedAs is a folder as its last listing had it.
func listedAs(f *storage.Folder) Listed {
	return Listed{Levels: f.Levels, Raw: f.Raw, Delimiter: f.Delimiter, Attributes: f.Attributes, SpecialUse: f.SpecialUse, Subscribed: f.Subscribed}
}

// order puts INBOX first and all else by name.
func order(j *job) []string {
	if len(j.listed.Levels) == 1 && j.listed.Levels[0] == "INBOX" {
		return nil
	}
	return j.listed.Levels
}
