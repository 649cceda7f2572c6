package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"restante/cmd/testbed/bench"
)

const benchUsage = `usage: testbed bench [flags] [DIR…]

Bench loads mail into the mail server and measures, all in one run: Restante
backing it up, mbsync pulling it, a bare fetch that throws it away, and restic
and borg storing the same mail as files. The table goes to standard output.

A DIR is a corpus: one file per message below folders (DIR/FOLDER/…), or mbox
files, whose names end in .mbox. Without any, the sets of the directory that
RESTANTE_CORPUS names are used; without that, mail that is made up.

flags:
`

// benchPackages are the Debian packages of the programs to compare with, by
// the programs' names.
var benchPackages = map[string]string{"mbsync": "isync", "restic": "restic", "borg": "borgbackup"}

// runBench is the subcommand.
func runBench(ctx context.Context, o options, args []string) error {
	var bo bench.Options
	var markdown, asJSON, mboxes, tls bool
	flags := subcommandFlags("bench", benchUsage)
	flags.IntVar(&bo.Rounds, "rounds", 3, "measure everything so often, and take the median")
	flags.IntVar(&bo.Connections, "connections", 3, "connections of Restante to the mail server")
	flags.BoolVar(&bo.Cold, "cold", false, "take the mail server's indexes away before every first run")
	flags.BoolVar(&tls, "tls", false, "talk to the mail server through TLS, all of them")
	flags.BoolVar(&mboxes, "mbox", false, "every file is an mbox, whatever its name")
	flags.BoolVar(&markdown, "markdown", false, "print Markdown")
	flags.BoolVar(&asJSON, "json", false, "print JSON, with every single run")
	if err := flags.Parse(args); err != nil {
		return said(flags, err)
	}
	if bo.Rounds < 1 || bo.Connections < 1 {
		return errors.New("bench: there must be a round and a connection at least")
	}
	var err error
	if bo.Corpora, err = bench.Corpora(flags.Args(), mboxes); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if bo.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("finding the testbed's own program: %w", err)
	}
	if err := providePrograms(ctx, o, benchPackages); err != nil {
		return err
	}
	b, s, err := startSite(ctx, o, "bench")
	if err != nil {
		return err
	}
	defer b.close()
	s.TLS = tls
	server := b.daemon("dovecot")
	bo.ServerCPU = func() (time.Duration, bool) { return groupCPU(-server.pid) }
	report, err := bench.Run(ctx, s, bo)
	if err != nil {
		return err
	}
	switch {
	case asJSON:
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(report)
	case markdown:
		fmt.Print(report.Markdown())
	default:
		fmt.Print(report.Text())
	}
	return nil
}

// subcommandFlags are the flags of a subcommand, with what -h prints.
func subcommandFlags(name, usage string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	return flags
}

// said is the error of flags that Parse has talked about already.
func said(flags *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return fmt.Errorf("%s: wrong usage", flags.Name())
}
