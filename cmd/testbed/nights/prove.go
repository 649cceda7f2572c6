package nights

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"restante/cmd/testbed/site"
)

func hash(m []byte) string {
	sum := sha256.Sum256(m)
	return hex.EncodeToString(sum[:])
}

// prove looks at what the repository has in the end: for each account the
// nights that the rules keep, with as many messages as there were; all data
// read and proved; and some of the snapshots restored and compared.
func (t *trial) prove(ctx context.Context) error {
	all, err := t.restante.Snapshots(ctx)
	if err != nil {
		return err
	}
	of := map[string][]site.Snapshot{}
	for _, s := range all {
		of[s.Account] = append(of[s.Account], s)
	}
	type kept struct {
		a     *account
		s     site.Snapshot
		night int
	}
	var list []kept
	for _, a := range t.accounts {
		nights := map[int]int{}
		for _, s := range of[a.name] {
			night := int(s.Started.Sub(start) / (24 * time.Hour))
			if s.Partial || s.Incomplete || night < 0 || night >= t.o.Nights {
				return fmt.Errorf("%s: snapshot %s of %s is none of a night", a.name, s.ID, s.Started)
			}
			if nights[night]++; nights[night] > 1 {
				t.report.Twice++
			}
			want := 0
			for _, n := range a.then[night] {
				want += n
			}
			if int(s.Messages) != want {
				return fmt.Errorf("%s: night %d has %d messages, and there were %d", a.name, night, s.Messages, want)
			}
			list = append(list, kept{a, s, night})
		}
		if got, want := slices.Sorted(maps.Keys(nights)), keptNights(t.o.Nights); !slices.Equal(got, want) {
			return fmt.Errorf("%s: the nights %v are there, and the rules keep %v", a.name, got, want)
		}
	}
	t.report.Snapshots, t.report.Runs = len(list), t.o.Accounts*t.o.Nights
	if _, err := t.restante.Do(ctx, "check", "--read-data"); err != nil {
		return err
	}
	t.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for _, k := range list[:min(t.o.Restores, len(list))] {
		if err := t.restore(ctx, k.s, k.a.then[k.night]); err != nil {
			return fmt.Errorf("%s, night %d: %w", k.a.name, k.night, err)
		}
		t.report.Restored++
	}
	return nil
}

// keptNights are those that "daily 14, weekly 8" keeps: the last fourteen, and
// the last one of each week. A night is of the day that it ends on.
func keptNights(nights int) (list []int) {
	last := map[string]int{}
	for n := range nights {
		year, week := start.AddDate(0, 0, n+1).ISOWeek()
		last[fmt.Sprint(year, week)] = n
	}
	weeks := slices.Sorted(maps.Values(last))
	weeks = weeks[max(0, len(weeks)-8):]
	for n := range nights {
		if n >= nights-14 || slices.Contains(weeks, n) {
			list = append(list, n)
		}
	}
	return list
}

// restore puts a snapshot into a Maildir and compares what is there with what
// the account had.
func (t *trial) restore(ctx context.Context, s site.Snapshot, want map[string]int) error {
	dir := filepath.Join(t.site.Dir, "restored")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if _, err := t.restante.Do(ctx, "restore", s.Account, "--at", s.ID, "--to", "maildir:"+dir); err != nil {
		return err
	}
	got := map[string]int{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if parent := filepath.Base(filepath.Dir(path)); err != nil || d.IsDir() || parent != "cur" && parent != "new" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got[hash(b)]++
		return nil
	})
	if err != nil {
		return err
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("snapshot %s has %d different messages, and there were %d, or other ones", s.ID, len(got), len(want))
	}
	return nil
}

// Faithful says that the mail server gives a message back as it was sent: with
// line ends as RFC 5322 has them, no NUL, and something in it.
func Faithful(m []byte) bool {
	return len(m) > 0 && len(m) < 1<<20 && !bytes.Contains(m, []byte{0}) &&
		bytes.Count(m, []byte("\n")) == bytes.Count(m, []byte("\r\n")) && bytes.Count(m, []byte("\r")) == bytes.Count(m, []byte("\r\n"))
}
