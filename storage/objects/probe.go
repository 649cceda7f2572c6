package objects

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// ProbeOptions say how thoroughly [Probe] looks. The zero value takes some 200
// requests and is meant for every init.
type ProbeOptions struct {
	// Objects is how many objects the LIST check makes; 0 means 30. Above
	// 1,000 it also shows that the second page of an S3 LIST is right.
	Objects int
	// Races is how many names are raced for, Writers how many try for each
	// of them at the same time; 0 means 4 and 8.
	Races, Writers int
}

// ThoroughProbe is for a store that nobody has tried yet.
var ThoroughProbe = ProbeOptions{Objects: 1100, Races: 32, Writers: 32}

// ProbeReport is what [Probe] saw.
type ProbeReport struct {
	Location string        `json:"location"`
	Folder   string        `json:"folder"` // what all names of the probe begin with
	Checks   []ProbeCheck  `json:"checks"`
	Left     int           `json:"left"` // objects of the probe that could not be deleted
	Took     time.Duration `json:"-"`
}

// ProbeCheck is one promise of a store, and whether it held.
type ProbeCheck struct {
	Name    string      `json:"name"`    // "one winner"
	Promise string      `json:"promise"` // "of many writers of one name exactly one succeeds"
	Result  ProbeResult `json:"result"`
	Detail  string      `json:"detail,omitempty"` // what was seen, as a sentence; empty where the promise held
}

// ProbeResult is the outcome of one check.
type ProbeResult string

const (
	PromiseKept   ProbeResult = "kept"
	PromiseBroken ProbeResult = "broken"
	// PromiseUnknown: the store could not be asked. Detail says why. It is no
	// failure where the credentials may not delete, on purpose.
	PromiseUnknown ProbeResult = "unknown"
)

// String is a line for each check, for people.
func (r ProbeReport) String() string {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-7s %s: %s", c.Result, c.Name, c.Promise)
		if c.Detail != "" {
			fmt.Fprintf(&b, "\n        %s", c.Detail)
		}
		b.WriteByte('\n')
	}
	if r.Left > 0 {
		fmt.Fprintf(&b, "        %d objects under %s could not be deleted\n", r.Left, r.Folder)
	}
	return b.String()
}

// Probe proves that a store keeps its word, as far as it can be seen from
// outside, with objects under "probe-<random>/" that it deletes at the end.
//
// An error that wraps [ErrBroken] means that the store broke a promise and
// must be refused. Any other error means that it could not be asked (no
// permission, no connection). After nil it may be used.
func Probe(ctx context.Context, store Store, options ProbeOptions) (ProbeReport, error) {
	began := time.Now()
	p := &prober{
		store:   store,
		folder:  "probe-" + strings.ToLower(rand.Text()) + "/",
		objects: orDefault(options.Objects, 30),
		races:   orDefault(options.Races, 4),
		writers: orDefault(options.Writers, 8),
		made:    make(map[string]bool),
	}
	report := ProbeReport{Location: store.Location(), Folder: p.folder}
	var broken, failed error
	for _, c := range probeChecks {
		err := c.run(p, ctx)
		check := ProbeCheck{Name: c.name, Promise: c.promise, Result: PromiseKept}
		var b *brokenPromise
		switch {
		case errors.As(err, &b):
			check.Result, check.Detail = PromiseBroken, b.seen
			if broken == nil {
				broken = fmt.Errorf("%w: %s: %s", ErrBroken, c.name, b.seen)
			}
		case err != nil:
			check.Result, check.Detail = PromiseUnknown, err.Error()
			if !errors.Is(err, errMayNotDelete) {
				failed = fmt.Errorf("check %q of the store: %w", c.name, err)
			}
		}
		report.Checks = append(report.Checks, check)
		if failed != nil {
			break // it would only fail again, each time after many tries
		}
	}
	report.Left = p.cleanUp(ctx)
	report.Took = time.Since(began)
	if broken != nil {
		return report, broken
	}
	return report, failed
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

// prober is one run of Probe.
type prober struct {
	store                   Store
	folder                  string
	objects, races, writers int

	mu   sync.Mutex
	made map[string]bool // names that may be there; guarded by mu
}

// brokenPromise is an error of a check that saw the store break its word.
type brokenPromise struct{ seen string }

func (b *brokenPromise) Error() string { return b.seen }

func broke(format string, args ...any) error {
	return &brokenPromise{fmt.Sprintf(format, args...)}
}

// errMayNotDelete: credentials that may only add are a good idea, so the probe
// does without deleting then.
var errMayNotDelete = errors.New("these credentials may not delete objects")

// name returns the whole name of one of the probe's objects, and remembers it
// for cleanUp.
func (p *prober) name(format string, args ...any) string {
	name := p.folder + fmt.Sprintf(format, args...)
	p.mu.Lock()
	p.made[name] = true
	p.mu.Unlock()
	return name
}

// cleanUp deletes everything by name, since LIST may be what is broken, and
// returns how much it could not delete. It does so even after ctx has ended.
func (p *prober) cleanUp(ctx context.Context) (left int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	p.mu.Lock()
	names := make([]string, 0, len(p.made))
	for name := range p.made {
		names = append(names, name)
	}
	p.mu.Unlock()
	slices.Sort(names)
	errs := inParallel(len(names), func(i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := p.store.Delete(ctx, names[i])
		if errors.Is(err, ErrRefused) {
			cancel() // and all others would be, too
		}
		return err
	})
	for _, err := range errs {
		if err != nil {
			left++
		}
	}
	return left
}

// inParallel calls do for 0 to n-1, several at a time, and returns all errors.
func inParallel(n int, do func(i int) error) []error {
	errs := make([]error, n)
	var group sync.WaitGroup
	free := make(chan struct{}, 16)
	for i := range n {
		free <- struct{}{}
		group.Go(func() {
			errs[i] = do(i)
			<-free
		})
	}
	group.Wait()
	return errs
}
