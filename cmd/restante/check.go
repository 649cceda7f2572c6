package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"restante/storage"
)

type checkCmd struct {
	ReadData  share    `placeholder:"SHARE" help:"Also read the data: all of it, or a share of the packs chosen by chance (--read-data=5%)."`
	ReadShare dayShare `placeholder:"1/DAYS" help:"Also read the data of those packs whose turn it is today: a check a day with --read-share=1/30 reads all of them in 30 days."`
}

func (*checkCmd) Help() string {
	return `Proves the ledger from its first entry on, that every pack is there with its directory, that indexes agree, and that every snapshot's folders and messages are found. With --read-data every octet is read, opened and compared with its name.

--read-share needs to remember nothing: a pack's name says on which day it is its turn. New packs have theirs within the same number of days. Days are those of UTC.

It changes nothing. Exit code 1 says that something was found.

Example:

  restante check
  restante check --read-data
  restante check --read-data=5%
  restante check --read-share=1/30`
}

func (c *checkCmd) Run(ctx context.Context, a *app) error {
	if c.ReadData > 0 && c.ReadShare > 0 {
		return wrongUsage(errors.New("--read-data and --read-share do not go together"))
	}
	repo, store, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	p := a.progress()
	checked, err := repo.Check(ctx, storage.CheckOptions{ReadData: float64(c.ReadData), ReadShare: c.ReadShare.on(time.Now()),
		Progress: func(now storage.CheckProgress) { p.step(now.Step, now.Done, now.Total) }})
	p.end()
	if err != nil {
		return err
	}
	if a.JSON {
		err = a.printJSON(checked)
	} else {
		fmt.Fprintf(a.out, "checked %s, %s, %s, %s (%s), %s\n", number(int64(checked.Entries), "ledger entry"), number(int64(checked.Snapshots), "snapshot"),
			messages(checked.Messages), number(int64(checked.Packs), "pack"), octets(checked.PackBytes), number(int64(checked.Indexes), "index"))
		if c.ReadData > 0 || c.ReadShare > 0 {
			fmt.Fprintf(a.out, "read and proved %s, %s\n", number(int64(checked.PacksRead), "pack"), octets(checked.BytesRead))
		}
		if n := len(checked.Bridged); n > 0 {
			fmt.Fprintf(a.out, "%s of the ledger was lost and bridged by a repair: %s\n", number(int64(n), "entry"), numbers(checked.Bridged))
		}
		if checked.Unneeded > 0 {
			fmt.Fprintf(a.out, "%s of runs that were interrupted, which nothing needs\n", number(int64(checked.Unneeded), "pack"))
		}
		for _, f := range checked.Findings {
			fmt.Fprintf(a.out, "%s: %s\n", f.Object, f.Problem)
		}
		if len(checked.Findings) == 0 {
			fmt.Fprintln(a.out, "no errors were found")
		}
		a.log.Info(store.Snapshot().String())
	}
	if err == nil && len(checked.Findings) > 0 {
		if !a.JSON {
			fmt.Fprintf(a.err, "restante: %s found\n  hint: put the objects named above back from a copy or an older version of the store; if there is none, restante repair says what can be saved\n", number(int64(len(checked.Findings)), "error"))
		}
		return errReported
	}
	return err
}

// A share is how much of something, from 0 to 1. As a flag it can do without
// a value, and is all of it then.
type share float64

// IsBool says that the flag can do without a value.
func (*share) IsBool() bool { return true }

// Decode reads "5%", "100%" or "0.05".
func (s *share) Decode(ctx *kong.DecodeContext) error {
	if ctx.Scan.Peek().Type != kong.FlagValueToken {
		*s = 1
		return nil
	}
	text := ctx.Scan.Pop().String()
	number, percent := strings.CutSuffix(text, "%")
	value, err := strconv.ParseFloat(number, 64)
	if percent {
		value /= 100
	}
	if err != nil || !(value > 0 && value <= 1) {
		return fmt.Errorf("%q is no share; write --read-data for all of it, or --read-data=5%%", text)
	}
	*s = share(value)
	return nil
}

// A dayShare is in how many days all packs are read; 0: it was not said.
type dayShare int

// mostDays is in how many days all packs have to be read.
const mostDays = 3660

// Decode reads "1/30", "3%" or "0.05". What is no whole number of days is
// rounded down to one: all packs are to be read in time.
func (s *dayShare) Decode(ctx *kong.DecodeContext) error {
	text := ctx.Scan.Pop().String()
	below, fraction := strings.CutPrefix(text, "1/")
	days := 0
	if fraction {
		days, _ = strconv.Atoi(below)
	} else {
		number, percent := strings.CutSuffix(text, "%")
		if part, err := strconv.ParseFloat(number, 64); err == nil && part > 0 {
			if percent {
				part /= 100
			}
			if part <= 1 {
				// A little more than is said, since 1/0.05 is not quite 20.
				days = int(math.Min(1/part+1e-9, mostDays+1))
			}
		}
	}
	if days < 1 || days > mostDays {
		return fmt.Errorf("%q is no share for a day; write --read-share=1/30 to have all read in 30 days, or 5%% for 20", text)
	}
	*s = dayShare(days)
	return nil
}

// on is the share of a day; nil: none was asked for.
func (s dayShare) on(t time.Time) *storage.DayShare {
	if s == 0 {
		return nil
	}
	return &storage.DayShare{Days: int(s), Day: storage.DayOf(t)}
}
