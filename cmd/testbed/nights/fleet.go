package nights

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A fleet is the programs that serve.
type fleet struct {
	t       *trial
	mu      sync.Mutex // guards what follows
	serving []*serving
	peak    int64 // octets of memory that one had
	// requests to the store, of the first program since it was started last.
	requests int64
	metrics  string // where it tells of them
}

// serving is one of them.
type serving struct {
	n      int
	cmd    *exec.Cmd
	kill   context.CancelFunc
	ended  chan error
	killed bool
}

// serve writes the configuration and starts the programs.
func (t *trial) serve(ctx context.Context) (*fleet, error) {
	f := &fleet{t: t}
	for n := range t.o.Machines {
		if err := f.start(ctx, n); err != nil {
			return nil, errors.Join(err, f.stop())
		}
	}
	return f, nil
}

// config is the configuration of the n-th program.
func (f *fleet) config(n int) (string, error) {
	t := f.t
	path := filepath.Join(t.site.Dir, fmt.Sprintf("m%d.toml", n))
	if t.toml != "" {
		return path, os.WriteFile(path, []byte(t.toml), 0o600)
	}
	database := t.o.Database
	if database == "" {
		database = filepath.Join(t.site.Dir, "nights.db")
	}
	listen := ""
	if n == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		f.metrics = l.Addr().String()
		l.Close()
		listen = fmt.Sprintf("listen = %q\n", f.metrics)
	}
	text := fmt.Sprintf(`keep = "daily 14, weekly 8"
time-zone = "UTC"
[serve]
database = %q
machine = "m%d"
at-once = 16
per-server = 48
dead-after = "8s"
%s[group.all]
list = "users.csv"
url = %q
master = "`+Master+`"
password-file = "master"
name = "{user}"
connections = 1
[schedule.nightly]
every = "@nightly"
spread = "2h"
[schedule.forget]
job = "forget"
every = "0 5 * * *"
[schedule.prune]
job = "prune"
every = "30 5 * * sun"
`, database, n, listen, t.site.AccountURL("{user}"))
	return path, os.WriteFile(path, []byte(text), 0o600)
}

func (f *fleet) start(ctx context.Context, n int) error {
	config, err := f.config(n)
	if err != nil {
		return err
	}
	r := f.t.restante.With(filepath.Join(f.t.site.Dir, fmt.Sprintf("cache%d", n)))
	cmd := r.Command("serve", "--config", config)
	cmd.Env = append(cmd.Env, "TESTBED_CLOCK="+f.t.clock)
	log, err := os.OpenFile(filepath.Join(f.t.site.Dir, fmt.Sprintf("m%d.log", n)), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd.Stderr = log
	inner, kill := context.WithCancel(context.WithoutCancel(ctx))
	before := f.starts(n)
	s := &serving{n: n, cmd: cmd, kill: kill, ended: make(chan error, 1)}
	go func() {
		s.ended <- f.t.site.Run(inner, cmd)
		log.Close()
	}()
	f.mu.Lock()
	f.serving = append(f.serving, s)
	f.mu.Unlock()
	// What it plans, it plans from the time that it starts at.
	for deadline := time.Now().Add(f.most() / 10); f.starts(n) == before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("restante serve m%d does not begin: %s", n, f.tail(n))
		}
	}
	return nil
}

// starts is how often a program has said that it serves.
func (f *fleet) starts(n int) int {
	b, _ := os.ReadFile(filepath.Join(f.t.site.Dir, fmt.Sprintf("m%d.log", n)))
	return bytes.Count(b, []byte("msg=serving"))
}

// killOne ends one with a kill -9 at a moment of the night, and starts it again.
func (f *fleet) killOne(ctx context.Context, random *rand.Rand) error {
	time.Sleep(time.Duration(random.IntN(4000)) * time.Millisecond)
	f.measure()
	f.mu.Lock()
	i := random.IntN(len(f.serving))
	s := f.serving[i]
	f.serving = append(f.serving[:i:i], f.serving[i+1:]...)
	f.mu.Unlock()
	s.kill()
	<-s.ended
	return f.start(ctx, s.n)
}

