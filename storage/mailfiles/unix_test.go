//go:build unix

package mailfiles

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOnlyRegularFilesAreMessages(t *testing.T) {
	t.Parallel()
	outside := makeTree(t, "secret")
	root := makeTree(t, "cur/", "new/", "new/1.h -> "+filepath.Join(outside, "secret"), "cur/2.h:2, -> 3.h:2,", "cur/3.h:2,")
	if err := syscall.Mkfifo(filepath.Join(root, "new/4.h"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openMaildir(t, root)
	l := list(t, f)
	if got := keys(l); !slices.Equal(got, []string{"3.h"}) || len(l.Skipped) != 3 {
		t.Errorf("messages %q, skipped %+v", got, l.Skipped)
	}
	// A message that becomes something else after it was listed.
	if err := errors.Join(os.Remove(filepath.Join(root, "cur/3.h:2,")), syscall.Mkfifo(filepath.Join(root, "cur/3.h:2,"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if m, err := f.Open(t.Context(), "3.h"); err == nil {
		t.Errorf("a named pipe was opened: %+v", m)
	}
	if _, err := f.Stat(t.Context(), "3.h"); err == nil {
		t.Error("a named pipe was taken for a message")
	}
	// The same for the files beside the messages.
	if err := syscall.Mkfifo(filepath.Join(root, "dovecot-keywords"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l := list(t, f); !slices.ContainsFunc(l.Skipped, func(s Skipped) bool { return s.Path == "dovecot-keywords" }) {
		t.Errorf("skipped %+v", l.Skipped)
	}
}

// A lock of one process is no obstacle to itself, so another one takes it.
func TestFcntlLocksOfOtherProcesses(t *testing.T) {
	if name := os.Getenv("MAILFILES_LOCK"); name != "" {
		file, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		lock := syscall.Flock_t{Type: syscall.F_WRLCK}
		if err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &lock); err != nil {
			t.Fatal(err)
		}
		fmt.Println("locked")
		io.ReadAll(os.Stdin)
		return
	}
	name := writeMbox(t)
	child := exec.Command(os.Args[0], "-test.run=TestFcntlLocksOfOtherProcesses")
	child.Env = append(os.Environ(), "MAILFILES_LOCK="+name)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if !inUse(t, name) {
		t.Error("a file that another process has an fcntl lock on is not in use")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := AppendMbox(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another process has an fcntl lock: %v", err)
	}
	in.Close()
	child.Wait()
	if inUse(t, name) {
		t.Error("a file that nobody locks any more is in use")
	}
	appendAll(t, name, "x")
}

// A mail program compacts the mbox into another file while we wait for it.
func TestAnMboxThatIsReplacedWhileWeWait(t *testing.T) {
	t.Parallel()
	name := writeMbox(t)
	other, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	opened := make(chan *MboxAppender)
	go func() {
		a, err := AppendMbox(t.Context(), name)
		if err != nil {
			t.Error(err)
		}
		opened <- a
	}()
	time.Sleep(100 * time.Millisecond) // until it waits; if it does not yet, nothing is proven
	if err := replaceBySame(name); err != nil {
		t.Fatal(err)
	}
	other.Close()
	a := <-opened
	if _, err := a.Write(t.Context(), Delivery{}, strings.NewReader("three\n")); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, texts := readFile(t, name); len(texts) != 3 {
		t.Errorf("%q", texts)
	}
}

func TestFlockOfOtherPrograms(t *testing.T) {
	t.Parallel()
	name := writeMbox(t)
	other, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, c := range []struct {
		how   int
		inUse bool
	}{{syscall.LOCK_SH, false}, {syscall.LOCK_EX, true}, {syscall.LOCK_UN, false}} {
		if err := syscall.Flock(int(other.Fd()), c.how); err != nil {
			t.Fatal(err)
		}
		if got := inUse(t, name); got != c.inUse {
			t.Errorf("after flock %d: in use is %v", c.how, got)
		}
	}
}

func TestLockFileOfADeadProcessDoesNotCount(t *testing.T) {
	t.Parallel()
	name := writeMbox(t)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^$")
	if err := child.Run(); err != nil {
		t.Fatal(err)
	}
	for text, counts := range map[string]bool{
		fmt.Sprintf("%d:%s", child.Process.Pid, host):     false,
		fmt.Sprintf("%d:%s", os.Getpid(), host):           true,
		fmt.Sprintf("%d:not-%s", child.Process.Pid, host): true,
		fmt.Sprint(child.Process.Pid):                     true,
	} {
		if err := os.WriteFile(name+".lock", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if inUse(t, name) != counts {
			t.Errorf("%q: counts is %v", text, !counts)
		}
	}
}
