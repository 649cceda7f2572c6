// Package rehearsal proves that an account can be restored, by doing it: [Next]
// says whose turn it is, and [Run] restores a snapshot into a directory of its
// own, reads back what is there, and compares it with the snapshot.
package rehearsal

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"restante/restore"
	"restante/storage"
)

// Options say how a rehearsal is done. Open is needed.
type Options struct {
	// Open makes a target of a directory that is not there yet.
	Open func(dir string) (restore.Target, error)
	// TempDir is where the scratch directory is made, and is made if need be; empty
	// for the system's.
	TempDir string
	// Most is about how many octets of messages are restored: of a larger
	// account, a share of the messages chosen by Seed. 0 for 1 GiB.
	Most int64
	Seed uint64
	// Progress is of the restore; may be nil.
	Progress *restore.Progress
}

// A Report is what a rehearsal went through and found.
type Report struct {
	Account  string `json:"account"`
	Snapshot string `json:"snapshot"`
	Folders  int    `json:"folders"`
	// Messages of the snapshot, of which Restored were to be restored, with
	// Bytes octets. They are fewer where the account is large.
	Messages int64 `json:"messages"`
	Restored int64 `json:"restored"`
	Bytes    int64 `json:"bytes"`
	// Proven were read back and are, octet for octet, those of the snapshot.
	Proven      int64        `json:"proven"`
	Seed        uint64       `json:"seed"`
	Differences []Difference `json:"differences"`
}

// A Difference is something that a restore did not give back as it was.
type Difference struct {
	Folder  string `json:"folder"`
	Problem string `json:"problem"` // a sentence
}

// Next is the account that was rehearsed longest ago, or never: by name among
// equals. It is empty where there is none.
func Next(accounts []string, last map[string]time.Time) (next string) {
	for i, account := range slices.Sorted(slices.Values(accounts)) {
		if i == 0 || last[account].Before(last[next]) {
			next = account
		}
	}
	return next
}

// Run rehearses one snapshot. The error says that it could not be done; what
// is not as it was is in the Report. The scratch directory is removed, that of
// a rehearsal of the account that was killed, too; so there may be one of an
// account at a time on a machine.
func Run(ctx context.Context, repo *storage.Repository, s storage.Snapshot, o Options) (_ *Report, err error) {
	if o.Most <= 0 {
		o.Most = 1 << 30
	}
	if o.TempDir == "" {
		o.TempDir = os.TempDir()
	}
	scratch := filepath.Join(o.TempDir, scratchName(s.Account))
	if err := os.RemoveAll(scratch); err != nil {
		return nil, fmt.Errorf("remove what an earlier rehearsal left: %w", err)
	}
	if err := os.MkdirAll(o.TempDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for rehearsals: %w", err)
	}
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory to restore into: %w", err)
	}
	defer func() {
		if removeErr := os.RemoveAll(scratch); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("remove what was restored: %w", removeErr))
		}
	}()
	tree, err := repo.OpenSnapshot(ctx, s)
	if err != nil {
		return nil, err
	}
	r := &rehearsal{repo: repo, tree: tree, o: o, report: &Report{
		Account: s.Account, Snapshot: s.ID.String(), Messages: s.Messages, Seed: o.Seed, Differences: []Difference{}}}
	groups, err := new(restore.Selection).Groups(ctx, tree)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		groups[i].Messages = r.share(groups[i].Folder.Name(), groups[i].Messages)
	}
	if err := r.restore(ctx, groups, filepath.Join(scratch, "mail")); err != nil {
		return nil, err
	}
	return r.report, nil
}

// scratchName is no account's but this one's, and gives none away.
func scratchName(account string) string {
	sum := sha256.Sum256([]byte(account))
	return fmt.Sprintf("restante-rehearsal-%x", sum[:8])
}

type rehearsal struct {
	repo   *storage.Repository
	tree   *storage.Tree
	o      Options
	report *Report
}

