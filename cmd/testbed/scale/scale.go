// Package scale proves that Restante holds what it promises where accounts are
// large: [Run] backs up an account of very many messages, one of very many
// folders and one message that is very large, measures memory, time and
// requests, and says which limits do not hold.
//
// The programs are the real ones, each run measured in a process of its own.
package scale

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"restante/cmd/testbed/bench"
	"restante/cmd/testbed/site"
)

// The limits.
const (
	mostMemory  = 256 << 20 // octets resident
	mostWarm    = 3         // requests to the store, if nothing changed
	mostCold    = 15        // the same with nothing at hand
	mostOne     = 5         // requests, with one new message
	mostWritten = 10 << 10  // octets, if nothing changed
	mostOpening = time.Second
	mostTurns   = 6 // of the connection, if nothing changed: logging in, and one for all folders
)

// Memory is flat: very many messages take not much more of it than compare of
// them, which are enough to fill all that Restante fills before it writes.
const (
	compare      = 100_000
	flatMultiple = 1.25
)

// Options say how large. What is 0 is left out.
type Options struct {
	Messages int   // in the account with many
	Folders  int   // in the account with many
	Large    int64 // octets of the large message

	Bucket  bool   // the repository is in the S3 server, not in a directory
	Maildir bool   // the many messages are restored into files, not into another account
	Untimed bool   // no limit is a time: the machine may be busy
	Self    string // program that calls [bench.Part]
}

// A Step is a run of restante.
type Step struct {
	Trial, What string
	bench.Usage
	Counted  bool  // the requests are known
	Requests int64 // to the store
	Sent     int64 // octets
	Fetched  int64 // octets
	Turns    int   // of the connections to the mail server; 0: not counted
	Note     string
	Broken   []string // limits that do not hold
}

// A Report is what was measured.
type Report struct {
	Options
	Steps []*Step
}

// Broken are the limits that do not hold.
func (r *Report) Broken() error {
	var errs []error
	for _, s := range r.Steps {
		for _, b := range s.Broken {
			errs = append(errs, fmt.Errorf("%s, %s: %s", s.Trial, s.What, b))
		}
	}
	return errors.Join(errs...)
}

// String is the table.
func (r *Report) String() string {
	t := bench.Table{Head: []string{"account", "run", "wall s", "CPU s", "peak", "requests", "sent", "fetched", "turns", "note"}, Texts: 2}
	for _, s := range r.Steps {
		cells := []string{s.Trial, s.What, fmt.Sprintf("%.2f", s.Wall.Seconds()), fmt.Sprintf("%.2f", (s.User + s.System).Seconds()), bench.Size(s.Peak),
			bench.None, bench.None, bench.None, bench.None, s.Note}
		if s.Counted {
			cells[5], cells[6], cells[7] = bench.Count(s.Requests), bench.Size(s.Sent), bench.Size(s.Fetched)
		}
		if s.Turns > 0 {
			cells[8] = bench.Count(int64(s.Turns))
		}
		if len(s.Broken) > 0 {
			cells[9] = strings.TrimPrefix(cells[9]+"; NOT HELD: "+strings.Join(s.Broken, ", "), "; ")
		}
		t.Rows = append(t.Rows, cells)
	}
	return t.Text()
}

// trial is one account and what is done with it.
type trial struct {
	Options
	name     string
	site     *site.Site
	restante *site.Restante
	user     string
	report   *Report
	turns    *turns // counts those of the connection to the mail server
	url      string // of the account, through turns
}

