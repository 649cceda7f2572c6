package alerts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
	"restante/schedules/queue"
	"restante/schedules/queue/queuetest"
)

// A box is a way that keeps what it gets.
type box struct {
	name  string
	takes []Event // nil: all but pings

	mu   sync.Mutex
	got  []Message
	fail error
}

func (b *box) Name() string { return b.name }

func (b *box) Takes(e Event) bool {
	if b.takes == nil {
		return e != Ping
	}
	return slices.Contains(b.takes, e)
}

func (b *box) Send(_ context.Context, m Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail == nil {
		b.got = append(b.got, m)
	}
	return b.fail
}

func (b *box) failing(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

// new returns what came since it was last asked, each as "event: title".
func (b *box) new() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.got {
		list = append(list, string(m.Event)+": "+m.Title)
	}
	b.got = nil
	return list
}

func (b *box) wants(t *testing.T, list ...string) {
	t.Helper()
	if got := b.new(); !slices.Equal(got, list) {
		t.Errorf("%s got %q, want %q", b.name, got, list)
	}
}

// A site is a database with several machines and their keepers.
type site struct {
	*queuetest.Clock
	t       *testing.T
	queues  []*queue.Queue
	keepers []*Keeper
}

func newSite(t *testing.T, where string, machines int, o Options, accounts []Account, ways ...Way) *site {
	s := &site{Clock: queuetest.NewClock(monday), t: t}
	for range machines {
		q, err := queue.Open(t.Context(), where, queue.Options{Now: s.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { q.Close() })
		k := New(q, s.Now, slog.New(slog.DiscardHandler))
		k.Use(o, accounts, ways)
		s.queues, s.keepers = append(s.queues, q), append(s.keepers, k)
	}
	return s
}

func onSQLite(t *testing.T) string { return filepath.Join(t.TempDir(), "restante.db") }

// run has all machines look each minute, at the same time.
func (s *site) run(d time.Duration) {
	s.t.Helper()
	for end := s.Now().Add(d); s.Now().Before(end); s.Pass(time.Minute) {
		var all sync.WaitGroup
		for _, k := range s.keepers {
			all.Go(func() {
				if err := k.Tick(s.t.Context()); err != nil {
					s.t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func (s *site) backedUp(account string, r queue.Run) {
	s.t.Helper()
	r.Kind, r.Due, r.Started, r.Ended = queue.Backup, s.Now(), s.Now(), s.Now()
	if err := s.queues[0].Restore(s.t.Context(), account, []queue.Run{r}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) tell(f Fact) {
	s.t.Helper()
	if err := s.keepers[0].Tell(s.t.Context(), f); err != nil {
		s.t.Fatal(err)
	}
}

// grant is a fact that is an alert, or one that ends it.
func (s *site) grant(of string, wrong bool) {
	s.t.Helper()
	f := Fact{Subject: of, What: "grant", Expires: s.Now().Add(90 * 24 * time.Hour)}
	if wrong {
		f.Expires = monday.Add(5 * 24 * time.Hour)
	}
	s.tell(f)
}

const expires = "the grant of a expires on 2026-06-06 06:00 UTC"

func TestAnAlertIsToldOnceThenDailyAndOnceWhenItIsOver(t *testing.T) {
	for where, place := range map[string]func(t *testing.T) string{"SQLite": onSQLite, "PostgreSQL": func(t *testing.T) string { return servers.Postgres(t) }} {
		t.Run(where, func(t *testing.T) {
			mail := &box{name: "mail"}
			s := newSite(t, place(t), 3, Options{Settle: 2 * time.Minute}, nil, mail)
			s.run(2 * time.Minute)
			s.grant("a", true)
			s.run(2 * time.Minute)
			mail.wants(t)
			s.run(2 * time.Minute)
			mail.wants(t, "opened: "+expires)
			s.Pass(23*time.Hour + 50*time.Minute)
			s.run(5 * time.Minute)
			mail.wants(t)
			s.run(15 * time.Minute)
			mail.wants(t, "repeated: "+expires)
			s.grant("a", false)
			s.run(2 * time.Minute)
			mail.wants(t)
			s.run(2 * time.Minute)
			mail.wants(t, "cleared: over: "+expires)
			s.Pass(48 * time.Hour)
			s.run(3 * time.Minute)
			mail.wants(t)
			if list, err := s.queues[0].Notices(t.Context()); err != nil || len(list) != 1 || list[0].Topic != topicLook {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

func TestWhatIsOverBeforeAnybodyWasToldIsNot(t *testing.T) {
	t.Parallel()
	mail := &box{name: "mail"}
	s := newSite(t, onSQLite(t), 1, Options{}, nil, mail)
	s.grant("a", true)
	s.run(2 * time.Minute)
	s.grant("a", false)
	s.run(20 * time.Minute)
	mail.wants(t)
	// One that flaps is told of once, and is not over in between.
	s.grant("a", true)
	s.run(10 * time.Minute)
	s.grant("a", false)
	s.run(2 * time.Minute)
	s.grant("a", true)
	s.run(20 * time.Minute)
	mail.wants(t, "opened: "+expires)
}

func TestManyMoreAreToldOfWithinAnHour(t *testing.T) {
	t.Parallel()
	mail := &box{name: "mail"}
	s := newSite(t, onSQLite(t), 1, Options{}, nil, mail)
	for i := range 3 {
		s.grant(fmt.Sprint("user", i), true)
	}
	s.run(10 * time.Minute)
	if got := mail.new(); len(got) != 1 || !strings.HasPrefix(got[0], "opened: grants of 3 expire") {
		t.Fatalf("%q", got)
	}
	s.grant("user4", true) // one more is not many
	s.Pass(2 * time.Hour)
	s.run(3 * time.Minute)
	mail.wants(t)
	for i := range 10 {
		s.grant(fmt.Sprint("other", i), true)
	}
	s.run(2 * time.Minute)
	if got := mail.new(); len(got) != 1 || !strings.HasPrefix(got[0], "repeated: grants of 14 expire") {
		t.Fatalf("%q", got)
	}
}

func TestAWayThatFailsIsTriedAgainAndTheOthersSaySo(t *testing.T) {
	t.Parallel()
	mail, hook := &box{name: "mail"}, &box{name: "hook"}
	mail.failing(errors.New("mail.example.org: no such host"))
	s := newSite(t, onSQLite(t), 2, Options{Settle: time.Minute}, nil, mail, hook)
	s.grant("a", true)
	s.run(4 * time.Minute)
	hook.wants(t, "opened: "+expires)
	s.run(10 * time.Minute) // 1 and 5 minutes later
	hook.wants(t, "opened: nobody can be told by mail: mail.example.org: no such host")
	mail.failing(nil)
	s.run(20 * time.Minute)
	mail.wants(t, "opened: "+expires)
	hook.wants(t, "cleared: over: nobody can be told by mail: mail.example.org: no such host")
}

func TestTheReportComesAtItsTimeOnce(t *testing.T) {
	t.Parallel()
	mail, hook := &box{name: "mail"}, &box{name: "hook", takes: []Event{Opened}}
	at := func(after time.Time) time.Time {
		next := after.Truncate(24 * time.Hour).Add(7 * time.Hour)
		if !next.After(after) {
			next = next.Add(24 * time.Hour)
		}
		return next
	}
	s := newSite(t, onSQLite(t), 3, Options{ReportAt: at}, []Account{{Name: "a"}}, mail, hook)
	s.backedUp("a", queue.Run{State: queue.Done, Result: []byte(`{"snapshot":{"messages":1234,"bytes":2048,"stored_bytes":1024}}`)})
	s.run(2 * time.Minute)
	s.Pass(56 * time.Minute)
	s.run(2 * time.Minute)
	mail.wants(t)
	s.run(5 * time.Minute)
	mail.wants(t, "report: all is well: 1 account")
	s.Pass(23*time.Hour + 55*time.Minute)
	s.run(8 * time.Minute)
	mail.wants(t, "report: all is well: 1 account")
	s.Pass(23*time.Hour + 55*time.Minute)
	s.run(8 * time.Minute)
	if got := mail.new(); len(got) != 2 || got[0] != "report: 1 open alert; 1 account: 0 good, 1 stale" || got[1] != "opened: a has no good backup that is new enough" {
		t.Errorf("%q", got)
	}
	hook.wants(t, "opened: a has no good backup that is new enough")
}

func TestPingsSayWhetherAnythingIsOpen(t *testing.T) {
	t.Parallel()
	ping := &box{name: "ping", takes: []Event{Ping}}
	s := newSite(t, onSQLite(t), 2, Options{PingEvery: time.Hour}, nil, ping)
	s.run(2 * time.Minute)
	ping.wants(t)
	s.Pass(58 * time.Minute)
	s.run(3 * time.Minute)
	ping.wants(t, "ping: all is well")
	s.grant("a", true)
	s.Pass(58 * time.Minute)
	s.run(3 * time.Minute)
	ping.wants(t, "ping: 1 open alert")
}

func TestALostDatabaseIsRebuilt(t *testing.T) {
	t.Parallel()
	mail := &box{name: "mail"}
	accounts := []Account{{Name: "a", Server: "s"}}
	for range 2 {
		s := newSite(t, onSQLite(t), 1, Options{}, accounts, mail)
		s.backedUp("a", queue.Run{State: queue.Done})
		s.Pass(40 * time.Hour)
		s.run(10 * time.Minute)
		mail.wants(t, "opened: a on s has no good backup that is new enough")
		if list, err := s.queues[0].Alerts(t.Context()); err != nil || len(list) != 1 || !list[0].Since.Equal(monday.Add(36*time.Hour)) {
			t.Errorf("%+v, %v", list, err)
		}
	}
}

func TestADatabaseThatDoesNotAnswerIsTold(t *testing.T) {
	t.Parallel()
	mail := &box{name: "mail"}
	s := newSite(t, onSQLite(t), 1, Options{}, nil, mail)
	k := s.keepers[0]
	o, _, ways := k.used()
	for _, c := range []struct {
		err  error
		want []string
	}{
		{nil, nil}, {errors.New("refused"), nil}, {errors.New("refused"), []string{"opened: the database of restante serve does not answer"}},
		{errors.New("refused"), nil}, {nil, []string{"cleared: over: the database of restante serve does not answer"}}, {nil, nil},
		{errors.New("refused"), nil}, {nil, nil},
	} {
		k.database(t.Context(), o, ways, c.err)
		mail.wants(t, c.want...)
		s.Pass(6 * time.Minute)
	}
	s.queues[0].Close()
	if err := k.Tick(t.Context()); err == nil {
		t.Error("a closed database answers")
	}
}

// A hand is a handler whose runs all fail to log in.
type hand struct{}

func (hand) Do(context.Context, queue.Run) (queue.Outcome, error) {
	return queue.Outcome{}, errors.New("the server refused the login")
}
func (hand) Classify(error) queue.Class { return queue.Login }

func TestRunsThatFailAreTold(t *testing.T) {
	t.Parallel()
	mail := &box{name: "mail"}
	s := newSite(t, onSQLite(t), 1, Options{}, []Account{{Name: "a", Server: "mail.example.org"}, {Name: "b", Server: "mail.example.org"}}, mail)
	ended := make(chan queue.Run, 2)
	q, err := queue.Open(t.Context(), onSQLite(t), queue.Options{Now: s.Now, Every: 10 * time.Millisecond, Ended: func(r queue.Run) { ended <- r }})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	s.keepers[0].q = q
	for _, name := range []string{"a", "b"} {
		if _, err := q.Ask(t.Context(), queue.Backup, name, "mail.example.org", queue.Asked); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- q.Serve(ctx, hand{}) }()
	<-ended
	<-ended
	s.run(10 * time.Minute)
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	mail.wants(t, "opened: 2 accounts on mail.example.org cannot log in: the server refused the login")
}

// Two machines may look at the same time: one was slow.
func TestTwoMachinesThatReadTheSameSendItOnce(t *testing.T) {
	t.Parallel()
	mail := &box{name: "mail"}
	s := newSite(t, onSQLite(t), 2, Options{}, nil, mail)
	o, _, _ := s.keepers[0].used()
	n := queue.Notice{Topic: "t", Way: "mail", Due: monday}
	if _, err := s.queues[0].SwapNotice(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	list := []queue.Alert{{Name: "x", Topic: "t", Kind: string(Failure), Text: "why", Since: monday}}
	for _, k := range s.keepers {
		if err := k.topic(t.Context(), o, mail, n, list, 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := mail.new(); len(got) != 1 {
		t.Errorf("sent: %q", got)
	}
}
