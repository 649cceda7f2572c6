package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const fuzzUsage = `usage: testbed fuzz [flags] [pattern]

Fuzz runs each fuzz target of the module in turn for a while, and prints a line
about each: how many inputs it tried, how many of them led somewhere new, and
whether all went well. With a pattern, a regular expression, only the targets
whose package and name it fits: "accounts", "FuzzSplit$".

An input that a target fails on is kept in its testdata/fuzz, where every "go
test" tries it again. No servers are needed, and none are started.

flags:
`

// runFuzz is the subcommand.
func runFuzz(ctx context.Context, _ options, args []string) error {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	each := flags.Duration("for", 10*time.Second, "how long each target runs")
	workers := flags.Int("parallel", 2, "how many processes each target is run by")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), fuzzUsage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 1 {
		return fmt.Errorf("fuzz takes one pattern, and got %q", flags.Args())
	}
	pattern, err := regexp.Compile(flags.Arg(0))
	if err != nil {
		return fmt.Errorf("the pattern: %w", err)
	}
	all, err := fuzzTargets(".")
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(all, func(t fuzzTarget) bool { return !pattern.MatchString(t.dir + " " + t.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("no fuzz target below this directory fits %q", flags.Arg(0))
	}
	failed := 0
	for _, t := range chosen {
		ran := t.run(ctx, *each, *workers)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fmt.Printf("%-42s %-32s %s\n", t.dir, t.name, ran)
		if ran.failed {
			failed++
			fmt.Printf("%s\n", ran.output)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d fuzz targets failed", failed, len(chosen))
	}
	return nil
}

// A fuzzTarget is one function that go test can fuzz.
type fuzzTarget struct{ dir, name string }

// fuzzTargets finds the targets in and below a directory. It reads the sources:
// "go test -list" would build every package first.
func fuzzTargets(root string) (all []fuzzTarget, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				all = append(all, fuzzTarget{filepath.ToSlash(filepath.Dir(path)), f.Name.Name})
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b fuzzTarget) int { return strings.Compare(a.dir+" "+a.name, b.dir+" "+b.name) })
	return all, err
}

// fuzzed is what a run of a target came to.
type fuzzed struct {
	tried, fresh string // as go test counts them
	failed       bool
	output       string
}

func (f fuzzed) String() string {
	verdict := "ok"
	if f.failed {
		verdict = "FAILED"
	}
	return fmt.Sprintf("%10s tried %6s new  %s", f.tried, f.fresh, verdict)
}

// progress is what go test prints every few seconds:
//
//	fuzz: elapsed: 6s, execs: 84150 (14024/sec), new interesting: 13 (total: 31)
var progress = regexp.MustCompile(`execs: (\d+) .*new interesting: (\d+)`)

// readFuzz understands what go test printed.
func readFuzz(output []byte, err error) fuzzed {
	f := fuzzed{tried: "0", fresh: "0", output: string(output)}
	if all := progress.FindAllSubmatch(output, -1); len(all) > 0 {
		last := all[len(all)-1]
		f.tried, f.fresh = string(last[1]), string(last[2])
	}
	if err != nil {
		f.failed, f.output = true, strings.TrimSpace(f.output+"\n"+err.Error())
	}
	return f
}

// run fuzzes for a while. The processes end with the context.
func (t fuzzTarget) run(ctx context.Context, each time.Duration, workers int) fuzzed {
	// Reducing an input that was found to a smaller one of the same kind would
	// take a minute each, and most of the time.
	cmd := exec.CommandContext(ctx, "go", "test", "./"+t.dir, "-run", "^$", "-fuzz", "^"+t.name+"$",
		"-fuzztime", each.String(), "-fuzzminimizetime", "1s", "-parallel", fmt.Sprint(workers), "-timeout", (each + 10*time.Minute).String())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	return readFuzz(out.Bytes(), err)
}