// share leaves out messages of a large account.
func (r *rehearsal) share(folder string, all iter.Seq2[storage.Message, error]) iter.Seq2[storage.Message, error] {
	total := r.tree.Snapshot.Bytes
	if total <= r.o.Most {
		return all
	}
	return func(yield func(storage.Message, error) bool) {
		for m, err := range all {
			if err == nil && chance(r.o.Seed, folder, m.UID) >= float64(r.o.Most)/float64(total) {
				continue
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// chance is a number from 0 to 1, the same for the same message and seed.
func chance(seed uint64, folder string, uid uint32) float64 {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, seed), uid)
	sum := sha256.Sum256(append(b, folder...))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// restore restores the groups and compares what came of them. The target is
// opened anew to be read: what the one that wrote remembers proves nothing.
func (r *rehearsal) restore(ctx context.Context, groups []restore.Group, dir string) error {
	to, err := r.o.Open(dir)
	if err != nil {
		return err
	}
	done, err := restore.Run(ctx, r.repo, groups, to, restore.Options{Progress: r.o.Progress})
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("restore to %s: %w", dir, err)
	}
	places := map[string]string{}
	for _, f := range done.Folders {
		places[f.Folder] = f.Place
		for _, m := range f.Refused {
			r.differ(f.Folder, "UID %d was not restored: %s", m.UID, m.Reason)
		}
		if f.Failed != "" {
			r.differ(f.Folder, "it was given up: %s", f.Failed)
		}
	}
	from, err := r.o.Open(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	listed, err := from.Folders(ctx)
	if err != nil {
		return fmt.Errorf("list the folders that were restored: %w", err)
	}
	for folder, place := range places {
		if !slices.ContainsFunc(listed, func(f restore.Folder) bool { return f.Place == place }) {
			delete(places, folder)
		}
	}
	for _, g := range groups {
		if err := r.compare(ctx, g, from, places); err != nil {
			return fmt.Errorf("folder %q: %w", g.Folder.Name(), err)
		}
	}
	return nil
}

func (r *rehearsal) differ(folder, format string, a ...any) {
	r.report.Differences = append(r.report.Differences, Difference{folder, fmt.Sprintf(format, a...)})
}

// A likeness is what two messages that are the same have alike.
type likeness struct {
	size int64
	sum  [sha256.Size]byte
}

// compare reads a folder back.
func (r *rehearsal) compare(ctx context.Context, g restore.Group, from restore.Target, places map[string]string) error {
	name := g.Folder.Name()
	r.report.Folders++
	place, restored := places[name]
	if !restored {
		r.differ(name, "it was not restored")
		return nil
	}
	there, err := readBack(ctx, from, place)
	if err != nil {
		return err
	}
	for m, err := range g.Messages {
		if err != nil {
			return err
		}
		r.report.Restored++
		r.report.Bytes += m.Size
		h := counter{Hash: sha256.New()}
		if err := r.repo.WriteMessage(ctx, &h, g.Vault, m.Recipe); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.differ(name, "UID %d: the archive does not give it: %v", m.UID, err)
			continue
		}
		like := h.likeness()
		switch {
		case like.size != m.Size:
			r.differ(name, "UID %d has %d octets where the snapshot says %d", m.UID, like.size, m.Size)
		case there[like] == 0:
			r.differ(name, "UID %d is not there as it was, octet for octet", m.UID)
		default:
			r.report.Proven++
		}
		if there[like] > 0 {
			there[like]--
		}
	}
	left := 0
	for _, n := range there {
		left += n
	}
	if left > 0 {
		r.differ(name, "there are %d messages that the snapshot does not have", left)
	}
	return nil
}

// readBack reads all messages of a folder of the target.
func readBack(ctx context.Context, from restore.Target, place string) (map[likeness]int, error) {
	there := map[likeness]int{}
	box, err := from.Open(ctx, place)
	if err != nil {
		return nil, err
	}
	defer box.Close()
	var ids []string
	if err := box.Present(ctx, func(p restore.Present) error { ids = append(ids, p.ID); return nil }); err != nil {
		return nil, err
	}
	return there, box.Read(ctx, ids, func(_ string, _ int64, octets io.Reader) error {
		h := counter{Hash: sha256.New()}
		if octets != nil {
			if _, err := io.Copy(&h, octets); err != nil {
				return err
			}
		}
		there[h.likeness()]++
		return nil
	})
}

// A counter is a hash that counts.
type counter struct {
	hash.Hash
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Hash.Write(p)
}

func (c *counter) likeness() likeness {
	return likeness{c.n, [sha256.Size]byte(c.Sum(nil))}
}
