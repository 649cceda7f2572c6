package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/storage/objects"
)

type demoCmd struct {
	Keep string `placeholder:"DIR" help:"Keep the repository in this directory, which must be new or empty."`

	// meddle is what a test does to the server at some points of the story.
	meddle func(after string, s *demoServer)
}

func (*demoCmd) Help() string {
	return `Starts a mail server in this process, with a mailbox that was made up, on a port that only this computer can reach. Then it does what Restante is for: a backup, a day of mail, somebody who deletes a folder and empties the trash, another backup, and everything back where it was. It shows each command as you would type it, with what it really prints.

What the server had, by SHA-256, is noted before anything is backed up, and compared with what was restored. A difference is an error (exit code 1).

All files are in a temporary directory, which goes away. Neither your configuration nor the RESTANTE_ variables of your environment are looked at.

Example:

  restante demo
  restante demo --keep /tmp/look-around`
}

// A demo is one run of the demonstration.
type demo struct {
	*demoCmd
	a      *app // as the person called it
	dir    string
	server *demoServer
	writer *demoWriter
	point  string // the first snapshot's id, or the beginning of it
	width  int    // of what commands print
	bold   bool
	result demoJSON
	// unheard is why nothing more can be said: nobody reads it.
	unheard error
}

// demoJSON is how the demonstration is printed for programs.
type demoJSON struct {
	Proved   bool              `json:"proved"`
	Error    string            `json:"error,omitempty"`
	Seconds  float64           `json:"seconds"`
	Kept     string            `json:"kept,omitempty"`
	Commands []demoCommandJSON `json:"commands"`
	Proofs   []demoProofJSON   `json:"proofs"`
}

type demoCommandJSON struct {
	Command  string          `json:"command"`
	Seconds  float64         `json:"seconds"`
	Requests int64           `json:"store_requests"`
	Sent     int64           `json:"store_bytes_sent"`
	Fetched  int64           `json:"store_bytes_fetched"`
	Read     int64           `json:"messages_read"` // whole, from the mail server
	ReadSize int64           `json:"bytes_read"`
	Result   json.RawMessage `json:"result,omitempty"` // what the command prints with --json, lists of messages left out
}

type demoProofJSON struct {
	Claim       string   `json:"claim"`
	Messages    int64    `json:"messages"`
	Bytes       int64    `json:"bytes"`
	Folders     int      `json:"folders"`
	Differences []string `json:"differences,omitempty"`
}

// The secrets of the demonstration are none.
const (
	demoPassphrase = "four mice in the glue cupboard"
	demoPassword   = "paste"
	// demoWorkFactor makes a passphrase that everybody knows quick to check.
	demoWorkFactor = 10
)

