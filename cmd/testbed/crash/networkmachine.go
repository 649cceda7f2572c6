package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"restante/cmd/testbed/site"
	"restante/cmd/testbed/weather"
)

// A machine is one that backs up an account, through ways of its own.
type machine struct {
	*network
	number      int
	site        *site.Site     // the mail server by the bad way
	r           *site.Restante // the store by the bad way, with a cache of its own
	mail, store *weather.Way   // store is nil for a directory
	random      *rand.Rand     // of this round
	account     *account       // whose mail comes by the good way
	last        *snapshot      // the newest that was reported
}

// many is how much mail an account has at most: in bad weather it must get
// through.
const many = 300

func (n *network) newMachine(ctx context.Context, number int) (*machine, error) {
	m := &machine{network: n, number: number}
	seed := n.Seed<<8 + uint64(2*number)
	to := *n.site
	to.TLS = number%2 == 1
	mail, err := weather.Open(to.Address(), weather.Options{Seed: seed})
	if err != nil {
		return nil, err
	}
	m.mail = mail
	m.site = to.Through(mail.Address())
	if m.r, m.store, err = n.through(seed+1, fmt.Sprintf("network%d.cache", number)); err != nil {
		mail.Close()
		return nil, err
	}
	return m, m.move(ctx)
}

// move has the machine back up another account.
func (m *machine) move(ctx context.Context) error {
	m.moving.Lock()
	defer m.moving.Unlock()
	a, err := m.newAccount(ctx, "m", m.Messages)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.account, m.last, m.had[a.user] = a, nil, a
	return nil
}

func (m *machine) ways() []*weather.Way {
	if m.store == nil {
		return []*weather.Way{m.mail}
	}
	return []*weather.Way{m.mail, m.store}
}

// day is what a machine does in a round.
func (m *machine) day(ctx context.Context) error {
	if len(m.account.ever) > many {
		if err := m.move(ctx); err != nil {
			return err
		}
	}
	for range map[bool]int{false: 2, true: 1}[m.o.Quick] {
		if err := m.account.change(ctx, 1+m.random.IntN(10)); err != nil {
			return err
		}
		if m.random.IntN(8) == 0 {
			if err := os.RemoveAll(m.r.Cache); err != nil { // as if on another machine
				return err
			}
		}
		if err := m.backup(ctx); err != nil {
			return err
		}
	}
	if m.last != nil && m.random.IntN(2) == 0 {
		if err := m.restore(ctx); err != nil {
			return err
		}
	}
	if m.last != nil && m.random.IntN(3) == 0 {
		m.mu.Lock()
		m.forgot = true
		m.mu.Unlock()
		if _, _, err := m.until(ctx, 2, func() *exec.Cmd { return m.r.Command("forget", m.account.user, "--keep-last", fmt.Sprint(keep)) }); err != nil {
			return err
		}
	}
	if m.random.IntN(4) == 0 {
		if _, _, err := m.until(ctx, 2, func() *exec.Cmd { return m.r.Command("prune", "--grace", "0s", "--allow-much") }); err != nil {
			return err
		}
	}
	return nil
}

// keep is how many snapshots of an account are never forgotten.
const keep = 3

