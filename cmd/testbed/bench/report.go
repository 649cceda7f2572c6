package bench

import (
	"cmp"
	"context"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Report is what a benchmark found out.
type Report struct {
	Date        time.Time       `json:"date"`
	CPU         string          `json:"cpu"`
	Cores       int             `json:"cores"`
	Memory      int64           `json:"memory_bytes"`
	System      string          `json:"system"`
	LoadBefore  string          `json:"load_average_before"`
	LoadAfter   string          `json:"load_average_after"`
	Versions    []string        `json:"versions"`
	Rounds      int             `json:"rounds"`
	Connections int             `json:"connections"`
	Cold        bool            `json:"cold"`
	Remarks     []string        `json:"remarks,omitempty"`
	Corpora     []*CorpusReport `json:"corpora"`
}

// A CorpusReport is what was measured on one corpus.
type CorpusReport struct {
	Name     string `json:"name"`
	Note     string `json:"note,omitempty"`
	Folders  int64  `json:"folders"`
	Messages int64  `json:"messages"`
	Raw      int64  `json:"raw_bytes"`     // as the server gives it, with CRLF
	Files    int64  `json:"maildir_bytes"` // as the server keeps it, with LF
	LeftOut  int    `json:"refused_messages,omitempty"`
	Rows     []*Row `json:"rows"`
	Ratios   Ratios `json:"ratios"`
}

// A Row is one run of one contestant.
type Row struct {
	Who     string   `json:"who"`
	Run     string   `json:"run"`
	Median  Sample   `json:"median"` // of each figure by itself
	Samples []Sample `json:"samples"`
}

// Ratios compare Restante's first backup with others' first runs. What nobody
// knows is 0.
type Ratios struct {
	Mbsync    float64 `json:"wall_to_mbsync"`            // into a directory
	MbsyncS3  float64 `json:"wall_to_mbsync_s3"`         // into the bucket
	Bare      float64 `json:"wall_to_bare_fetch"`        // with as many connections
	BareAlone float64 `json:"wall_to_bare_fetch_on_one"` // with one
	Raw       float64 `json:"stored_to_raw"`             // octets
	Best      float64 `json:"stored_to_best_other"`      // octets
	BestOther string  `json:"best_other,omitempty"`      // who stored least
}

func newReport(o Options) *Report {
	return &Report{Date: time.Now().UTC(), Cores: runtime.NumCPU(), CPU: runtime.GOARCH, System: runtime.GOOS, Rounds: o.Rounds, Connections: o.Connections, Cold: o.Cold, LoadBefore: loadAverage()}
}

// machine says what the figures were measured on. Most of it is known on Linux
// only.
func (r *Report) machine(ctx context.Context) {
	r.CPU = cmp.Or(lineOf("/proc/cpuinfo", "model name"), r.CPU)
	if kib, _, ok := strings.Cut(lineOf("/proc/meminfo", "MemTotal"), " "); ok {
		n, _ := strconv.ParseInt(kib, 10, 64)
		r.Memory = n << 10
	}
	if out, err := exec.CommandContext(ctx, "uname", "-sr").Output(); err == nil {
		r.System = strings.TrimSpace(string(out))
	}
	r.Versions = append(r.Versions, runtime.Version())
}

// lineOf finds a line "name : value" in a file.
func lineOf(file, name string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// loadAverage is that of the last minute, where it is known.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	load, _, _ := strings.Cut(string(b), " ")
	return load
}

// record takes note of a run.
func (r *CorpusReport) record(who, run string, s Sample) {
	row := r.row(who, run)
	if row == nil {
		row = &Row{Who: who, Run: run}
		r.Rows = append(r.Rows, row)
	}
	row.Samples = append(row.Samples, s)
	row.Median = Sample{
		Wall:     median(row.Samples, func(s Sample) float64 { return s.Wall }),
		CPU:      median(row.Samples, func(s Sample) float64 { return s.CPU }),
		Server:   median(row.Samples, func(s Sample) float64 { return s.Server }),
		Peak:     median(row.Samples, func(s Sample) int64 { return s.Peak }),
		Stored:   median(row.Samples, func(s Sample) int64 { return s.Stored }),
		Requests: median(row.Samples, func(s Sample) int64 { return s.Requests }),
		Sent:     median(row.Samples, func(s Sample) int64 { return s.Sent }),
		Fetched:  median(row.Samples, func(s Sample) int64 { return s.Fetched }),
	}
}

func (r *CorpusReport) row(who, run string) *Row {
	for _, row := range r.Rows {
		if row.Who == who && row.Run == run {
			return row
		}
	}
	return nil
}

// median is the middle one, or the lower of the two in the middle.
func median[T cmp.Ordered](samples []Sample, of func(Sample) T) T {
	var list []T
	for _, s := range samples {
		list = append(list, of(s))
	}
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

// compare fills in the ratios, where Restante had so many connections.
func (r *CorpusReport) compare(connections int) {
	wall := func(who string) float64 {
		if row := r.row(who, firstRun); row != nil {
			return row.Median.Wall
		}
		return math.NaN()
	}
	ratio := func(a, b float64) float64 {
		if q := a / b; !math.IsNaN(q) && !math.IsInf(q, 0) {
			return q
		}
		return 0
	}
	mine := r.row(inDirectory, firstRun)
	if mine == nil {
		return
	}
	x := &r.Ratios
	x.Mbsync, x.MbsyncS3 = ratio(mine.Median.Wall, wall(mbsyncName)), ratio(wall(inBucket), wall(mbsyncName))
	x.Bare, x.BareAlone = ratio(mine.Median.Wall, wall(bareName(connections))), ratio(mine.Median.Wall, wall(bareAlone))
	x.Raw = ratio(float64(mine.Median.Stored), float64(r.Raw))
	best := int64(math.MaxInt64)
	for _, row := range r.Rows {
		stores := strings.HasPrefix(row.Who, "restic ") || strings.HasPrefix(row.Who, "borg ")
		if row.Run == firstRun && stores && row.Median.Stored < best {
			best, x.BestOther = row.Median.Stored, row.Who
			x.Best = ratio(float64(mine.Median.Stored), float64(best))
		}
	}
}