// Run does it. The error is not about limits: see [Report.Broken].
func Run(ctx context.Context, s *site.Site, program string, o Options) (*Report, error) {
	r := &Report{Options: o}
	few := 0
	if o.Messages > compare {
		few = compare
	}
	trials := []struct {
		name string
		size int
		try  func(*trial, context.Context, int) error
	}{
		{fewer, few, (*trial).firstOnly},
		{many, o.Messages, (*trial).messages},
		{"folders", o.Folders, (*trial).folders},
		{"large", int(o.Large), (*trial).large},
	}
	for _, t := range trials {
		if t.size == 0 {
			continue
		}
		if err := r.try(ctx, s, program, t.name, t.size, t.try); err != nil {
			return r, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	r.compareMemory()
	return r, nil
}

func (r *Report) try(ctx context.Context, s *site.Site, program, name string, size int, try func(*trial, context.Context, int) error) error {
	t := &trial{Options: r.Options, name: name, site: s, user: "scale" + name, report: r}
	place, err := s.Place("scale-"+name, r.Bucket)
	if err != nil {
		return err
	}
	if t.restante, err = s.NewRestante(ctx, program, name, place); err != nil {
		return err
	}
	if t.turns, err = countTurns(s.Address()); err != nil {
		return err
	}
	defer t.turns.close()
	t.url = s.Through(t.turns.address).AccountURL(t.user)
	if err := try(t, ctx, size); err != nil {
		return err
	}
	return errors.Join(s.Forget(t.user), s.Forget(t.other()), t.restante.Remove())
}

// other is the user whom mail is restored to.
func (t *trial) other() string { return t.user + "restored" }

// run runs restante and takes note of it.
func (t *trial) run(ctx context.Context, what, command string, args ...string) (*Step, string, error) {
	var out strings.Builder
	t.site.Say("%s: %s", t.name, what)
	t.turns.count.Store(0)
	u, err := bench.Measure(ctx, t.site, t.Self, t.restante.Command(command, args...), &out)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w\n%s", what, err, out.String())
	}
	s := &Step{Trial: t.name, What: what, Usage: u, Turns: int(t.turns.count.Load())}
	s.atMost("octets of memory", u.Peak, mostMemory)
	t.report.Steps = append(t.report.Steps, s)
	return s, out.String(), nil
}

// backup backs the account up. It must have so many messages, of which so many
// are new.
func (t *trial) backup(ctx context.Context, what string, messages, fresh int) (*Step, error) {
	s, out, err := t.run(ctx, what, "backup", t.url, "--name", t.user, "--json")
	if err != nil {
		return nil, err
	}
	b, err := site.ParseBackup(out)
	if err != nil {
		return nil, err
	}
	if b.Snapshot.Messages != int64(messages) || b.Snapshot.New != int64(fresh) {
		return nil, fmt.Errorf("%s: the snapshot has %d messages, %d of them new; the account %d, %d", what, b.Snapshot.Messages, b.Snapshot.New, messages, fresh)
	}
	s.Counted, s.Requests, s.Sent, s.Fetched = true, b.Requests, b.Sent, b.Fetched
	return s, nil
}

// nothingChanged backs up once more.
func (t *trial) nothingChanged(ctx context.Context, messages int) error {
	s, err := t.backup(ctx, "nothing changed", messages, 0)
	if err != nil {
		return err
	}
	s.atMost("requests", s.Requests, mostWarm)
	s.atMost("octets written", s.Sent, mostWritten)
	s.atMost("turns", int64(s.Turns), mostTurns)
	return nil
}

// nothingAtHand does the same without a cache, where it may take so many
// requests. What reads trees later finds none in the new cache either.
func (t *trial) nothingAtHand(ctx context.Context, messages int, cold int64) error {
	if err := os.RemoveAll(t.restante.Cache); err != nil {
		return err
	}
	s, err := t.backup(ctx, "nothing changed, no cache", messages, 0)
	if err != nil {
		return err
	}
	s.atMost("requests", s.Requests, cold)
	s.atMost("octets written", s.Sent, mostWritten)
	return nil
}

// atMost holds a figure against its limit.
func (s *Step) atMost(what string, n, most int64) {
	if n > most {
		s.Broken = append(s.Broken, fmt.Sprintf("%d %s, at most %d", n, what, most))
	}
}

// The names of the trials that are compared, and of the runs in them.
const (
	fewer = "fewer"
	many  = "messages"
	first = "first backup"
)

// compareMemory holds that memory is flat.
func (r *Report) compareMemory() {
	var before int64
	for _, s := range r.Steps {
		switch {
		case s.What == first && s.Trial == fewer:
			before = s.Peak
		case s.What == first && s.Trial == many && before > 0:
			s.atMost(fmt.Sprintf("octets of memory after %d with fewer messages", before), s.Peak, int64(float64(before)*flatMultiple))
		}
	}
}

// dir is a directory of the trial's own, that is not there yet.
func (t *trial) dir(name string) string { return filepath.Join(t.site.Dir, t.name+"-"+name) }
