// Package nights has restante serve back many accounts up for a month of
// nights: [Run] fills accounts on the mail server, changes their mail every
// day, moves the clock of the programs that serve, ends one of them with a
// kill -9 each night, and proves what is then in the repository.
//
// The programs are the real ones, built with a clock that can be set. What must
// be in each snapshot is known here, from what was appended and expunged, by
// code that it does not share with Restante.
package nights

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/site"
)

// Options say how much is done.
type Options struct {
	Accounts int
	Nights   int
	Machines int    // processes that serve; with more than one the first of each night's is killed
	Database string // of the queue: postgres://…; empty: SQLite
	Seed     uint64
	Restores int // snapshots that are restored and compared message by message
	Bucket   bool
	Mail     []([]byte) // what there is to append; each message is used once, then again
}

// A Report is what came of it.
type Report struct {
	Options
	Appended   int64 // messages, all nights
	Expunged   int64
	Raw        int64 // octets that were appended
	Runs       int   // backups that the history has
	Twice      int   // nights of accounts with two snapshots: the one that made the first was killed before it said so
	Kills      int
	Snapshots  int // that the rules kept in the end
	Restored   int // of them, compared message by message
	Packs      int // objects in the end
	Objects    int
	Stored     int64         // octets in the end
	First      time.Duration // the first night
	Others     time.Duration // all others together, without those in which one was killed
	OthersOf   int           // how many those are
	Memory     int64         // octets that one process had at most
	Requests   int64         // to the store, of a single process, all nights; 0: not known
	ObjectsNew []int         // objects written in each night
}

// String is the report in some lines.
func (r *Report) String() string {
	perMinute := func(d time.Duration, nights int) string {
		if d == 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f", float64(r.Accounts*nights)/d.Minutes())
	}
	s := fmt.Sprintf("%d accounts, %d nights, %s, %d killed: %d backups, every night of every account there, none run twice but for %d that a kill came between; %d snapshots kept by the rules, %d restored and compared message by message\n",
		r.Accounts, r.Nights, plural(r.Machines, "process", "processes"), r.Kills, r.Runs, r.Twice, r.Snapshots, r.Restored)
	s += fmt.Sprintf("first night %v (%s accounts a minute), later ones %s accounts a minute; %d messages of %.1f MiB appended, %d expunged; %.1f MiB stored in %d objects; memory %.0f MiB at most\n",
		r.First.Round(100*time.Millisecond), perMinute(r.First, 1), perMinute(r.Others, r.OthersOf), r.Appended, float64(r.Raw)/(1<<20), r.Expunged, float64(r.Stored)/(1<<20), r.Objects, float64(r.Memory)/(1<<20))
	if r.Machines == 1 && r.Requests > 0 {
		s += fmt.Sprintf("%d requests to the store, %.2f for each backup, with forget and prune\n", r.Requests, float64(r.Requests)/float64(r.Runs))
	}
	return s + fmt.Sprintf("objects in the store after each night: %v", r.ObjectsNew)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Master is who restante logs in as, to the mail of every account.
const Master = "boss"

// Start is the noon before the first night. Its Monday begins a week.
var start = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// trial is a month at work.
type trial struct {
	o        Options
	site     *site.Site
	restante *site.Restante
	program  string
	clock    string // file that the programs read the time from
	toml     string // the programs' configuration; empty: that of nights
	random   *rand.Rand
	accounts []*account
	next     int // message to use
	report   Report
}

// An account is what the mail server must have.
type account struct {
	name string
	mail map[string]int // how many of each content are in INBOX, by hash
	uids []string       // contents in the order of UIDs, gone ones left out
	held []string       // of uids: what is still there
	// then are the contents at each night.
	then []map[string]int
}

// Run does it.
func Run(ctx context.Context, s *site.Site, program string, o Options) (*Report, error) {
	t := &trial{o: o, site: s, program: program, random: rand.New(rand.NewPCG(o.Seed, 1)), report: Report{Options: o}}
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	fleet, err := t.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer fleet.stop()
	for night := range o.Nights {
		if err := t.night(ctx, fleet, night); err != nil {
			return nil, fmt.Errorf("night %d: %w", night, err)
		}
	}
	if err := fleet.stop(); err != nil {
		return nil, err
	}
	t.report.Memory, t.report.Requests = fleet.peak, fleet.requests
	return &t.report, t.prove(ctx)
}

// prepare makes a repository, a configuration and accounts with mail.
func (t *trial) prepare(ctx context.Context) error {
	place, err := t.site.Place("nights", t.o.Bucket)
	if err != nil {
		return err
	}
	if t.restante, err = t.site.NewRestante(ctx, t.program, "nights", place); err != nil {
		return err
	}
	t.clock = filepath.Join(t.site.Dir, "clock")
	if err := t.set(start); err != nil {
		return err
	}
	var users strings.Builder
	users.WriteString("user\n")
	for i := range t.o.Accounts {
		a := &account{name: fmt.Sprintf("night%04d", i), mail: map[string]int{}}
		t.accounts = append(t.accounts, a)
		fmt.Fprintln(&users, a.name)
	}
	if err := os.WriteFile(filepath.Join(t.site.Dir, "users.csv"), []byte(users.String()), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.site.Dir, "master"), []byte("master\n"), 0o600); err != nil {
		return err
	}
	return t.each(func(a *account, random *rand.Rand) error { return t.change(ctx, a, random, 5+random.IntN(30), 0) })
}

