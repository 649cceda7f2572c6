package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"restante/schedules"
	"restante/schedules/alerts"
	"restante/schedules/metrics"
	"restante/schedules/queue"
	"restante/storage"
	"restante/storage/objects"
)

type serveCmd struct {
	Log string `enum:"text,json" default:"text" help:"How the log is written: text or json (default: text)."`
}

func (*serveCmd) Help() string {
	return `Does what the schedules of the configuration say, until it is stopped: backs accounts up, forgets, prunes, checks, exports. Without any schedule it backs every account up each night, within two hours from one o'clock on, and looks after the repository.

Several machines share the work with one database on PostgreSQL:

  [serve]
  database = "postgres://restante@db.example.org/restante"

One run of an account at a time, no more at once than [serve] at-once on this machine and per-server on one mail server. What fails for now is tried again; a wrong password is not. Runs of a machine that died are taken over within two minutes. A machine that is told to stop (SIGTERM) commits what it has read and stops within half a minute.

SIGHUP reads the configuration again and says what changed; one with a mistake in it changes nothing. Lists of users are read again every hour.

With listen = "127.0.0.1:9721" under [serve] there are /metrics for Prometheus, /healthz and /readyz. [alerts] says who is told of what goes wrong; restante alerts lists it.

Example:

  restante serve
  restante serve --log json
  restante schedule list
  restante status`
}

// A service is a restante serve.
type service struct {
	app   *app
	repo  *storage.Repository
	group *storage.Group
	queue *queue.Queue
	// alerts tell people what is wrong, metrics tell machines how much of all
	// there is.
	alerts  *alerts.Keeper
	metrics *metrics.Metrics
	counted *objects.Counter // what was asked of the store
	h       *schedules.Handler
	log     *slog.Logger
	now     func() time.Time

	current atomic.Pointer[generation]
	// noted is when a fact was last told of, by the fact without its time.
	noted  sync.Map
	upkeep sync.Mutex
	ready  atomic.Bool
}

