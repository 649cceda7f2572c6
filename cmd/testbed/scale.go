package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"restante/cmd/testbed/scale"
)

const scaleUsage = `usage: testbed scale [flags]

Scale backs up and restores an account of very many messages, one of very many
folders and one very large message, and measures memory, time and requests. It
fails if a limit does not hold that Restante promises to hold.

A million messages take 10 GB of disk and, on two cores, most of half an hour.
A size of 0 leaves that account out.

flags:
`

// runScale is the subcommand.
func runScale(ctx context.Context, o options, args []string) error {
	so := scale.Options{Large: 1 << 30}
	flags := subcommandFlags("scale", scaleUsage)
	flags.IntVar(&so.Messages, "messages", 1_000_000, "so many messages in one account; fewer where the disk has no room for that many")
	flags.IntVar(&so.Folders, "folders", 2000, "so many folders in another")
	flags.Func("large", "a message of so many octets, such as 16MiB (default 1GiB)", func(text string) (err error) {
		so.Large, err = parseSize(text)
		return err
	})
	flags.BoolVar(&so.Bucket, "s3", false, "the repositories are in the S3 server, not in directories")
	flags.BoolVar(&so.Maildir, "maildir", false, "restore the many messages into files, not into another account, which takes longer")
	flags.BoolVar(&so.Untimed, "untimed", false, "let no limit be a time: others use the machine")
	if err := flags.Parse(args); err != nil {
		return said(flags, err)
	}
	if flags.NArg() > 0 || so.Messages < 0 || so.Folders < 0 {
		return errors.New("scale takes flags only, and no numbers below 0")
	}
	var err error
	if so.Self, err = os.Executable(); err != nil {
		return fmt.Errorf("finding the testbed's own program: %w", err)
	}
	b, s, err := startSite(ctx, o, "scale")
	if err != nil {
		return err
	}
	defer b.close()
	// A file takes a block of 4 KiB and its name, here, in the account that is
	// restored to and, at most, in the repository.
	const room = 10 << 10
	if free, known := freeSpace(b.dir); known && int64(so.Messages) > free/room {
		so.Messages = int(free / room / 1000 * 1000)
		say("the disk has room for %d messages", so.Messages)
	}
	fmt.Printf("scale: %d messages, %d folders, a message of %d octets, repository in %s\n", so.Messages, so.Folders, so.Large, map[bool]string{false: "a directory", true: "the S3 server"}[so.Bucket])
	program, err := s.Build(ctx)
	if err != nil {
		return err
	}
	report, err := scale.Run(ctx, s, program, so)
	fmt.Print(report)
	if err == nil {
		return report.Broken()
	}
	if ctx.Err() != nil {
		return err
	}
	kept, keepErr := b.leave()
	return errors.Join(err, fmt.Errorf("everything is left in %s", kept), keepErr)
}

// parseSize reads a number of octets, such as 1GiB.
func parseSize(text string) (int64, error) {
	digits, shift := text, 0
	for unit, by := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			digits, shift = rest, by
		}
	}
	n, err := strconv.ParseInt(digits, 10, 33)
	if err != nil || n < 0 || n<<shift > 1<<40 {
		return 0, fmt.Errorf("%q is no size such as 16MiB or 1GiB", text)
	}
	return n << shift, nil
}