// backup backs up until it gets through, but not for ever. What is reported
// must be what the account has.
func (m *machine) backup(ctx context.Context) error {
	out, code, err := m.until(ctx, 3, func() *exec.Cmd {
		return m.r.Command("backup", m.site.AccountURL(m.account.user), "--name", m.account.user, "--commit-every", "300ms", "--json")
	})
	if err != nil || code != 0 {
		return err
	}
	run, err := site.ParseBackup(out)
	if err != nil {
		return err
	}
	want, err := m.network.site.Dump(ctx, m.account.user)
	if err != nil {
		return err
	}
	if n := messages(want); run.Snapshot.Messages != n {
		return fmt.Errorf("%s has %d messages, and snapshot %s %d", m.account.user, n, run.Snapshot.ID, run.Snapshot.Messages)
	}
	m.last = &snapshot{*run.Snapshot, places(want)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acked[run.Snapshot.ID] = m.last
	m.result.Acked++
	return nil
}

// restore restores the newest snapshot to another account until it gets
// through, and then once more. Each message is there once.
func (m *machine) restore(ctx context.Context) error {
	user := fmt.Sprintf("%sr%d-%x", m.report.What, m.number, m.random.Uint32())
	restoring := func() *exec.Cmd {
		return m.r.Command("restore", m.account.user, "--at", m.last.ID, "--to", m.site.AccountURL(user), "--json")
	}
	through := 0
	for range 2 {
		_, code, err := m.until(ctx, 4, restoring)
		if err != nil {
			return err
		}
		if code == 0 {
			through++
		}
	}
	got, err := m.network.site.Dump(ctx, user)
	if err != nil {
		return err
	}
	var wrong []string
	have := places(got)
	for p, n := range have {
		if n > 1 || m.last.has[p] == 0 {
			wrong = append(wrong, fmt.Sprintf("folder %q message %x: %d times, and %d in the snapshot", p.folder, p.octets, n, m.last.has[p]))
		}
	}
	if through > 0 && len(have) != len(m.last.has) {
		wrong = append(wrong, fmt.Sprintf("%d messages are there, and %d should be", len(have), len(m.last.has)))
	}
	if err := different(fmt.Sprintf("snapshot %s, restored to %s in bad weather", m.last.ID, user), wrong); err != nil {
		return err
	}
	m.mu.Lock()
	m.result.Restored++
	if through == 2 {
		m.result.Twice++
	}
	m.mu.Unlock()
	return m.network.site.Forget(user)
}

// until runs a command until it comes to a good end, several times at most, and
// returns what it printed and its last exit code.
func (m *machine) until(ctx context.Context, tries int, command func() *exec.Cmd) (out string, code int, err error) {
	for i := range tries {
		if i > 0 {
			m.mu.Lock()
			m.result.Again++
			m.mu.Unlock()
		}
		before := m.mail.Connections()
		out, code, err = m.run(ctx, command(), m.ways(), 0)
		m.mu.Lock()
		m.result.Reconnect += max(0, m.mail.Connections()-before-1)
		m.mu.Unlock()
		if err != nil || code == 0 {
			break
		}
	}
	return out, code, err
}

const (
	silentMost = 2 * time.Minute
	longMost   = 15 * time.Minute
)

var (
	errStuck = errors.New("nothing moved")
	errLong  = errors.New("it does not come to an end")
)

// run runs a command to its end and returns its exit code. One that is silent
// for too long is told to say where it is, and that is an error; so are exit
// codes that no weather is a reason for. After some time, if any, it is asked
// to stop.
func (n *network) run(ctx context.Context, cmd *exec.Cmd, ways []*weather.Way, stop time.Duration) (string, int, error) {
	var stdout, stderr locked
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	what := cmd.Args[1]
	inner, kill := context.WithCancel(ctx)
	defer kill()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- n.site.Run(inner, cmd) }()
	moved := func() int64 {
		sum := int64(stdout.Len() + stderr.Len())
		for _, w := range ways {
			sum += w.Moved()
		}
		return sum
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var silence time.Duration
	var bad error
	asked := time.Time{} // when it was told to stop
	for before, since := moved(), began; ; {
		var err error
		over := false
		select {
		case err = <-ended:
			over = true
		case <-tick.C:
		}
		now := time.Now()
		silence = max(silence, now.Sub(since))
		if m := moved(); m != before {
			before, since = m, now
		}
		switch {
		case over:
			for _, w := range ways {
				w.Drop() // its computer is away
			}
			if ctx.Err() != nil {
				return "", 0, context.Cause(ctx)
			}
			code := cmd.ProcessState.ExitCode()
			n.mu.Lock()
			n.result.Commands++
			n.result.Exits[code]++
			n.result.Longest = max(n.result.Longest, now.Sub(began))
			if silence > n.result.Silence {
				n.result.Silence, n.result.Silent = silence, what
			}
			if code != 0 {
				n.result.Errors[what+": "+vague(stderr.String())]++
			}
			n.mu.Unlock()
			if bad == nil && code != 0 && code != 1 && code != 3 && code != 12 {
				bad = fmt.Errorf("exit code %d, which the weather is no reason for", code)
			}
			if bad != nil {
				return "", code, fmt.Errorf("%s: %w: %v\n%s%s", strings.Join(cmd.Args, " "), bad, err, stdout.String(), stderr.String())
			}
			return stdout.String(), code, nil
		case bad != nil: // it is on its way out
			if now.Sub(asked) > 10*time.Second {
				kill()
			}
		case now.Sub(since) > silentMost, now.Sub(began) > longMost+stop, !asked.IsZero() && now.Sub(asked) > 40*time.Second:
			bad = fmt.Errorf("%w for %v, %v after its beginning", errStuck, now.Sub(since).Round(time.Second), now.Sub(began).Round(time.Second))
			if now.Sub(since) <= silentMost {
				bad = fmt.Errorf("%w, %v after its beginning", errLong, now.Sub(began).Round(time.Second))
			}
			asked = now
			cmd.Process.Signal(syscall.SIGQUIT) // Go says where everything is
		case stop > 0 && asked.IsZero() && now.Sub(began) > stop:
			asked = now
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}
}

// locked is a buffer that may be looked at while it is written to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Len()
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var particular = regexp.MustCompile(`[0-9A-Za-z]*[0-9][0-9A-Za-z.:/_-]*`)

// vague is what a command said went wrong, without what is different each time.
func vague(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	line := lines[0]
	for _, l := range lines {
		if strings.HasPrefix(l, `{"error"`) || strings.HasPrefix(l, "restante: ") {
			line = l
		}
	}
	line = strings.TrimPrefix(strings.TrimPrefix(line, "restante: "), `{"error":`)
	line, _, _ = strings.Cut(line, `,"hint":`)
	line = particular.ReplaceAllString(line, "#")
	return line[:min(len(line), 400)]
}