func (c *serveCmd) Run(ctx context.Context, a *app) error {
	level := &slog.HandlerOptions{Level: slog.LevelInfo}
	if a.Verbose {
		level.Level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(a.err, level))
	if c.Log == "json" {
		log = slog.New(slog.NewJSONHandler(a.err, level))
	}
	a.log, a.serves, a.Quiet = log, true, true
	told := make(chan os.Signal, 1) // from the beginning: until somebody listens, it ends the program
	signal.Notify(told, syscall.SIGHUP)
	defer signal.Stop(told)
	s := &service{app: a, log: log, now: clock()}
	first, err := a.generation(ctx)
	if err != nil {
		return err
	}
	if len(first.accounts) == 0 {
		return withHint(wrongUsage(errors.New("the configuration has no accounts")), "write some into restante.toml; restante accounts list shows them")
	}
	if s.repo, s.counted, err = a.openRepository(ctx, false); err != nil {
		return err
	}
	defer s.repo.Close()
	s.group = s.repo.Group(context.WithoutCancel(ctx)) // what is written when it stops is worth finishing
	where, err := first.config.database()
	if err != nil {
		return err
	}
	deadAfter, err := first.config.deadAfter()
	if err != nil {
		return err
	}
	s.current.Store(first)
	s.queue, err = queue.Open(ctx, where, queue.Options{
		Machine: first.config.Serve.Machine, AtOnce: first.config.Serve.AtOnce, DeadAfter: deadAfter, Now: s.now, Log: log,
		PerServer: func(server string) int { return s.current.Load().config.perServer(server) },
		Ended:     func(r queue.Run) { s.metrics.Ended(r) },
	})
	if err != nil {
		return withHint(err, "the database stands under [serve] in restante.toml; without one it is a file of this machine's")
	}
	defer s.queue.Close()
	if s.metrics, err = s.measure(first); err != nil {
		return err
	}
	s.alerts = alerts.New(s.queue, s.now, log)
	s.h = schedules.NewHandler(s.now, classify)
	if err := s.recall(ctx, first); err != nil {
		return err
	}
	if err := s.adopt(ctx, first); err != nil {
		return err
	}
	listening, err := s.listen(ctx, first.config.Serve.Listen)
	if err != nil {
		return err
	}
	defer listening()

	serving, stop := context.WithCancel(ctx)
	defer stop()
	var reloading sync.WaitGroup
	reloading.Go(func() { s.reload(serving, told) })
	reloading.Go(func() { s.alerts.Run(serving) })
	reloading.Go(func() { s.watch(serving) })
	log.Info("serving", "accounts", len(first.accounts), "schedules", len(first.schedules), "repository", s.repo.Location())
	s.ready.Store(true)
	daemon.SdNotify(false, daemon.SdNotifyReady)
	context.AfterFunc(ctx, func() { daemon.SdNotify(false, daemon.SdNotifyStopping) })
	err = s.queue.Serve(ctx, s.h)
	stop()
	reloading.Wait()
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// manyAccounts is how many accounts are too many for metrics of each.
const manyAccounts = 2000

// measure makes the metrics of this machine.
func (s *service) measure(first *generation) (*metrics.Metrics, error) {
	o, err := first.config.alertOptions()
	if err != nil {
		return nil, err
	}
	return metrics.New(s.queue, metrics.Options{
		Accounts: func() (names []string) {
			for _, a := range s.current.Load().list {
				names = append(names, a.Name)
			}
			return names
		},
		Aggregate: len(first.list) > manyAccounts, StaleAfter: o.StaleAfter, Store: s.counted.Snapshot, Now: s.now, Log: s.log,
		Pools: func() map[string]int { return map[string]int{"accounts": s.queue.AtOnce()} },
	}), nil
}

// recall writes what the repository tells of earlier runs into a database that
// does not know of them.
func (s *service) recall(ctx context.Context, g *generation) error {
	known, err := s.queue.Remembered(ctx) // of all at once: each by itself waits for all machines' turns
	if err != nil {
		return err
	}
	for _, a := range g.list {
		list := s.repo.Snapshots(a.Name)
		if len(list) == 0 || known[a.Name] {
			continue
		}
		if err := s.queue.Restore(ctx, a.Name, earlier(list)); err != nil {
			return fmt.Errorf("write the history of %q into the database: %w", a.Name, err)
		}
	}
	return nil
}

// adopt goes on with a generation.
func (s *service) adopt(ctx context.Context, g *generation) error {
	last := func(job queue.Kind, account string) time.Time {
		if latest, ok := s.repo.Latest(account); ok && job == queue.Backup {
			return latest.StartedAt()
		}
		return time.Time{}
	}
	o, told, ways, err := g.alerting()
	if err != nil {
		return err
	}
	use := func(g *generation) {
		j := &jobs{g: g, repo: s.repo, group: s.group, queue: s.queue, now: s.now, note: s.note, upkeep: &s.upkeep}
		s.h.Use(g.schedules, j.all())
	}
	// What was opened once is the same for all generations.
	g.app.store, g.app.unlocks, g.app.certificate = s.app.store, s.app.unlocks, s.certificate
	use(g) // what is planned may be due at once, and somebody be quick to begin it
	if err := s.queue.Plan(ctx, schedules.Plan(g.schedules, g.list, last)); err != nil {
		use(s.current.Load())
		return err
	}
	s.current.Store(g)
	s.alerts.Use(o, told, ways)
	for _, name := range schedules.Unplanned(g.schedules, g.list) {
		s.log.Warn("no schedule backs this account up", "account", name)
	}
	return nil
}

// certificate notes when a mail server's certificate expires.
func (s *service) certificate(host string, expires time.Time) {
	s.note(alerts.Fact{Subject: host, Server: true, What: "certificate", Expires: expires})
}

// note tells of a fact, an hour at most after it is another one.
func (s *service) note(f alerts.Fact) {
	const every = time.Hour
	of := f
	of.Expires = time.Time{}
	now := time.Now()
	if last, there := s.noted.Swap(of, now); there && now.Sub(last.(time.Time)) < every {
		s.noted.Store(of, last)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.alerts.Tell(ctx, f); err != nil {
		s.noted.Delete(of)
		s.log.Debug("when something expires was not noted", "what", f.What, "of", f.Subject, "error", err)
	}
}

// listen answers whoever watches over this machine.
func (s *service) listen(ctx context.Context, at string) (stop func(), err error) {
	if at == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, withHint(fmt.Errorf("listen at %s: %w", at, err), "write another port: listen = \"127.0.0.1:9721\" under [serve]")
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		if err := s.queue.Ping(ctx); err != nil || !s.ready.Load() {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	go server.Serve(l)
	s.log.Info("listening", "at", l.Addr().String())
	return func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		server.Shutdown(grace)
	}, nil
}

// marshal is a value in JSON; it must be one that has a form in it.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
