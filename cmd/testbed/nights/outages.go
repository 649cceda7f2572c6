package nights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"restante/cmd/testbed/site"
	"restante/cmd/testbed/weather"
)

// OutageOptions say what goes away, and for how long.
type OutageOptions struct {
	Options
	// Killed is how long the database is dead, Away the S3 server away, and Half
	// how long the mail server refuses every second account, one after the other;
	// 0: that does not happen.
	Killed, Away, Half time.Duration
	Every              time.Duration // between backups of an account
	// Kill ends the database with a kill -9, and Revive starts it again.
	Kill   func()
	Revive func() error
	// Refuse has the mail server refuse the logins of every second account, or
	// none, and tells how many it has refused so far.
	Refuse func(half bool) (refused int64)
}

// An Outage is what was seen of one.
type Outage struct {
	What    string
	Away    time.Duration
	Refused int64 // connections or logins
	Opened  []string
	Cleared []string
	Back    time.Duration // from its end until every account was backed up again
}

// String is the outage in a line.
func (o Outage) String() string {
	return fmt.Sprintf("%s for %v: %d refused, %d alerts told (%s), %d cleared, every account backed up again %v after its end",
		o.What, o.Away, o.Refused, len(o.Opened), strings.Join(o.Opened, "; "), len(o.Cleared), o.Back.Round(time.Second))
}

// Outages has restante serve back accounts up again and again, in the S3 server
// and with PostgreSQL. It kills PostgreSQL and starts it again after a while,
// shuts the way to the S3 server, and has the mail server refuse the logins of
// every second account. In the end all mail is in the repository.
func Outages(ctx context.Context, s *site.Site, program string, o OutageOptions) (list []Outage, err error) {
	t := &trial{o: o.Options, site: s, program: program, random: rand.New(rand.NewPCG(o.Seed, 1)), report: Report{Options: o.Options}}
	store, err := url.Parse(s.S3)
	if err != nil {
		return nil, err
	}
	endpoint, err := url.Parse(store.Query().Get("endpoint"))
	if err != nil {
		return nil, err
	}
	objects, err := weather.Open(endpoint.Host, weather.Options{})
	if err != nil {
		return nil, err
	}
	endpoint.Host = objects.Address()
	query := store.Query()
	query.Set("endpoint", endpoint.String())
	store.RawQuery = query.Encode()
	s.S3 = store.String()
	t.o.Bucket, t.o.Machines = true, 1
	told, err := listen()
	if err != nil {
		return nil, err
	}
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	t.toml = fmt.Sprintf(`time-zone = "UTC"
[serve]
database = %q
[group.all]
list = "users.csv"
url = "imap+insecure://{user}@%s"
master = "`+Master+`"
password-file = "master"
name = "{user}"
connections = 1
[schedule.often]
every = "@every %s"
[alerts]
settle = "20s"
[[alerts.webhook]]
url = "http://%s/"
`, t.o.Database, s.IMAP, o.Every, told.l.Addr())
	f := &fleet{t: t}
	if err := f.start(ctx, 0); err != nil {
		return nil, errors.Join(err, f.stop())
	}
	defer f.stop()
	if err := f.again(ctx, time.Now(), t.o.Accounts); err != nil {
		return nil, err
	}
	for _, what := range []struct {
		name     string
		lasts    time.Duration
		away     func()
		back     func() error
		refusals func() int64
	}{
		{"PostgreSQL killed", o.Killed, o.Kill, o.Revive, func() int64 { return 0 }},
		{"the S3 server away", o.Away, objects.Shut, func() error { objects.Let(); return nil },
			func() int64 { refused, _ := objects.Turned(); return refused }},
		{"the logins of every second account refused", o.Half, func() { o.Refuse(true) }, func() error { o.Refuse(false); return nil },
			func() int64 { return o.Refuse(false) }},
	} {
		if what.lasts == 0 {
			continue
		}
		out := Outage{What: what.name, Away: what.lasts}
		s.Say("outages: %s for %v", what.name, what.lasts)
		told.take()
		what.away()
		if err := t.each(func(a *account, random *rand.Rand) error { return t.change(ctx, a, random, 1+random.IntN(3), 0) }); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(what.lasts):
		}
		back := time.Now()
		if err := what.back(); err != nil {
			return nil, err
		}
		if err := f.again(ctx, back, t.o.Accounts); err != nil {
			return nil, fmt.Errorf("after %s: %w", what.name, err)
		}
		out.Back = time.Since(back)
		out.Refused = what.refusals()
		time.Sleep(2 * time.Minute) // until it is seen to be over, and that was told
		for _, d := range told.take() {
			switch d.Event {
			case "opened":
				out.Opened = append(out.Opened, d.Title)
			case "cleared":
				out.Cleared = append(out.Cleared, d.Title)
			}
		}
		s.Say("%s", out)
		list = append(list, out)
	}
	if err := f.stop(); err != nil {
		return nil, err
	}
	for _, a := range t.accounts {
		snapshots, err := t.restante.Snapshots(ctx, a.name)
		if err != nil {
			return nil, err
		}
		if err := t.restore(ctx, snapshots[len(snapshots)-1], a.mail); err != nil {
			return nil, fmt.Errorf("%s in the end: %w", a.name, err)
		}
	}
	_, err = t.restante.Do(ctx, "check", "--read-data")
	return list, err
}

// again waits until every account was backed up by a run that began after that.
func (f *fleet) again(ctx context.Context, since time.Time, accounts int) error {
	for deadline := time.Now().Add(75 * time.Minute); ; time.Sleep(time.Second) { // a run that failed often waits for an hour
		list, err := f.runs(ctx, "--job", "backup", "-n", fmt.Sprint(6*accounts))
		if err != nil {
			return err
		}
		done := map[string]bool{}
		for _, r := range list {
			if r.State == "done" && r.Started.After(since) {
				done[r.Account] = true
			}
		}
		switch {
		case len(done) == accounts:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d of %d accounts were backed up", len(done), accounts)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
	}
}

// A listener is who is told.
type listener struct {
	l  net.Listener
	mu sync.Mutex // guards what follows
	// documents are those that came since they were taken.
	documents []document
}

// A document is what a webhook sends, as far as it matters here.
type document struct {
	Event string `json:"event"`
	Title string `json:"title"`
}

func listen() (*listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	told := &listener{l: l}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var d document
		if err != nil || json.Unmarshal(b, &d) != nil {
			http.Error(w, "what is that?", http.StatusBadRequest)
			return
		}
		told.mu.Lock()
		defer told.mu.Unlock()
		told.documents = append(told.documents, d)
	}))
	return told, nil
}

func (l *listener) take() []document {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.documents
	l.documents = nil
	return list
}
