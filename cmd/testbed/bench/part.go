package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"restante/cmd/testbed/site"
)

// PartFlag, as the first argument of a program, has it call [Part] with the
// arguments after it and end with the exit code that Part returns.
const PartFlag = "-bench-part"

// Part is what the benchmark runs in processes of their own: programs under
// measurement and the bare fetch.
func Part(args []string) int {
	err := errors.New("wrong arguments")
	switch {
	case len(args) >= 3 && args[0] == "measure":
		return measure(args[1], args[2:])
	case len(args) == 5 && args[0] == "fetch":
		var connections int
		if connections, err = strconv.Atoi(args[4]); err == nil {
			err = printFetch(os.Stdout, args[1], args[2], args[3], connections)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A Usage is what a program took.
type Usage struct {
	Wall, User, System time.Duration
	Peak               int64 // octets resident at most, 0 if nobody knows
}

// Measure runs a program of a site to its end, through [Part] of the program
// self, and writes what it prints to out. An error has what it printed on
// standard error.
func Measure(ctx context.Context, s *site.Site, self string, cmd *exec.Cmd, out io.Writer) (u Usage, err error) {
	result := filepath.Join(s.Dir, "measured.json")
	if err := os.Remove(result); err != nil && !errors.Is(err, os.ErrNotExist) {
		return u, err
	}
	wrapped := s.Command(self, append([]string{PartFlag, "measure", result, cmd.Path}, cmd.Args[1:]...)...)
	wrapped.Dir, wrapped.Env = cmd.Dir, cmd.Env
	if err := s.Stream(ctx, wrapped, out); err != nil {
		return u, err
	}
	text, err := os.ReadFile(result)
	if err == nil {
		err = json.Unmarshal(text, &u)
	}
	if err != nil {
		return u, fmt.Errorf("measuring %s: %w", cmd.Path, err)
	}
	return u, nil
}

// measure runs a program and writes what it took into a file.
//
// It is a process of its own for the sake of the memory. What the kernel calls
// the peak of a process is at least that of the one that started it, since a
// program begins in the memory of its parent. This one is small.
func measure(result string, args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	began := time.Now()
	err := cmd.Run()
	u := Usage{Wall: time.Since(began)}
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	u.User, u.System, u.Peak = cmd.ProcessState.UserTime(), cmd.ProcessState.SystemTime(), peak(cmd.ProcessState)
	b, err := json.Marshal(u)
	if err == nil {
		err = os.WriteFile(result, b, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 128
}

// printFetch is the bare fetch as a program.
func printFetch(w io.Writer, address, ca, user string, connections int) error {
	got, err := bareFetch(context.Background(), address, ca, user, connections)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(got)
}
