package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"restante/cmd/testbed/site"
	"restante/cmd/testbed/weather"
)

// NetworkOptions say what bad weather there is, and for how long.
type NetworkOptions struct {
	Options
	For      time.Duration // no round begins later than that
	Database string        // PostgreSQL, for restante serve; empty: nobody serves
	Quick    bool          // light weather, and no fault that it takes patience to see
}

// Weathered says how Restante got on.
type Weathered struct {
	Rounds    int
	Commands  int
	Exits     map[int]int // by exit code
	Again     int         // commands that were run again
	Reconnect int64       // connections to the mail server beyond the first of a command
	Requests  int64       // to the store that were sent again
	Faults    map[weather.Fault]int
	Errors    map[string]int // what commands said that failed

	Silence   time.Duration // the longest in which nothing moved
	Silent    string        // the command of that
	Longest   time.Duration // that a command took
	Served    int           // runs of restante serve
	Runs      int           // backups that it made
	Acked     int           // snapshots that were reported
	Restored  int           // compared message by message
	Twice     int           // restores that were run twice, in bad weather
	Checks    int           // that read all and found nothing
	Snapshots int           // in the end, all of which restore
	Took      time.Duration
}

// String is the report in some lines.
func (w *Weathered) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "network: %d rounds in %v: %d commands, by exit code %v; %d run again, %d connections to the mail server made anew, %d requests to the store sent again\n",
		w.Rounds, w.Took.Round(time.Second), w.Commands, w.Exits, w.Again, w.Reconnect, w.Requests)
	for _, f := range slices.Sorted(maps.Keys(w.Faults)) {
		fmt.Fprintf(&b, "  %6d %s\n", w.Faults[f], f)
	}
	fmt.Fprintf(&b, "the longest silence was %v (%s), the longest command took %v\n", w.Silence.Round(100*time.Millisecond), w.Silent, w.Longest.Round(100*time.Millisecond))
	fmt.Fprintf(&b, "%d snapshots were reported and are there or were forgotten; %d restores compared message by message, %d of them run twice in bad weather; %d runs of serve made %d backups; %d checks of every octet clean; %d snapshots in the end, all restored\n",
		w.Acked, w.Restored, w.Twice, w.Served, w.Runs, w.Checks, w.Snapshots)
	b.WriteString("what failing commands said:")
	said := slices.SortedFunc(maps.Keys(w.Errors), func(a, c string) int { return w.Errors[c] - w.Errors[a] })
	for _, s := range said {
		fmt.Fprintf(&b, "\n  %4d %s", w.Errors[s], s)
	}
	return b.String()
}

// network is the weather at work.
type network struct {
	*trial
	o        NetworkOptions
	machines []*machine
	server   *server    // nil: nobody serves
	moving   sync.Mutex // guards the making of accounts

	mu     sync.Mutex // guards what follows
	result *Weathered
	forgot bool                 // somebody tried to
	acked  map[string]*snapshot // that must be there, by id
	had    map[string]*account  // who an account is in the repository
}

// A snapshot is one that was reported.
type snapshot struct {
	site.Snapshot
	has map[place]int
}

// Network has machines back up, restore, forget and prune while all that they
// send and get passes through a bad network, in rounds. After each, in fine
// weather, the repository checks clean, with every octet read; each snapshot
// that a command reported is there, or older than what may be forgotten; and
// what was reported last restores as the account is. No command may be silent
// for longer than two minutes.
func Network(ctx context.Context, s *site.Site, program string, o NetworkOptions) (*Weathered, error) {
	t, err := begin(ctx, s, o.Options, "network", program)
	if err != nil {
		return nil, err
	}
	t.length = 2 // they come slowly
	n := &network{trial: t, o: o, acked: map[string]*snapshot{}, had: map[string]*account{},
		result: &Weathered{Exits: map[int]int{}, Faults: map[weather.Fault]int{}, Errors: map[string]int{}}}
	defer n.close()
	began := time.Now()
	for i := range o.N {
		m, err := n.newMachine(ctx, i)
		if err != nil {
			return nil, err
		}
		n.machines = append(n.machines, m)
	}
	if o.Database != "" {
		if n.server, err = n.newServer(ctx); err != nil {
			return nil, err
		}
	}
	for round := 0; round == 0 || time.Since(began) < o.For; round++ {
		if err := n.round(ctx, round); err != nil {
			return n.figures(began), fmt.Errorf("round %d: %w", round, err)
		}
		s.Say("network: %d rounds, %v of %v, %d commands; the longest silence %v", round+1, time.Since(began).Round(time.Second), o.For, n.result.Commands, n.result.Silence.Round(time.Second))
	}
	if err := n.finish(ctx); err != nil {
		return n.figures(began), fmt.Errorf("in the end: %w", err)
	}
	return n.figures(began), nil
}

// ways are all there are.
func (n *network) ways() (list []*weather.Way) {
	for _, m := range n.machines {
		list = append(list, m.ways()...)
	}
	if n.server != nil {
		list = append(list, n.server.ways()...)
	}
	return list
}

func (n *network) close() {
	for _, w := range n.ways() {
		w.Close()
	}
}

// figures gathers what the ways counted.
func (n *network) figures(began time.Time) *Weathered {
	n.result.Took = time.Since(began)
	for _, w := range n.ways() {
		for f, count := range w.Faults() {
			n.result.Faults[f] += count
		}
		n.result.Requests += w.Again()
	}
	return n.result
}

