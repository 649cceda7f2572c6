package main

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
)

// asTestbed makes this test program a testbed, so that the tests need not
// build one. It begins like the testbed's own variables, and so stops here.
const asTestbed = "TESTBED_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asTestbed) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// testbed is a command that runs a testbed.
func testbed(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asTestbed+"=1", "CI=")
	cmd.Stderr = os.Stderr
	return cmd
}

// noServers leaves all servers out, for tests that are about the command.
var noServers = []string{"-q", "-without", "dovecot,cyrus,courier,s3,postgresql"}

func TestExitCode(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("not a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		args []string
		want int
	}{
		{"a command that succeeds", []string{"true"}, 0},
		{"a command that fails", []string{"sh", "-c", "exit 7"}, 7},
		{"a command that a signal ends", []string{"sh", "-c", "kill -TERM $$"}, 128 + 15},
		{"a command that does not exist", []string{"no-such-command"}, exitNotFound},
		{"a path that does not exist", []string{"./no/such/path"}, exitNotFound},
		{"a file that is no program", []string{plain}, exitNotRun},
		{"a server that does not exist", []string{"-without", "exchange", "true"}, exitFailed},
		{"a flag that does not exist", []string{"-nonsense"}, exitFailed},
		{"help", []string{"-h"}, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			cmd := testbed(t, append(noServers, c.args...)...)
			cmd.Stderr = nil
			cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}

func TestInputAndOutputAreTheCommands(t *testing.T) {
	t.Parallel()
	cmd := testbed(t, append(noServers, "sh", "-c", "cat; echo error >&2")...)
	cmd.Stdin = strings.NewReader("octets\x00\xff")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || string(out) != "octets\x00\xff" || stderr.String() != "error\n" {
		t.Errorf("stdout %q, stderr %q, %v", out, stderr.String(), err)
	}
}

// A running testbed, whose command has told where the servers are.
type running struct {
	cmd   *exec.Cmd
	stdin io.Closer
	env   map[string]string // of its command
	dir   string
	token string // on the command line of the testbed and its command
}

// start starts a testbed whose command prints its environment and then runs
// the shell script, up to where that prints READY.
func start(t *testing.T, script string) *running {
	t.Helper()
	servers.IMAP(t) // or skip: what a testbed needs is installed where one runs already
	r := &running{token: rand.Text(), env: make(map[string]string)}
	r.cmd = testbed(t, "-q", "sh", "-c", ": "+r.token+"; env; "+script)
	stdin, err1 := r.cmd.StdinPipe()
	stdout, err2 := r.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, r.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.cmd.Process.Kill(); r.cmd.Wait() })
	r.stdin = stdin
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && lines.Text() != "READY" {
		name, value, _ := strings.Cut(lines.Text(), "=")
		r.env[name] = value
	}
	if r.env["TESTBED_CA"] == "" || r.env["TESTBED_S3"] == "" {
		t.Fatalf("the testbed did not start all servers; the environment is %v", r.env)
	}
	r.dir = filepath.Dir(r.env["TESTBED_CA"])
	return r
}

// ended waits for the testbed, checks its exit code and that it left nothing.
func (r *running) ended(t *testing.T, code int) {
	t.Helper()
	r.cmd.Wait()
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	// A keeper may still be at work.
	var left []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		left = r.processes()
		if _, err := os.Stat(r.dir); !errors.Is(err, fs.ErrNotExist) {
			left = append(left, r.dir)
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("still there: %q", left)
}

// ports are the addresses in the environment.
func (r *running) ports() map[string]string {
	ports := make(map[string]string)
	for name, value := range r.env {
		if _, _, err := net.SplitHostPort(value); err == nil && strings.HasPrefix(name, "TESTBED_") {
			ports[name] = value
		}
	}
	return ports
}

// processes are those that run in the testbed's directory, name it, or run its
// command; known on Linux only.
func (r *running) processes() []string {
	var found []string
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		cwd, _ := os.Readlink(p + "/cwd")
		args, _ := os.ReadFile(p + "/cmdline")
		if strings.HasPrefix(cwd, r.dir) || strings.Contains(string(args), r.dir) || strings.Contains(string(args), r.token) {
			found = append(found, fmt.Sprintf("%s %q in %s", filepath.Base(p), args, cwd))
		}
	}
	return found
}

