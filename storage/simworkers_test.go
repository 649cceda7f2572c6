package storage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	commandline "flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

var simWorkers = commandline.Int("workers", 0, "in how many processes the simulation plays its schedules; 0 for one a processor where -schedules is given, else one")

// playInWorkers has several processes play a part of the schedules each: what a
// schedule takes its random octets and its clock from is one a process.
func playInWorkers(t *testing.T, workers int, first, schedules uint64) {
	t.Helper()
	start := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards total
	total := map[string]int{}
	for i := range uint64(workers) {
		n := schedules / uint64(workers)
		if i < schedules%uint64(workers) {
			n++
		}
		if n == 0 {
			continue
		}
		from := first
		first += n
		wg.Go(func() {
			counts, err := playElsewhere(ctx, t, from, n)
			mu.Lock()
			defer mu.Unlock()
			for what, k := range counts {
				total[what] += k
			}
			if err != nil && ctx.Err() == nil {
				t.Errorf("schedules %d to %d: %v", from, from+n-1, err)
				cancel() // one is enough
			}
		})
	}
	wg.Wait()
	if spent := time.Since(start); !t.Failed() {
		t.Logf("%d schedules in %d processes, %s, %.0f a second in all: %v", schedules, workers, spent.Round(time.Second), float64(schedules)/spent.Seconds(), total)
	}
}

// playElsewhere plays schedules in another process, and logs what it says. The
// counts are those of its last report.
func playElsewhere(ctx context.Context, t *testing.T, first, n uint64) (counts map[string]int, err error) {
	left := time.Duration(0) // no limit
	if deadline, ok := t.Deadline(); ok {
		left = time.Until(deadline)
	}
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestSimulation$", "-test.v", fmt.Sprintf("-test.timeout=%s", left),
		fmt.Sprintf("-first=%d", first), fmt.Sprintf("-schedules=%d", n), "-workers=1")
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	var said sync.WaitGroup
	said.Go(func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			t.Log(lines.Text())
			if _, object, is := strings.Cut(lines.Text(), " a second: {"); is {
				json.Unmarshal([]byte("{"+object), &counts)
			}
		}
		io.Copy(io.Discard, out) // a line too long for that
	})
	err = cmd.Run()
	in.Close()
	said.Wait()
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		err = errors.New("see above")
	}
	return counts, err
}
