package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// openTerminal makes a terminal: what the program sees, and where the person
// sits.
func openTerminal(t *testing.T) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return program, person
}

// see reads what the person sees until something stands there.
func see(t *testing.T, person *os.File, until string) string {
	t.Helper()
	var seen strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(seen.String(), until); {
		if _, err := person.Read(b); err != nil {
			t.Fatalf("%v behind %q", err, seen.String())
		}
		seen.Write(b)
	}
	return seen.String()
}

func terminalState(t *testing.T, f *os.File) *term.State {
	t.Helper()
	s, err := term.GetState(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPromptIsSeenInFrontOfADisplay(t *testing.T) {
	program, person := openTerminal(t)
	a := &app{Globals: &Globals{}, in: program, err: program, screen: &screen{w: program}}
	shown := terminalState(t, program)
	d := a.watch(func() moment { return moment{texts: []string{"listing folders"}} })
	see(t, person, "listing folders")
	answer := make(chan string, 1)
	go func() {
		text, err := a.prompt(t.Context(), "Password of alice")
		answer <- fmt.Sprint(text, err)
	}()
	if seen := see(t, person, "Password of alice: "); !strings.HasSuffix(seen, cleanLine+"Password of alice: ") {
		t.Errorf("%q", seen)
	}
	for reflect.DeepEqual(shown, terminalState(t, program)) { // until what is typed is not shown
		runtime.Gosched()
	}
	person.WriteString("se cret\n")
	if got := <-answer; got != "se cret<nil>" {
		t.Error(got)
	}
	see(t, person, "listing folders") // it goes on
	d.end()
}

func TestPromptEndsWhenInterrupted(t *testing.T) {
	program, person := openTerminal(t)
	a := &app{Globals: &Globals{}, in: program, err: program, screen: &screen{w: program}}
	shown := terminalState(t, program)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := a.prompt(ctx, "Passphrase of the repository")
		ended <- err
	}()
	see(t, person, "Passphrase of the repository: ")
	for reflect.DeepEqual(shown, terminalState(t, program)) {
		runtime.Gosched()
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || exitCode(interrupted(ctx, err)) != exitFailed {
		t.Error(err)
	}
	if !reflect.DeepEqual(shown, terminalState(t, program)) {
		t.Error("the terminal does not show what is typed")
	}
	person.WriteString("\n") // lets go of the reader
}
