package powercut

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// A tracer is one Run. It stays on one thread, which alone the kernel takes for
// the debugger.
type tracer struct {
	Plan
	Result
	pid     int
	threads map[int]*thread
	noted   int // undos
}

// A thread of the program.
type thread struct {
	within bool       // a system call
	op     *operation // that is under way, if it changes files of ours
	done   func()     // notes that it was done
	answer func(regs *syscall.PtraceRegs)
}

func run(cmd *exec.Cmd, p Plan) (*Result, error) {
	done := make(chan error, 1)
	t := &tracer{Plan: p, Result: Result{data: map[inode]*dirty{}, dirs: map[inode]*os.File{}}, threads: map[int]*thread{}}
	if p.After != nil {
		was := p.After
		t.Operations, t.Struck, t.lost, t.data, t.dirs = was.Operations, was.Struck, was.lost, was.data, was.dirs
		if n := len(t.lost); n > 0 {
			t.noted = t.lost[n-1].n
		}
	}
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		done <- t.run(cmd)
	}()
	err := <-done
	return &t.Result, err
}

func (t *tracer) run(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	t.pid = cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(t.pid, &status, syscall.WALL, nil); err != nil {
		return fmt.Errorf("waiting for the program to begin: %w", err)
	}
	const exitKill = 0x100000 // PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(t.pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|syscall.PTRACE_O_TRACEFORK|syscall.PTRACE_O_TRACEVFORK|syscall.PTRACE_O_TRACEEXEC|exitKill); err != nil {
		return fmt.Errorf("tracing the program: %w", err)
	}
	t.threads[t.pid] = &thread{}
	if err := syscall.PtraceSyscall(t.pid, 0); err != nil {
		return err
	}
	return t.loop(cmd)
}

// loop lets the threads run from one system call to the next.
func (t *tracer) loop(cmd *exec.Cmd) error {
	for {
		tid, err := t.next()
		if err != nil {
			return fmt.Errorf("waiting for the program: %w", err)
		}
		var status syscall.WaitStatus
		switch got, err := syscall.Wait4(tid, &status, syscall.WALL|syscall.WNOHANG, nil); {
		case err == syscall.ECHILD || err == nil && got == 0:
			continue // it was killed since, and has nothing to tell yet
		case err != nil:
			return fmt.Errorf("waiting for the program: %w", err)
		}
		if status.Exited() || status.Signaled() {
			delete(t.threads, tid)
			if tid != t.pid {
				continue
			}
			cmd.Wait() // it was waited for, so this only lets go of its output
			switch {
			case t.Killed:
				return nil
			case status.Signaled():
				return fmt.Errorf("it was ended by %v", status.Signal())
			case status.ExitStatus() != 0:
				return ExitError(status.ExitStatus())
			}
			return nil
		}
		if !status.Stopped() {
			continue
		}
		th := t.threads[tid]
		if th == nil { // new; it begins with a SIGSTOP
			th = &thread{}
			t.threads[tid] = th
		}
		signal := 0
		switch s := status.StopSignal(); {
		case s == syscall.SIGTRAP|0x80:
			t.systemCall(tid, th)
		case s == syscall.SIGTRAP, s == syscall.SIGSTOP:
		default:
			signal = int(s)
		}
		if err := syscall.PtraceSyscall(tid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("letting the program go on: %w", err)
		}
	}
}

// next is the next thread or process of the program that has something to tell. This thread
// may have children of others, which wait for them themselves: so it looks, and
// takes nothing from them.
func (t *tracer) next() (tid int, err error) {
	for {
		var info struct {
			_   [4]int32
			pid int32
			_   [108]byte
		}
		const all, exited, stopped, nowait = 0, 4, 2, 0x01000000
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, all, 0, uintptr(unsafe.Pointer(&info)), exited|stopped|nowait|syscall.WALL|syscall.WNOTHREAD, 0, 0)
		tid = int(info.pid)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno != 0:
			return 0, errno
		case tid == t.pid || t.threads[tid] != nil:
			return tid, nil
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
		if strings.Contains(string(status), fmt.Sprintf("\nTracerPid:\t%d\n", syscall.Gettid())) {
			return tid, nil // new
		}
		time.Sleep(time.Millisecond)
	}
}

// systemCall sees a system call begin or end.
func (t *tracer) systemCall(tid int, th *thread) {
	var regs syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &regs) != nil || t.Killed {
		return // killed
	}
	if th.within = !th.within; !th.within {
		th.op = nil
		if answer := th.answer; answer != nil {
			th.answer = nil
			answer(&regs)
		}
		return
	}
	op := t.look(tid, &regs)
	if op == nil {
		return
	}
	n := len(t.Operations)
	t.Operations = append(t.Operations, op.String())
	fault := Nothing
	if n == t.At && t.Fault != Nothing {
		fault, t.Struck, t.full = t.Fault, op.String(), t.Fault == Full
	} else if t.full {
		fault = Full
	}
	set := func(change func(r *syscall.PtraceRegs)) {
		change(&regs)
		syscall.PtraceSetRegs(tid, &regs)
	}
	skip := func(why syscall.Errno) {
		set(func(r *syscall.PtraceRegs) { r.Orig_rax = ^uint64(0) })
		th.answer = func(r *syscall.PtraceRegs) {
			r.Rax = failure(why)
			syscall.PtraceSetRegs(tid, r)
		}
	}
	switch {
	case fault == Kill:
		set(func(r *syscall.PtraceRegs) { r.Orig_rax = ^uint64(0) })
		t.Killed = true
		for each, other := range t.threads {
			// What is under way may be done yet, and nobody will say so.
			if other.op != nil && other.op.kind != "fsync" {
				other.op.beside = true
				other.done()
			}
			syscall.Kill(each, syscall.SIGKILL)
		}
		return
	case fault == Fail, fault == Crawl && (op.kind != "write" || regs.Rdx < 2):
		skip(syscall.EIO)
		return
	case fault == Full && op.takesRoom:
		skip(syscall.ENOSPC)
		return
	case fault == Crawl:
		set(func(r *syscall.PtraceRegs) { r.Rdx = 1 })
		t.At, t.Fault = n+1, Fail
	}
	for _, other := range t.threads {
		if other.op != nil {
			op.beside, other.op.beside = true, true
		}
	}
	done := t.prepare(op)
	th.op, th.done = op, done
	th.answer = func(r *syscall.PtraceRegs) {
		if int64(r.Rax) >= 0 {
			done()
			if fault == Lost {
				r.Rax = failure(syscall.EIO)
				syscall.PtraceSetRegs(tid, r)
			}
		}
	}
}

// failure is what a system call returns that failed.
func failure(why syscall.Errno) uint64 { return uint64(-int64(why)) }

// ExitError is the exit code of a program that failed.
type ExitError int

func (e ExitError) Error() string { return fmt.Sprintf("it ended with exit code %d", int(e)) }