// each does something for every account, several at a time. What is random is
// the same whatever the order.
func (t *trial) each(do func(a *account, random *rand.Rand) error) error {
	work := make(chan func() error)
	errs := make(chan error, 1)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for f := range work {
				if err := f(); err != nil {
					select {
					case errs <- err:
					default:
					}
				}
			}
		})
	}
	for _, a := range t.accounts {
		random := rand.New(rand.NewPCG(t.random.Uint64(), 2))
		work <- func() error { return do(a, random) }
	}
	close(work)
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

var take sync.Mutex // guards next and the report's counts

// message takes the next one there is.
func (t *trial) message() []byte {
	take.Lock()
	defer take.Unlock()
	m := t.o.Mail[t.next%len(t.o.Mail)]
	t.next++
	t.report.Appended++
	t.report.Raw += int64(len(m))
	return m
}

// change adds so many messages to an account, and expunges so many.
func (t *trial) change(ctx context.Context, a *account, random *rand.Rand, add, remove int) error {
	c, err := t.site.Login(ctx, a.name)
	if err != nil {
		return err
	}
	defer c.Close()
	var list []rawimap.Outgoing
	for range add {
		m := t.message()
		list = append(list, rawimap.Outgoing{Date: start, Octets: m})
		sum := hash(m)
		a.mail[sum]++
		a.held = append(a.held, sum)
	}
	if len(list) > 0 {
		if err := c.AppendAll("INBOX", list); err != nil {
			return fmt.Errorf("%s: append: %w", a.name, err)
		}
	}
	if remove = min(remove, len(a.held)); remove == 0 {
		return nil
	}
	if _, err := c.Do("SELECT INBOX"); err != nil {
		return err
	}
	for range remove {
		n := random.IntN(len(a.held))
		if _, err := c.Do(fmt.Sprintf(`STORE %d +FLAGS.SILENT (\Deleted)`, n+1)); err != nil {
			return err
		}
		if _, err := c.Do("EXPUNGE"); err != nil {
			return err
		}
		sum := a.held[n]
		if a.mail[sum]--; a.mail[sum] == 0 {
			delete(a.mail, sum)
		}
		a.held = append(a.held[:n:n], a.held[n+1:]...)
		take.Lock()
		t.report.Expunged++
		take.Unlock()
	}
	return nil
}

// set moves the clock of all programs.
func (t *trial) set(at time.Time) error {
	next := t.clock + ".next"
	if err := os.WriteFile(next, fmt.Appendln(nil, at.Unix()), 0o600); err != nil {
		return err
	}
	return os.Rename(next, t.clock)
}

// dusk is the day before a night's mail: what most accounts get.
func (t *trial) dusk(ctx context.Context) error {
	return t.each(func(a *account, random *rand.Rand) error {
		add, remove := 0, 0
		switch random.IntN(10) {
		case 0, 1, 2: // nothing
		case 3:
			add, remove = 1+random.IntN(10), random.IntN(4)
		default:
			add = 1 + random.IntN(2)
		}
		if add+remove == 0 {
			return nil
		}
		return t.change(ctx, a, random, add, remove)
	})
}

// night is one: mail changes, then the clock goes on to the hour when all is
// due, and in the end to that of the forgetting.
func (t *trial) night(ctx context.Context, fleet *fleet, n int) error {
	if n > 0 {
		if err := t.dusk(ctx); err != nil {
			return err
		}
	}
	for _, a := range t.accounts {
		then := map[string]int{}
		for sum, count := range a.mail {
			then[sum] = count
		}
		a.then = append(a.then, then)
	}
	began := time.Now()
	due := start.AddDate(0, 0, n).Add(13 * time.Hour) // one o'clock
	if err := t.set(due.Add(3 * time.Hour)); err != nil {
		return err
	}
	killed := t.o.Machines > 1 && n > 0
	if killed {
		if err := fleet.killOne(ctx, t.random); err != nil {
			return err
		}
		t.report.Kills++
	}
	if err := fleet.await(ctx, due, t.o.Accounts); err != nil {
		return err
	}
	switch took := time.Since(began); {
	case n == 0:
		t.report.First = took
	case !killed:
		t.report.Others += took
		t.report.OthersOf++
	}
	objects, packs, stored, err := t.objects(ctx)
	if err != nil {
		return err
	}
	t.report.ObjectsNew = append(t.report.ObjectsNew, objects)
	t.report.Packs, t.report.Objects, t.report.Stored = packs, objects, stored
	if err := t.set(due.Add(5 * time.Hour)); err != nil { // six: forget has come, and on Sundays prune
		return err
	}
	if err := fleet.settle(ctx); err != nil {
		return err
	}
	if n%10 == 9 {
		t.site.Say("night %d: %d objects, %.1f MiB", n+1, objects, float64(stored)/(1<<20))
	}
	return nil
}

// objects counts what is in the store, where it is a directory.
func (t *trial) objects(ctx context.Context) (objects, packs int, octets int64, err error) {
	if t.o.Bucket {
		octets, err = t.restante.Stored(ctx)
		return 0, 0, octets, err
	}
	err = filepath.WalkDir(t.restante.Repository, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		objects++
		octets += info.Size()
		if strings.Contains(path, "/packs/") {
			packs++
		}
		return nil
	})
	return objects, packs, octets, err
}
