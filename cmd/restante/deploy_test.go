package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"restante/schedules/queue"
)

// TestExamplesOfConfigurationAreRight reads the examples as serve would, but
// for the lists of users.
func TestExamplesOfConfigurationAreRight(t *testing.T) {
	files, err := filepath.Glob("deploy/*.toml")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseConfig(file, b)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		list, err := c.scheduled()
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		jobs := map[queue.Kind]bool{}
		for _, s := range list {
			jobs[s.Job] = true
		}
		for _, job := range []queue.Kind{queue.Backup, queue.Forget, queue.Prune, queue.Check, queue.Rehearsal} {
			if !jobs[job] {
				t.Errorf("%s: nothing does a %s", file, job)
			}
		}
	}
}

// TestUnitsStartCommandsThatThereAre reads what units start as main would.
func TestUnitsStartCommandsThatThereAre(t *testing.T) {
	for file, want := range map[string]string{"restante.service": "serve", "restante-backup.service": "backup"} {
		b, err := os.ReadFile(filepath.Join("deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		var command string
		for line := range strings.Lines(string(b)) {
			if after, ok := strings.CutPrefix(line, "ExecStart=/usr/local/bin/restante "); ok {
				command = strings.TrimSpace(after)
			}
		}
		parser, err := kong.New(new(cli), kong.Vars{"since": sinceUsually})
		if err != nil {
			t.Fatal(err)
		}
		k, err := parser.Parse(strings.Fields(command))
		if err != nil || !strings.HasPrefix(k.Command(), want) {
			t.Errorf("%s starts %q: %v", file, command, err)
		}
	}
}