// measure looks at how much memory the programs have had.
func (f *fleet) measure() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.serving {
		if s.cmd.Process == nil {
			continue
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
		if err != nil {
			continue
		}
		for line := range bytes.Lines(status) {
			if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
				kib, _ := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
				f.peak = max(f.peak, kib<<10)
			}
		}
	}
}

// count asks the first program how many requests to the store it has made.
func (f *fleet) count() {
	r, err := http.Get("http://" + f.metrics + "/metrics")
	if err != nil {
		return // it has been killed, or has nowhere to tell
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		return
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("restante_store_requests_total ")); ok {
			n, _ := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
			f.requests = int64(n)
		}
	}
}

// stop tells all to stop, and waits. It may be called again.
func (f *fleet) stop() error {
	f.measure()
	f.count()
	f.mu.Lock()
	list := f.serving
	f.serving = nil
	f.mu.Unlock()
	var errs []error
	for _, s := range list {
		if s.cmd.Process != nil {
			s.cmd.Process.Signal(syscall.SIGTERM)
		}
		select {
		case err := <-s.ended:
			if err != nil {
				errs = append(errs, fmt.Errorf("restante serve m%d: %w: %s", s.n, err, f.tail(s.n)))
			}
		case <-time.After(40 * time.Second):
			s.kill()
			errs = append(errs, fmt.Errorf("restante serve m%d did not stop within 40 s", s.n))
		}
	}
	return errors.Join(errs...)
}

// tail is the end of a program's log.
func (f *fleet) tail(n int) string {
	b, err := os.ReadFile(filepath.Join(f.t.site.Dir, fmt.Sprintf("m%d.log", n)))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

// A run is what restante runs --json tells of one.
type run struct {
	Job     string    `json:"job"`
	Account string    `json:"account"`
	State   string    `json:"state"`
	Due     time.Time `json:"due"`
	Started time.Time `json:"started"`
	Error   string    `json:"error"`
}

// runs lists the newest runs.
func (f *fleet) runs(ctx context.Context, args ...string) (list []run, err error) {
	config := filepath.Join(f.t.site.Dir, "m0.toml")
	cmd := f.t.restante.Command("runs", append([]string{"--config", config, "--json"}, args...)...)
	cmd.Env = append(cmd.Env, "TESTBED_CLOCK="+f.t.clock)
	out, err := f.t.site.Output(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return list, json.Unmarshal([]byte(out), &list)
}

// most is how long a night may take: a thousand accounts a minute, and ten.
func (f *fleet) most() time.Duration {
	return 10*time.Minute + time.Duration(f.t.o.Accounts)*time.Minute/1000
}

// await waits until so many accounts have been backed up in the night.
func (f *fleet) await(ctx context.Context, due time.Time, accounts int) error {
	for deadline := time.Now().Add(f.most()); ; {
		asked := time.Now()
		list, err := f.runs(ctx, "--job", "backup", "-n", strconv.Itoa(2*accounts))
		if err != nil {
			return err
		}
		done, open := map[string]bool{}, 0
		for _, r := range list {
			switch {
			case r.Due.Before(due):
			case r.State == "done":
				if done[r.Account] {
					return fmt.Errorf("%s was run twice", r.Account)
				}
				done[r.Account] = true
			case r.State == "failed" || r.State == "incomplete" || r.State == "dropped":
				return fmt.Errorf("%s: %s: %s", r.Account, r.State, r.Error)
			default:
				open++
			}
		}
		if len(done) == accounts && open == 0 {
			f.measure()
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d accounts are done after %v", len(done), accounts, f.most())
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(max(300*time.Millisecond, 10*time.Since(asked))): // the list of many is work
		}
	}
}

// settle waits until nothing is due any more.
func (f *fleet) settle(ctx context.Context) error {
	time.Sleep(1500 * time.Millisecond) // they look for what is due every second
	for deadline := time.Now().Add(f.most()); ; {
		list, err := f.runs(ctx, "-n", "20")
		if err != nil {
			return err
		}
		open := 0
		for _, r := range list {
			if r.State == "waiting" || r.State == "given" || r.State == "running" {
				open++
			}
			if r.State == "failed" {
				return fmt.Errorf("%s failed: %s", r.Job, r.Error)
			}
		}
		if open == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("what is due is not done")
		}
		time.Sleep(100 * time.Millisecond)
	}
}
