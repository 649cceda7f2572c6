package crash

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/site"
)

// Restores kills restores until N kills have hit. Each account that is
// restored to is killed again and again until a run gets through, and must
// then have every message of the snapshot once, and the mail that has come
// meanwhile. Half of the runs begin at once after a kill, when the server may
// still be busy with what it was sent before.
func Restores(ctx context.Context, s *site.Site, program string, o Options) (*Report, error) {
	t, err := begin(ctx, s, o, "restores", program)
	if err != nil {
		return nil, err
	}
	r := &restores{trial: t}
	began := time.Now()
	if err := r.measure(ctx); err != nil {
		return nil, err
	}
	for t.report.Kills < o.N {
		if err := r.series(ctx); err != nil {
			return nil, fmt.Errorf("after %d kills: %w", t.report.Kills, err)
		}
		s.Say("restores: %d of %d kills", min(t.report.Kills, o.N), o.N)
	}
	if err := t.check(ctx, "--read-data"); err != nil {
		return nil, err
	}
	t.report.Took = time.Since(began)
	return t.report, nil
}

type restores struct {
	*trial
	account  string          // in the repository
	snapshot site.Snapshot   // that is restored
	want     rawimap.Mailbox // what it must give
	once     map[place]int   // the same by message
}

// measure makes the snapshot and finds out how long a restore takes that
// nobody kills.
func (r *restores) measure(ctx context.Context) error {
	a, err := r.newAccount(ctx, "s", max(1, r.Messages/2)) // appending takes longer than reading
	if err != nil {
		return err
	}
	out, err := r.r.Do(ctx, "backup", r.site.AccountURL(a.user), "--json")
	if err != nil {
		return err
	}
	run, err := site.ParseBackup(out)
	if err != nil {
		return err
	}
	r.account, r.snapshot = run.Account, *run.Snapshot
	if r.want, err = r.site.Dump(ctx, a.user); err != nil {
		return err
	}
	r.once = places(r.want)
	user := r.user("m")
	began := time.Now()
	if err := r.restore(ctx, r.snapshot, user); err != nil {
		return err
	}
	r.report.Undamaged = time.Since(began)
	r.site.Say("restores: a run nobody kills takes %v", r.report.Undamaged.Round(time.Millisecond))
	return r.compare(ctx, user, nil)
}

// waits is how long a restore that finds that another was killed waits, at least,
// for what the server takes yet. Most kills come behind that.
const waits = 2 * time.Second

// series restores to a new account until a run gets through.
func (r *restores) series(ctx context.Context) error {
	to, err := r.newAccount(ctx, "t", 0)
	if err != nil {
		return err
	}
	for killed := false; ; killed = true {
		after := r.moment(r.report.Undamaged)
		if killed && r.moments.IntN(4) > 0 {
			after += waits
		}
		if r.report.Kills >= r.N {
			after = never // let it get through
		}
		hit, _, err := r.strike(ctx, r.restoring(r.account, r.snapshot.ID, to.user), after)
		if err != nil {
			return err
		}
		if !hit {
			if err := r.check(ctx); err != nil {
				return err
			}
			return r.compare(ctx, to.user, to.ever)
		}
		if r.moments.IntN(2) == 0 {
			continue // at once; the next one is checked
		}
		if err := r.check(ctx); err != nil {
			return err
		}
		got, err := r.site.Dump(ctx, to.user)
		if err != nil {
			return err
		}
		if err := different(to.user+" after a kill", r.foreign(got, to.ever)); err != nil {
			return err
		}
		l := to.maker.Next()
		l.Folder = "INBOX"
		if err := to.receive(ctx, l); err != nil {
			return err
		}
	}
}

// foreign says which messages are there twice, or should not be there at all.
func (r *restores) foreign(got rawimap.Mailbox, arrived map[place]bool) (wrong []string) {
	for p, n := range places(got) {
		switch {
		case n > 1:
			wrong = append(wrong, fmt.Sprintf("folder %q message %x: %d times", p.folder, p.octets, n))
		case r.once[p] == 0 && !arrived[p]:
			wrong = append(wrong, fmt.Sprintf("folder %q message %x: should not be there", p.folder, p.octets))
		}
	}
	return wrong
}

// compare compares what an account has, but for what arrived there meanwhile,
// with the snapshot.
func (r *restores) compare(ctx context.Context, user string, arrived map[place]bool) error {
	got, err := r.site.Dump(ctx, user)
	if err != nil {
		return err
	}
	wrong := r.foreign(got, arrived)
	count := places(got)
	for p := range arrived {
		if count[p] != 1 {
			wrong = append(wrong, fmt.Sprintf("folder %q message %x, which arrived meanwhile: %d times", p.folder, p.octets, count[p]))
		}
	}
	for i := range got.Folders {
		f := &got.Folders[i]
		f.Messages = slices.DeleteFunc(f.Messages, func(m rawimap.Message) bool { return arrived[place{f.Name, sha256.Sum256(m.Octets)}] })
	}
	r.report.Compared++
	if err := different(fmt.Sprintf("%s is not what was restored to it", user), append(wrong, rawimap.Difference(r.want, got)...)); err != nil {
		return err
	}
	return r.site.Forget(user)
}