// listeners are the numbers of the sockets that wait for connections, by their
// addresses; known on Linux only (proc_pid_net(5)).
func listeners() map[string]string {
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil
	}
	found := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != "0A" { // TCP_LISTEN
			continue
		}
		var ip, port uint32
		if n, _ := fmt.Sscanf(fields[1], "%08X:%04X", &ip, &port); n == 2 {
			address := binary.NativeEndian.AppendUint32(nil, ip)
			found[fmt.Sprintf("%s:%d", net.IP(address), port)] = fields[9]
		}
	}
	return found
}

func TestServersAnswerAndThenAreGone(t *testing.T) {
	t.Parallel()
	one, two := start(t, "echo READY; cat"), start(t, "echo READY; cat")
	if runtime.GOOS == "linux" && len(one.processes()) < 5 {
		t.Errorf("only these run: %q", one.processes())
	}
	for name, addr := range one.ports() {
		if addr == two.env[name] || addr == os.Getenv(name) {
			t.Errorf("%s is %s in two testbeds", name, addr)
		}
	}
	before := listeners()
	one.stdin.Close()
	one.ended(t, 0)
	after := listeners()
	for name, addr := range one.ports() {
		if before != nil && after[addr] != before[addr] {
			continue // it was closed; another program may have the port by now
		}
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Errorf("somebody still answers at %s, %s", name, addr)
		}
	}
	if len(two.ports()) < 10 {
		t.Errorf("only these ports: %v", two.ports())
	}
	for name, addr := range two.ports() {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Errorf("after the other testbed's end, %s: %v", name, err)
			continue
		}
		conn.Close()
	}
	two.stdin.Close()
	two.ended(t, 0)
}

func TestASignalReachesTheCommandAndEndsEverything(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		signal syscall.Signal
		script string
		want   int
	}{
		{"an interrupt", syscall.SIGINT, "echo READY; exec sleep 100", 128 + 2},
		{"SIGTERM", syscall.SIGTERM, "echo READY; exec sleep 100", 128 + 15},
		{"a hang-up", syscall.SIGHUP, "echo READY; exec sleep 100", 128 + 1},
		{"a command that ends in its own way", syscall.SIGTERM, "trap 'exit 3' TERM; echo READY; while :; do sleep 0.1; done", 3},
		{"a command whose child goes on", syscall.SIGTERM, "(trap '' TERM; echo READY; while :; do sleep 0.1; done) & wait", 128 + 15},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			r := start(t, c.script)
			r.cmd.Process.Signal(c.signal)
			r.ended(t, c.want)
		})
	}
}

func TestAKilledTestbedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	r := start(t, "(echo READY; while :; do sleep 0.1; done) & wait")
	r.cmd.Process.Kill()
	r.ended(t, -1)
}

func TestAServerThatCannotBeHad(t *testing.T) {
	t.Parallel()
	servers.IMAP(t)
	// A user who has built nothing, on a system without Go and without apt-get.
	bin, err := newDir() // which another user can reach
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(bin) })
	for _, name := range []string{"env", "dovecot", "doveconf", "doveadm"} {
		path, err := findProgram(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	run := func(ci string) (stdout, stderr string, code int) {
		cmd := testbed(t, "env")
		cmd.Env = append(cmd.Env, "PATH="+bin, "HOME="+t.TempDir(), "XDG_CACHE_HOME=", "CI="+ci)
		var out, log strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &log
		cmd.Run()
		return out.String(), log.String(), cmd.ProcessState.ExitCode()
	}
	stdout, stderr, code := run("")
	if code != 0 || !strings.Contains(stdout, "TESTBED_MISSING=courier,cyrus,s3\n") || !strings.Contains(stdout, "TESTBED_IMAP=") || strings.Contains(stdout, "TESTBED_S3") {
		t.Errorf("exit code %d, environment:\n%s\nand it says:\n%s", code, stdout, stderr)
	}
	for _, name := range []string{"courier", "cyrus", "s3"} {
		if !strings.Contains(stderr, "no "+name) {
			t.Errorf("nothing is said about %s: %s", name, stderr)
		}
	}
	stdout, stderr, code = run("true")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "no courier") {
		t.Errorf("with CI=true: exit code %d, stdout %q, stderr %s", code, stdout, stderr)
	}
}
