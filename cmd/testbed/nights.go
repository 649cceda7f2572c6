package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"restante/cmd/testbed/bench"
	"restante/cmd/testbed/nights"
)

const nightsUsage = `usage: testbed nights [flags] [DIR...]

Nights has restante serve back up many accounts for a month of nights, with a
clock that is set, and proves in the end that every night of every account is
there that the keep rules keep. With -machines 3 they share a database on
PostgreSQL, and one is killed each night.

A DIR is a corpus of mail, as for bench; without any, the sets of
RESTANTE_CORPUS; without that, mail is made up.

flags:
`

// runNights is the subcommand.
func runNights(ctx context.Context, o options, args []string) error {
	var no nights.Options
	flags := subcommandFlags("nights", nightsUsage)
	flags.IntVar(&no.Accounts, "accounts", 500, "so many accounts")
	flags.IntVar(&no.Nights, "nights", 30, "so many nights")
	flags.IntVar(&no.Machines, "machines", 1, "so many processes; with more than one, on PostgreSQL, and one is killed each night")
	flags.IntVar(&no.Restores, "restores", 300, "compare so many snapshots message by message")
	flags.Uint64Var(&no.Seed, "seed", rand.Uint64()>>16, "what is random is made of it")
	flags.BoolVar(&no.Bucket, "s3", false, "the repository is in the S3 server, not in a directory")
	if err := flags.Parse(args); err != nil {
		return said(flags, err)
	}
	if no.Accounts < 1 || no.Nights < 1 || no.Machines < 1 {
		return errors.New("nights takes numbers above 0")
	}
	corpora, err := bench.Corpora(flags.Args(), false)
	if err != nil {
		return err
	}
	const enough = 60_000
	for _, c := range corpora {
		for m, err := range c.Messages() {
			if err != nil {
				return err
			}
			if !bytes.Contains(m, []byte("\r\n")) { // files have them as the system does
				m = bytes.ReplaceAll(m, []byte("\n"), []byte("\r\n"))
			}
			if len(no.Mail) < enough && nights.Faithful(m) {
				no.Mail = append(no.Mail, m)
			}
		}
	}
	if len(no.Mail) == 0 {
		return errors.New("there is no mail that the server would give back as it is")
	}
	rand.New(rand.NewPCG(no.Seed, 3)).Shuffle(len(no.Mail), func(i, j int) { no.Mail[i], no.Mail[j] = no.Mail[j], no.Mail[i] })
	b, s, err := startSite(ctx, o, "nights")
	if err != nil {
		return err
	}
	defer b.close()
	if no.Machines > 1 {
		no.Database = b.env["TESTBED_POSTGRES"]
	}
	fmt.Printf("nights: seed %d, %d accounts, %d nights, %d processes, %d messages to take from\n", no.Seed, no.Accounts, no.Nights, no.Machines, len(no.Mail))
	program, err := s.Build(ctx, "-tags", "simclock")
	if err != nil {
		return err
	}
	report, err := nights.Run(ctx, s, program, no)
	if err == nil {
		fmt.Println(report)
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	kept, keepErr := b.leave()
	return errors.Join(err, fmt.Errorf("everything is left in %s", kept), keepErr)
}
