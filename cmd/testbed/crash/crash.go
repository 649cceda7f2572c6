// Package crash ends Restante at random moments, with a kill -9, and proves
// what is promised for that case: [Backups] and [Restores]. [Writers] has two
// of them write into one repository at the same time, [Pruners] kills those that
// write and prune beside each other, and [Network] has all of them on a bad
// network.
//
// What is there afterwards is compared with what the mail server has by a
// client that shares no code with Restante.
package crash

import (
	"context"
	crypto "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	"restante/cmd/testbed/site"
)

// Options say how much is tried.
type Options struct {
	N        int    // kills, or commits of each writer
	Seed     uint64 // of the mail and of the moments
	Bucket   bool   // the repository is in the S3 server, not in a directory
	Messages int    // in an account; a run should take a second or two

	// CommitEvery is how often a backup commits what it has read so far.
	CommitEvery time.Duration
}

// A Report says what happened, where nothing went wrong.
type Report struct {
	What      string
	Kills     int           // that hit a running restante
	Misses    int           // that came after its end, which was then looked at
	Undamaged time.Duration // what a run takes that nobody kills
	Moments   [10]int       // the kills, by tenths of that time
	Compared  int           // runs whose outcome was compared message by message
	Checks    int           // that found nothing
	Snapshots int           // in the end, all of which restore
	Partial   int           // of them, committed by runs that were killed later or that took long
	Packs     int           // in the end
	Unneeded  int           // of them, left by runs that were killed
	Took      time.Duration
}

func (r *Report) String() string {
	s := fmt.Sprintf("%s: %d kills hit a running restante and %d came too late, in %v; a run nobody kills takes %v; kills by tenths of that: %v; %d outcomes compared message by message, %d checks clean",
		r.What, r.Kills, r.Misses, r.Took.Round(time.Second), r.Undamaged.Round(time.Millisecond), strings.Trim(fmt.Sprint(r.Moments), "[]"), r.Compared, r.Checks)
	if r.Snapshots > 0 {
		s += fmt.Sprintf("; %d snapshots, %d of them partial, all restored; %d packs, and %d that killed runs left, all read and proved", r.Snapshots, r.Partial, r.Packs-r.Unneeded, r.Unneeded)
	}
	return s
}

// trial is one of the programs at work.
type trial struct {
	Options
	site    *site.Site
	program string // restante
	r       *site.Restante
	report  *Report
	moments *rand.Rand // when to kill, and other things left to chance
	users   int        // so far
	length  int        // of letters; see site.Maker
}

// begin builds restante and makes a repository.
func begin(ctx context.Context, s *site.Site, o Options, what string, program string) (*trial, error) {
	t := &trial{Options: o, site: s, program: program, report: &Report{What: what}, moments: rand.New(rand.NewPCG(o.Seed, 2)),
		length: 16} // a run should take a second or two, and thousands of messages take long to restore
	place, err := s.Place(what, o.Bucket)
	if err != nil {
		return nil, err
	}
	t.r, err = s.NewRestante(ctx, program, what, place)
	return t, err
}

// user is a name that nobody has had.
func (t *trial) user(kind string) string {
	t.users++
	return fmt.Sprintf("%s%s%d-%s", t.report.What, kind, t.users, strings.ToLower(crypto.Text()[:6]))
}

// never is when to kill what shall not be killed.
const never time.Duration = 1 << 62

// strike runs restante and kills it some time later. It says whether the kill
// hit; if it did not, restante has come to its end, and that was a good one.
func (t *trial) strike(ctx context.Context, cmd *exec.Cmd, after time.Duration) (hit bool, out string, err error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	deadline, cancel := context.WithTimeout(ctx, after)
	defer cancel()
	err = t.site.Run(deadline, cmd)
	switch {
	case ctx.Err() != nil:
		return false, "", context.Cause(ctx)
	case err == nil:
		if after < never {
			t.report.Misses++
		}
		return false, stdout.String(), nil
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == -1: // a signal ended it
		t.report.Kills++
		t.report.Moments[min(9, int(10*after/t.report.Undamaged))]++
		return true, "", nil
	}
	return false, "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, stdout.String(), stderr.String())
}

// moment is a time to kill, up to a little after the end of a run that takes
// so long.
func (t *trial) moment(run time.Duration) time.Duration {
	return time.Duration(t.moments.Int64N(int64(run + run/20 + time.Millisecond)))
}

// check has the repository checked by a restante with another cache.
func (t *trial) check(ctx context.Context, args ...string) error {
	out, err := t.r.With(t.r.Cache+"-of-checks").Do(ctx, "check", append(args, "--json")...)
	if err != nil {
		return fmt.Errorf("the repository does not check clean: %w", err)
	}
	var checked struct {
		Packs    int   `json:"packs"`
		Unneeded int   `json:"unneeded_packs"`
		Findings []any `json:"findings"`
	}
	if err := json.Unmarshal([]byte(out), &checked); err != nil {
		return fmt.Errorf("reading what restante check --json printed: %w\n%s", err, out)
	}
	if len(checked.Findings) > 0 {
		return fmt.Errorf("the repository does not check clean:\n%s", out)
	}
	t.report.Checks++
	t.report.Packs, t.report.Unneeded = checked.Packs, checked.Unneeded
	return nil
}

// restored is what restante restore --json prints.
type restored struct {
	Folders []struct {
		Folder   string `json:"folder"`
		Selected int64  `json:"selected"`
		Present  int64  `json:"present"`
		Appended int64  `json:"appended"`
		Refused  []any  `json:"refused"`
	} `json:"folders"`
}

// restoring is a restore of a snapshot into a user's account.
func (t *trial) restoring(account, snapshot, user string) *exec.Cmd {
	return t.r.Command("restore", account, "--at", snapshot, "--to", t.site.AccountURL(user), "--json")
}

// restore restores a snapshot into a user's account, and proves that all that
// is in it is there now.
func (t *trial) restore(ctx context.Context, s site.Snapshot, user string) error {
	out, err := t.site.Output(ctx, t.restoring(s.Account, s.ID, user))
	if err != nil {
		return err
	}
	var said restored
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		return fmt.Errorf("reading what restante restore --json printed: %w\n%s", err, out)
	}
	var selected, there int64
	for _, f := range said.Folders {
		selected += f.Selected
		there += f.Present + f.Appended
		if len(f.Refused) > 0 {
			return fmt.Errorf("restoring snapshot %s: messages were refused:\n%s", s.ID, out)
		}
	}
	if selected != s.Messages || there != s.Messages {
		return fmt.Errorf("snapshot %s has %d messages; the restore has %d to restore, and of those %d are there:\n%s", s.ID, s.Messages, selected, there, out)
	}
	return nil
}

// different makes an error of a comparison.
func different(what string, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	const most = 20
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most], fmt.Sprintf("and %d more", more))
	}
	return errors.New(what + ":\n" + strings.Join(lines, "\n"))
}
