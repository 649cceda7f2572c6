package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// answerTime is how long a server may take to answer.
const answerTime = 20 * time.Second

// A daemon is a server's process, with a process group of its own.
type daemon struct {
	name    string
	pid     int              // of its group: negative
	log     string           // file with what it wrote
	command func() *exec.Cmd // that starts it once more
	keeper  *keeper          // knows of it while it runs
	stopped chan struct{}    // closed when the process has ended
	once    sync.Once        // its pid may be another's after the first stop
}

// spawn starts a server's process, which writes to name.log. The bed stops it
// when it is closed.
func (b *bed) spawn(name string, cmd *exec.Cmd) (*daemon, error) {
	log := filepath.Join(b.dir, name+".log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer out.Close()
	path, args, dir, env, as := cmd.Path, cmd.Args, cmd.Dir, cmd.Env, cmd.SysProcAttr // the keeper changes the command
	command := func() *exec.Cmd { return &exec.Cmd{Path: path, Args: args, Dir: dir, Env: env, SysProcAttr: as} }
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd, syscall.SIGTERM)
	pid, err := b.keeper.start(cmd, true)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	d := &daemon{name: name, pid: pid, log: log, command: command, keeper: b.keeper, stopped: make(chan struct{})}
	b.mu.Lock()
	b.daemons = append(b.daemons, d)
	b.mu.Unlock()
	go func() {
		cmd.Wait() // why it ended stands in its log
		close(d.stopped)
	}()
	return d, nil
}

// await calls answers until it returns nil.
func (d *daemon) await(ctx context.Context, answers func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for {
		err := answers(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-d.stopped:
			return fmt.Errorf("%s ended at once; its log says:\n%s", d.name, d.logTail())
		case <-ctx.Done():
			if cause := context.Cause(ctx); cause != context.DeadlineExceeded {
				return cause
			}
			return fmt.Errorf("%s did not answer within %v: %w; its log says:\n%s", d.name, answerTime, err, d.logTail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends the server and everything it started. It is killed outright, since
// nobody needs what it would still write, and Dovecot takes a second to end.
func (d *daemon) stop() {
	d.once.Do(func() {
		sendSignal(d.pid, syscall.SIGKILL)
		<-d.stopped
		d.keeper.forget(d.pid)
	})
}

// again starts a server that was stopped once more, as it was started before,
// and waits until it answers.
func (b *bed) again(ctx context.Context, d *daemon, answers func(context.Context) error) error {
	d, err := b.spawn(d.name, d.command())
	if err != nil {
		return err
	}
	return d.await(ctx, answers)
}

// greetingAt is the first line that a server says at an address; with secure, by
// TLS, whatever its certificate.
func greetingAt(ctx context.Context, address string, secure bool) (string, error) {
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = new(net.Dialer)
	if secure {
		dialer = &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerTime))
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("reading a greeting: %w", err)
	}
	return greeting, nil
}

// giveAway makes everything below dir belong to the role.
func giveAway(dir string, r role) error {
	if !r.other {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(r.UID), int(r.GID))
	})
}

// logTail returns the end of the server's log.
func (d *daemon) logTail() string {
	const most = 4000
	b, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(bytes.TrimSpace(b))
}

// freePorts returns n TCP ports that nobody listens on right now. Somebody
// may take one before the server does, so a start that fails is worth
// another try with other ports.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close() // only after all are found, so that none is found twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// startTries is how often a server is started with new ports.
const startTries = 4

// loopback is the address of a port on this computer.
func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