func (c *demoCmd) Run(ctx context.Context, a *app) (err error) {
	began := time.Now()
	d := &demo{demoCmd: c, a: a, width: proseWidth}
	if terminal(a.out) {
		if width := width(a.out); width > 0 {
			d.width = min(max(width, proseWidth), 100)
		}
		d.bold = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	// Whoever has read enough closes the pipe, and even then nothing is left
	// behind.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	remove, err := d.directory()
	if err != nil {
		return err
	}
	defer remove()
	if d.server, err = startDemoServer(a.log); err != nil {
		return err
	}
	defer d.server.close()
	err = d.story(ctx)
	switch {
	case errors.Is(err, syscall.EPIPE):
		err = errReported
	case err != nil && ctx.Err() != nil && c.Keep != "":
		err = withHint(errors.New("interrupted"), "what was written until then is in %s", d.dir)
	case err != nil && ctx.Err() != nil:
		err = withHint(errors.New("interrupted"), "nothing of it is left")
	}
	d.result.Proved, d.result.Seconds = err == nil, time.Since(began).Seconds()
	if c.Keep != "" {
		d.result.Kept = d.dir
	}
	if a.JSON {
		if err != nil {
			d.result.Error = err.Error()
		}
		if printErr := a.printJSON(d.result); printErr != nil {
			return printErr
		}
		return err
	}
	if err == nil {
		d.say("%s", d.strong(fmt.Sprintf("All of it was proved, in %.1f seconds.", time.Since(began).Seconds())))
		d.next()
	}
	return err
}

// directory makes the place for all files.
func (d *demo) directory() (remove func(), err error) {
	if d.Keep == "" {
		if d.dir, err = os.MkdirTemp("", "restante-demo-"); err != nil {
			return nil, withHint(fmt.Errorf("make a temporary directory: %w", err), "set TMPDIR to a directory that can be written to, or give --keep")
		}
		return func() { os.RemoveAll(d.dir) }, nil
	}
	if d.dir, err = filepath.Abs(d.Keep); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	there, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	if len(there) > 0 {
		return nil, withHint(wrongUsage(fmt.Errorf("%s is not empty", d.dir)), "give --keep a directory that is new")
	}
	return func() { os.RemoveAll(d.path("cache")) }, nil
}

// spent is what a command cost.
type spent struct {
	objects.Counts
	read, readSize int64 // messages that the mail server gave out whole, and their octets
}

// run runs a command line and prints it with what it prints: all of it, or with
// a head and a tail only so many lines.
func (d *demo) run(ctx context.Context, line string, head, tail int) (spent, error) {
	began := time.Now()
	d.server.givenOut()
	out, a, err := d.exec(ctx, line, d.a.JSON)
	var cost spent
	cost.read, cost.readSize = d.server.givenOut()
	if a.store != nil {
		cost.Counts = a.store.Snapshot()
	}
	j := demoCommandJSON{line, time.Since(began).Seconds(), cost.Requests, cost.Stored, cost.Fetched, cost.read, cost.readSize, nil}
	if head == 0 && json.Valid(out) {
		j.Result = out
	}
	d.result.Commands = append(d.result.Commands, j)
	d.show(line, d.excerpt(string(out), head, tail))
	if err == nil {
		err = d.unheard
	}
	return cost, err
}

// exec runs a command line as main would, but in the demonstration's own
// surroundings.
func (d *demo) exec(ctx context.Context, line string, asJSON bool) ([]byte, *app, error) {
	var out bytes.Buffer
	a := &app{Globals: &Globals{Config: d.path("restante.toml"), CacheDir: d.path("cache"), Quiet: true, JSON: asJSON},
		in: strings.NewReader(""), out: &out, err: &out, screen: &screen{w: &out}, log: d.a.log, env: func(string) (string, bool) { return "", false }, workFactor: demoWorkFactor}
	a.ask = a.prompt
	parser, err := kong.New(new(cli), kong.Name("restante"), kong.Vars{"since": sinceUsually}, kong.Exit(func(int) {}))
	if err != nil {
		return nil, a, err
	}
	k, err := parser.Parse(strings.Fields(line)[1:])
	if err == nil {
		k.BindTo(ctx, (*context.Context)(nil))
		k.Bind(a)
		err = k.Run()
	}
	switch {
	case errors.Is(err, errIncomplete) || errors.Is(err, errReported): // it has said why
		err = fmt.Errorf("%s: exit code %d", line, exitCode(err))
	case err != nil:
		err = fmt.Errorf("%s: %w", line, err)
	}
	return out.Bytes(), a, err
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// write writes one of the demonstration's files.
func (d *demo) write(name, text string) error {
	return os.WriteFile(d.path(name), []byte(text), 0o600)
}

// prove compares an account with what the server itself noted.
func (d *demo) prove(claim, account string, before demoWitness) error {
	differences := before.differences(d.server.witness(account))
	sum, octets := before.total()
	d.result.Proofs = append(d.result.Proofs, demoProofJSON{claim, sum, octets, len(before), differences})
	if len(differences) > 0 {
		const most = 20
		d.say("  THE PROOF FAILED. It is not true that %s:", claim)
		d.say("    %s", strings.Join(differences[:min(len(differences), most)], "\n    "))
		if more := len(differences) - most; more > 0 {
			d.say("    and %d more", more)
		}
		return fmt.Errorf("the proof failed: %s; first: %s", number(int64(len(differences)), "difference"), differences[0])
	}
	line := fmt.Sprintf("  proved: %s: %s in %s, %s octets, all flags, keywords, internal dates, special uses and subscriptions",
		claim, messages(sum), number(int64(len(before)), "folder"), count(octets))
	d.say("%s", strings.Replace(strings.Join(fitLine(line, proseWidth, "    "), "\n"), "proved", d.strong("proved"), 1))
	return nil
}
