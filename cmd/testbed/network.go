package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"time"

	"restante/cmd/testbed/crash"
)

const networkUsage = `usage: testbed network [flags]

Network has machines back up, restore, forget, prune and serve over a network
on which all goes wrong that can, and proves after each round that no octet was
lost, that everything restores, and that nothing was ever stuck.

What goes wrong is made of the seed: latency, resets, black holes, silence,
half-closed and cut connections, and of the S3 server's answers (with -s3) cut
and damaged bodies, swapped answers, storms of 503, and 500 for what was done.

flags:
`

// runNetwork is the subcommand.
func runNetwork(ctx context.Context, o options, args []string) error {
	var no crash.NetworkOptions
	flags := subcommandFlags("network", networkUsage)
	flags.Uint64Var(&no.Seed, "seed", rand.Uint64()>>16, "what mail and weather are made of")
	flags.DurationVar(&no.For, "for", 2*time.Minute, "begin no round after that")
	flags.BoolVar(&no.Bucket, "s3", false, "the repository is in the S3 server, not in a directory")
	flags.IntVar(&no.N, "machines", 4, "so many machines, half of them with TLS to the mail server")
	flags.IntVar(&no.Messages, "messages", 50, "so many messages in an account at first")
	flags.BoolVar(&no.Quick, "quick", false, "light weather only, without what takes a minute or more to be seen: black holes and silence")
	if err := flags.Parse(args); err != nil {
		return said(flags, err)
	}
	if flags.NArg() > 0 || no.N < 1 || no.Messages < 1 {
		return errors.New("network takes flags only, and numbers above 0")
	}
	b, s, err := startSite(ctx, o, "network")
	if err != nil {
		return err
	}
	defer b.close()
	no.Database = b.env["TESTBED_POSTGRES"]
	fmt.Printf("network: seed %d, for %v, %d machines, repository in %s\n", no.Seed, no.For, no.N, map[bool]string{false: "a directory", true: "the S3 server"}[no.Bucket])
	program, err := s.Build(ctx)
	if err != nil {
		return err
	}
	report, err := crash.Network(ctx, s, program, no)
	if report != nil {
		fmt.Println(report)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	kept, keepErr := b.leave()
	again := "go run ./cmd/testbed network" + set(flags, "seed", fmt.Sprint(no.Seed))
	return errors.Join(err, fmt.Errorf("everything is left in %s; the same weather again: %s", kept, again), keepErr)
}

// set are the flags as they were given, with one more.
func set(flags *flag.FlagSet, name, value string) string {
	given := fmt.Sprintf(" -%s %s", name, value)
	flags.Visit(func(f *flag.Flag) {
		if f.Name != name {
			given += fmt.Sprintf(" -%s=%s", f.Name, f.Value)
		}
	})
	return given
}
