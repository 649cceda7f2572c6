// Package bench measures Restante beside other programs, all in one run: [Run]
// loads each [Corpus] into the mail server and has every program do its work
// on it, several times, in changing order; the [Report] is then printed as a
// table, as Markdown or as JSON.
//
// A new contestant is a function in contestants.go.
package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"restante/cmd/testbed/site"
)

// Options say how to measure.
type Options struct {
	Corpora     []Corpus
	Rounds      int  // of which the median counts
	Connections int  // of Restante to the mail server
	Cold        bool // take the server's indexes away before a first run

	// Self is this program, which calls Part if PartFlag is its first argument.
	Self string
	// ServerCPU is how much time the mail server has taken so far, if known.
	ServerCPU func() (time.Duration, bool)
}

// A Sample is what one run of a program took and left behind.
type Sample struct {
	Wall     float64 `json:"wall_seconds"`
	CPU      float64 `json:"cpu_seconds"`        // user and system
	Server   float64 `json:"server_cpu_seconds"` // of the mail server meanwhile; -1 if nobody knows
	Peak     int64   `json:"peak_bytes"`         // resident at most
	Stored   int64   `json:"stored_bytes"`       // in the store afterwards, everything counted
	Requests int64   `json:"store_requests"`
	Sent     int64   `json:"store_bytes_sent"`
	Fetched  int64   `json:"store_bytes_fetched"`
}

// bench is one run of the benchmark.
type bench struct {
	Options
	site     *site.Site
	restante string // the program
	trials   int    // for names that do not come twice
	report   *Report
}

// Run measures. What it needs besides the mail server it leaves out, if it is
// not there, and says so in the report.
func Run(ctx context.Context, s *site.Site, o Options) (*Report, error) {
	b := &bench{Options: o, site: s, report: newReport(o)}
	if s.TLS {
		b.report.Remarks = append(b.report.Remarks, "all clients talk to the mail server through TLS")
	}
	s.Say("building restante")
	var err error
	if b.restante, err = s.Build(ctx); err != nil {
		return nil, err
	}
	list := b.contestants(ctx)
	b.report.machine(ctx)
	for i, c := range o.Corpora {
		r, err := b.corpus(ctx, c, fmt.Sprintf("bench%d", i), list)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		b.report.Corpora = append(b.report.Corpora, r)
	}
	b.report.LoadAfter = loadAverage()
	return b.report, nil
}

// A contestant measures a program on a loaded corpus: record takes note of a
// run. The directory is its own and empty.
type contestant struct {
	name string
	try  func(ctx context.Context, l *loaded, dir string, record func(run string, s Sample)) error
}

func (b *bench) corpus(ctx context.Context, c Corpus, user string, list []contestant) (*CorpusReport, error) {
	l, err := b.load(ctx, c, user)
	if err != nil {
		return nil, err
	}
	defer b.site.Forget(user)
	defer os.RemoveAll(l.maildir)
	r := &CorpusReport{Name: c.Name, Note: c.Note, Folders: l.served.Folders, Messages: l.served.Messages, Raw: l.served.Octets, Files: l.files, LeftOut: l.leftOut}
	list = slices.Clone(list)
	for round := range b.Rounds {
		for _, who := range list {
			b.site.Say("%s, round %d of %d: %s", c.Name, round+1, b.Rounds, who.name)
			if b.Cold {
				if err := b.cool(user); err != nil {
					return nil, err
				}
			}
			b.trials++
			dir := filepath.Join(b.site.Dir, fmt.Sprintf("trial%d", b.trials))
			if err := os.Mkdir(dir, 0o700); err != nil {
				return nil, err
			}
			err := who.try(ctx, l, dir, func(run string, s Sample) { r.record(who.name, run, s) })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", who.name, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
		}
		slices.Reverse(list) // nobody is always first, or always after the same
	}
	r.compare(b.Connections)
	return r, nil
}

// run runs a program and measures it.
func (b *bench) run(ctx context.Context, cmd *exec.Cmd) (Sample, string, error) {
	b.settle(ctx)
	before, _ := b.ServerCPU()
	var out strings.Builder
	u, err := Measure(ctx, b.site, b.Self, cmd, &out)
	if err != nil {
		return Sample{}, out.String(), err
	}
	after, known := b.ServerCPU()
	sample := Sample{Wall: u.Wall.Seconds(), CPU: (u.User + u.System).Seconds(), Server: -1, Peak: u.Peak}
	if known {
		sample.Server = (after - before).Seconds()
	}
	return sample, out.String(), nil
}

// settle has the disk written, so that nobody pays for what another wrote.
func (b *bench) settle(ctx context.Context) {
	if path, err := exec.LookPath("sync"); err == nil {
		exec.CommandContext(ctx, path).Run() // without it the figures are only less even
	}
	time.Sleep(50 * time.Millisecond)
}
