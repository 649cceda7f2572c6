package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"restante/cmd/testbed/crash"
	"restante/cmd/testbed/site"
)

const killUsage = `usage: testbed kill [flags]

Kill ends backups with a kill -9 at random moments, and then restores, and
proves after each that the repository is whole, and in the end that every
message is where it should be, once.

The mail and the moments are made of the seed. The same seed does the same
again, as far as the machine is as fast as before.

flags:
`

const writersUsage = `usage: testbed writers [flags]

Writers has two restante processes with caches of their own back up into one
repository at the same time, and proves in the end that every snapshot is there
and that the repository is whole.

flags:
`

const prunersUsage = `usage: testbed pruners [flags]

Pruners has three machines back up and two forget and prune in one repository,
all at once, each ended by a kill -9 at a random moment, and proves in the end
that every snapshot restores and that nothing is left over.

flags:
`

// runPruners is the subcommand.
func runPruners(ctx context.Context, o options, args []string) error {
	return runCrash(ctx, o, args, "pruners", prunersUsage, 300, func(flags *flag.FlagSet, co *crash.Options) {
		flags.IntVar(&co.N, "n", 500, "so many kills")
	}, func(ctx context.Context, s *site.Site, program string, co crash.Options) error {
		pruned, err := crash.Pruners(ctx, s, program, co)
		if err != nil {
			return err
		}
		fmt.Println(pruned)
		return nil
	})
}

// runKill is the subcommand.
func runKill(ctx context.Context, o options, args []string) error {
	return runCrash(ctx, o, args, "kill", killUsage, 4000, func(flags *flag.FlagSet, co *crash.Options) {
		flags.IntVar(&co.N, "n", 200, "kill so many backups, and so many restores")
		flags.DurationVar(&co.CommitEvery, "commit-every", 100*time.Millisecond, "how often a backup commits what it has read so far")
	}, func(ctx context.Context, s *site.Site, program string, co crash.Options) error {
		for _, try := range []func(context.Context, *site.Site, string, crash.Options) (*crash.Report, error){crash.Backups, crash.Restores} {
			report, err := try(ctx, s, program, co)
			if err != nil {
				return err
			}
			fmt.Println(report)
		}
		return nil
	})
}

// runWriters is the subcommand.
func runWriters(ctx context.Context, o options, args []string) error {
	return runCrash(ctx, o, args, "writers", writersUsage, 100, func(flags *flag.FlagSet, co *crash.Options) {
		flags.IntVar(&co.N, "n", 200, "so many commits of each writer")
	}, func(ctx context.Context, s *site.Site, program string, co crash.Options) error {
		commits, err := crash.Writers(ctx, s, program, co)
		if err != nil {
			return err
		}
		fmt.Println(commits)
		return nil
	})
}

// runCrash reads flags, starts a bed, builds restante and tries. What is left
// of a failure stays.
func runCrash(ctx context.Context, o options, args []string, name, usage string, letters int, more func(*flag.FlagSet, *crash.Options),
	try func(context.Context, *site.Site, string, crash.Options) error) error {
	var co crash.Options
	flags := subcommandFlags(name, usage)
	flags.Uint64Var(&co.Seed, "seed", rand.Uint64()>>16, "what mail and moments are made of")
	flags.BoolVar(&co.Bucket, "s3", false, "the repository is in the S3 server, not in a directory")
	flags.IntVar(&co.Messages, "messages", letters, "so many messages in an account")
	more(flags, &co)
	if err := flags.Parse(args); err != nil {
		return said(flags, err)
	}
	if flags.NArg() > 0 || co.N < 1 || co.Messages < 1 {
		return fmt.Errorf("%s takes flags only, and numbers above 0", name)
	}
	b, s, err := startSite(ctx, o, name)
	if err != nil {
		return err
	}
	defer b.close()
	fmt.Printf("%s: seed %d, %d messages, repository in %s\n", name, co.Seed, co.Messages, map[bool]string{false: "a directory", true: "the S3 server"}[co.Bucket])
	program, err := s.Build(ctx)
	if err != nil {
		return err
	}
	err = try(ctx, s, program, co)
	if err == nil || ctx.Err() != nil {
		return err
	}
	kept, keepErr := b.leave()
	again := fmt.Sprintf("go run ./cmd/testbed %s -seed %d -n %d -messages %d", name, co.Seed, co.N, co.Messages)
	if co.CommitEvery > 0 {
		again += " -commit-every " + co.CommitEvery.String()
	}
	if co.Bucket {
		again += " -s3"
	}
	return errors.Join(err, fmt.Errorf("everything is left in %s; to do the same again: %s", kept, again), keepErr)
}

// leave has the bed's directory stay, under another name, since the keeper
// removes what has its own. The servers must not be asked any more.
func (b *bed) leave() (string, error) {
	if b.keep {
		return b.dir, nil
	}
	b.keep = true
	kept := b.dir + "-failed"
	if err := os.Rename(b.dir, kept); err != nil {
		return b.dir, fmt.Errorf("keeping the directory: %w", err)
	}
	return kept, nil
}
