package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"restante/cmd/testbed/site"
	"restante/cmd/testbed/weather"
)

// A server is a machine on which restante serves: its way to the database is
// as bad as the others.
type server struct {
	*network
	r                     *site.Restante
	mail, store, database *weather.Way // store is nil for a directory
	accounts              []*account
	bad, good             string // configurations: by the bad ways, and by the good ones
}

const servedAccounts = 3

// newServer makes the ways, the accounts and the configurations.
func (n *network) newServer(ctx context.Context) (_ *server, err error) {
	s := &server{network: n, bad: filepath.Join(n.site.Dir, "bad.toml"), good: filepath.Join(n.site.Dir, "good.toml")}
	seed := n.Seed<<8 + 200
	if s.mail, err = weather.Open(n.site.IMAP, weather.Options{Seed: seed}); err != nil {
		return nil, err
	}
	database, err := url.Parse(n.o.Database)
	if err != nil {
		return nil, err
	}
	direct := database.String()
	if s.database, err = weather.Open(database.Host, weather.Options{Seed: seed + 1}); err != nil {
		return nil, err
	}
	database.Host = s.database.Address()
	if s.r, s.store, err = n.through(seed+2, "networkserve.cache"); err != nil {
		return nil, err
	}
	users := "user\n"
	for range servedAccounts {
		a, err := n.newAccount(ctx, "s", n.Messages)
		if err != nil {
			return nil, err
		}
		s.accounts, n.had[a.user] = append(s.accounts, a), a
		users += a.user + "\n"
	}
	if err := os.WriteFile(filepath.Join(n.site.Dir, "users.csv"), []byte(users), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(n.site.Dir, "master"), []byte("master\n"), 0o600); err != nil {
		return nil, err
	}
	for path, where := range map[string]string{s.bad: database.String(), s.good: direct} {
		text := fmt.Sprintf(`time-zone = "UTC"
[serve]
database = %q
machine = "wet"
dead-after = "8s"
[group.all]
list = "users.csv"
url = "imap+insecure://{user}@%s"
master = "boss"
password-file = "master"
name = "{user}"
connections = 2
[schedule.often]
every = "@every 5s"
`, where, s.mail.Address())
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *server) ways() []*weather.Way {
	list := []*weather.Way{s.mail, s.database}
	if s.store != nil {
		list = append(list, s.store)
	}
	return list
}

// shift has mail come, and restante serve for a while, and looks at what it says
// that it did: each backup that is done has the account as it is.
func (s *server) shift(ctx context.Context, random *rand.Rand) error {
	for _, a := range s.accounts {
		if len(a.ever) < many {
			if err := a.change(ctx, 1+random.IntN(5)); err != nil {
				return err
			}
		}
	}
	began := time.Now()
	for range 3 { // the database may not answer when it begins
		_, code, err := s.network.run(ctx, s.r.Command("serve", "--config", s.bad), s.ways(), 15*time.Second)
		if err != nil {
			return err
		}
		if code == 0 {
			s.mu.Lock()
			s.result.Served++
			s.mu.Unlock()
			break
		}
	}
	runs, err := s.done(ctx, began)
	if err != nil {
		return err
	}
	for _, a := range s.accounts {
		want, err := s.site.Dump(ctx, a.user)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if r.Account != a.user || r.Snapshot == "" {
				continue
			}
			s.mu.Lock()
			s.acked[r.Snapshot] = &snapshot{site.Snapshot{ID: r.Snapshot, Account: a.user, Started: r.Started}, places(want)}
			s.result.Acked++
			s.result.Runs++
			s.mu.Unlock()
		}
	}
	return nil
}

// A run is what restante runs --json tells of one.
type run struct {
	Account  string    `json:"account"`
	State    string    `json:"state"`
	Started  time.Time `json:"started"`
	Snapshot string    `json:"snapshot"`
}

// done lists the backups that came to a good end since then.
func (s *server) done(ctx context.Context, since time.Time) (list []run, err error) {
	out, err := s.network.r.With(filepath.Join(s.site.Dir, "asker.cache")).Do(ctx, "runs", "--config", s.good, "--job", "backup", "-n", "100", "--json")
	if err != nil {
		return nil, err
	}
	var all []run
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("reading what restante runs --json printed: %w\n%s", err, strings.TrimSpace(out))
	}
	for _, r := range all {
		if r.State == "done" && r.Started.After(since) {
			list = append(list, r)
		}
	}
	return list, nil
}
