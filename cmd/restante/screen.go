package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// A screen is standard error while a line at its end is painted again and
// again. Whatever else is written takes that line away first.
type screen struct {
	mu      sync.Mutex
	w       io.Writer
	painted bool // there is a line that stands for the moment only
}

// cleanLine goes to the beginning of the line, whatever the terminal has
// echoed into it, and takes it away.
const cleanLine = "\r\x1b[K"

// paint puts a line in the place of the last one painted.
func (s *screen) paint(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.painted = true
	io.WriteString(s.w, cleanLine+line)
}

// clear takes the painted line away.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}

// wipe is clear for who holds the mutex.
func (s *screen) wipe() {
	if s.painted {
		io.WriteString(s.w, cleanLine)
		s.painted = false
	}
}

// Write writes lines that stay.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	return s.w.Write(p)
}

// prompt asks a person for a secret. Nothing is painted until there is an
// answer, or ctx ends.
func (a *app) prompt(ctx context.Context, question string) (string, error) {
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", errors.New("there is nobody to ask")
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", err
	}
	a.screen.mu.Lock()
	defer a.screen.mu.Unlock()
	a.screen.wipe()
	fmt.Fprintf(a.err, "%s: ", oneLine(question))
	defer fmt.Fprintln(a.err)
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(int(f.Fd()))
		answered <- answer{text, err}
	}()
	select {
	case got := <-answered:
		return string(got.text), got.err
	case <-ctx.Done(): // the answer will never be read, but the terminal shows again what is typed
		return "", errors.Join(ctx.Err(), term.Restore(int(f.Fd()), before))
	}
}