// An hour is a kind of weather: of the mail server's connections, and of
// PostgreSQL's; of the store's; and of the store's answers.
type hour struct {
	name                string
	mail, store, answer weather.Odds
}

// patient faults are those that take a minute or more to be seen.
var patient = []weather.Fault{weather.Hole, weather.Silence}

var hours = []hour{
	{"drizzle",
		weather.Odds{weather.Late: 0.5, weather.Slow: 0.2, weather.Drip: 0.05, weather.Reset: 0.05, weather.Cut: 0.05, weather.HalfClosed: 0.03, weather.Flipped: 0.05},
		weather.Odds{weather.Late: 0.5, weather.Slow: 0.2, weather.Drip: 0.05, weather.Reset: 0.05, weather.Cut: 0.05, weather.HalfClosed: 0.03},
		weather.Odds{weather.Applied: 0.01, weather.SlowDown: 0.02, weather.Truncated: 0.01, weather.WrongBody: 0.01}},
	{"gale",
		weather.Odds{weather.Reset: 0.3, weather.Cut: 0.2, weather.HalfClosed: 0.1, weather.Flipped: 0.1, weather.Late: 0.2},
		weather.Odds{weather.Reset: 0.3, weather.Cut: 0.2, weather.HalfClosed: 0.1},
		nil},
	{"fog",
		weather.Odds{weather.Hole: 0.03, weather.Silence: 0.08},
		weather.Odds{weather.Hole: 0.01, weather.Silence: 0.04},
		nil},
	{"thunder",
		weather.Odds{weather.Drip: 0.2, weather.Late: 0.3},
		weather.Odds{weather.Slow: 0.2},
		weather.Odds{weather.SlowDown: 0.15, weather.Applied: 0.05, weather.Truncated: 0.05, weather.WrongBody: 0.03, weather.Repeated: 0.03, weather.Swapped: 0.1, weather.Skewed: 0.002, weather.Elsewhere: 0.002}},
	{"all of it",
		weather.Odds{weather.Late: 0.2, weather.Slow: 0.1, weather.Drip: 0.1, weather.Reset: 0.1, weather.Cut: 0.1, weather.HalfClosed: 0.1, weather.Flipped: 0.05, weather.Hole: 0.01, weather.Silence: 0.02},
		weather.Odds{weather.Late: 0.2, weather.Slow: 0.1, weather.Drip: 0.05, weather.Reset: 0.1, weather.Cut: 0.1, weather.HalfClosed: 0.1, weather.Hole: 0.01, weather.Silence: 0.01},
		weather.Odds{weather.SlowDown: 0.05, weather.Applied: 0.02, weather.Truncated: 0.02, weather.WrongBody: 0.01, weather.Repeated: 0.01, weather.Swapped: 0.03, weather.Skewed: 0.001, weather.Elsewhere: 0.001}},
}

// of is the weather of a way, with TLS on it or not.
func (n *network) of(encrypted bool, all ...weather.Odds) weather.Odds {
	odds := weather.Odds{}
	for _, o := range all {
		maps.Copy(odds, o)
	}
	if !encrypted {
		delete(odds, weather.Flipped)
	}
	if n.o.Quick {
		for _, f := range patient {
			delete(odds, f)
		}
	}
	return odds
}

// round has all machines at work in some weather, and looks at what came of it.
func (n *network) round(ctx context.Context, round int) error {
	random := rand.New(rand.NewPCG(n.Seed, uint64(1000+round)))
	h := hours[random.IntN(len(hours))]
	if n.o.Quick {
		h = hours[0]
	}
	for _, m := range n.machines {
		m.mail.Set(n.of(m.site.TLS, h.mail))
		if m.store != nil {
			m.store.Set(n.of(false, h.store, h.answer))
		}
		m.random = rand.New(rand.NewPCG(random.Uint64(), 4))
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, m := range n.machines {
		wg.Go(func() {
			if err := m.day(inner); err != nil {
				cancel(err)
			}
		})
	}
	if n.server != nil && round%3 == 1 {
		n.server.mail.Set(n.of(false, h.mail))
		n.server.database.Set(n.of(false, h.mail))
		if n.server.store != nil {
			n.server.store.Set(n.of(false, h.store, h.answer))
		}
		random := rand.New(rand.NewPCG(random.Uint64(), 5))
		wg.Go(func() {
			if err := n.server.shift(inner, random); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(inner); err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	n.result.Rounds++
	if err := n.prove(ctx); err != nil {
		return fmt.Errorf("after %s: %w", h.name, err)
	}
	return nil
}

// through makes a way to the store, and the repository's URL by that way. There
// is none to a directory.
func (n *network) through(seed uint64, cache string) (*site.Restante, *weather.Way, error) {
	r := n.r.With(filepath.Join(n.site.Dir, cache))
	if !n.Bucket {
		return r, nil, nil
	}
	u, err := url.Parse(r.Repository)
	if err != nil {
		return nil, nil, err
	}
	query := u.Query()
	endpoint, err := url.Parse(query.Get("endpoint"))
	if err != nil {
		return nil, nil, err
	}
	if endpoint.Scheme != "http" {
		return nil, nil, errors.New("the store does not speak plain http, so nothing can be done to its answers")
	}
	way, err := weather.Open(endpoint.Host, weather.Options{Seed: seed, HTTP: true})
	if err != nil {
		return nil, nil, err
	}
	endpoint.Host = way.Address()
	query.Set("endpoint", endpoint.String())
	u.RawQuery = query.Encode()
	r.Repository = u.String()
	return r, way, nil
}
