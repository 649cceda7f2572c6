package crash

import (
	"context"
	"fmt"
	"maps"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/site"
)

// prove looks at the repository in fine weather.
func (n *network) prove(ctx context.Context) error {
	if err := n.check(ctx, "--read-data"); err != nil {
		return err
	}
	n.result.Checks++
	list, err := n.r.Snapshots(ctx)
	if err != nil {
		return err
	}
	if err := different("snapshots that were reported", n.lost(list)); err != nil {
		return err
	}
	for _, m := range n.machines {
		if m.last == nil {
			continue
		}
		if err := n.same(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// lost says which snapshots are not there that must be. Those that were
// forgotten it does not ask for again.
func (n *network) lost(list []site.Snapshot) (wrong []string) {
	there := map[string]bool{}
	of := map[string][]site.Snapshot{}
	for _, s := range list {
		there[s.ID] = true
		of[s.Account] = append(of[s.Account], s)
	}
	for id, s := range n.acked {
		if there[id] {
			continue
		}
		newer := 0
		for _, other := range of[s.Account] { // times are seconds, and a backup may take less
			if !other.Started.Before(s.Started) {
				newer++
			}
		}
		if !n.forgot || newer < keep {
			wrong = append(wrong, fmt.Sprintf("snapshot %s of %s: not there, and %d newer ones are", id, s.Account, newer))
		}
		delete(n.acked, id)
	}
	return wrong
}

// same restores what a machine was told of last, and compares it with its
// account, if that has not changed.
func (n *network) same(ctx context.Context, m *machine) error {
	want, err := n.site.Dump(ctx, m.account.user)
	if err != nil {
		return err
	}
	user := n.user("p")
	if err := n.trial.restore(ctx, m.last.Snapshot, user); err != nil {
		return err
	}
	got, err := n.site.Dump(ctx, user)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("snapshot %s of %s, restored to %s", m.last.ID, m.account.user, user)
	if maps.Equal(places(want), m.last.has) { // there is no change without new mail
		err = different(what, rawimap.Difference(want, got))
	} else {
		err = n.exact(what, m.last, places(got))
	}
	if err != nil {
		return err
	}
	n.result.Restored++
	return n.site.Forget(user)
}

// exact compares what was restored with a snapshot that was reported.
func (n *network) exact(what string, s *snapshot, got map[place]int) error {
	if maps.Equal(s.has, got) {
		return nil
	}
	return different(what, []string{fmt.Sprintf("it has %d messages, and %d were there, or other ones", len(got), len(s.has))})
}

// finish backs up once more, in fine weather, and restores every snapshot there
// is.
func (n *network) finish(ctx context.Context) error {
	for _, w := range n.ways() {
		w.Set(nil)
	}
	for _, m := range n.machines {
		before := m.last
		if err := m.backup(ctx); err != nil {
			return err
		}
		if m.last == before {
			return fmt.Errorf("%s is not backed up, though the weather is fine", m.account.user)
		}
	}
	if err := n.prove(ctx); err != nil {
		return err
	}
	list, err := n.r.Snapshots(ctx)
	if err != nil {
		return err
	}
	n.result.Snapshots = len(list)
	n.site.Say("network: restoring all %d snapshots", len(list))
	for _, s := range list {
		user := n.user("f")
		if err := n.trial.restore(ctx, s, user); err != nil {
			return err
		}
		m, err := n.site.Dump(ctx, user)
		if err != nil {
			return err
		}
		got := places(m)
		what := fmt.Sprintf("snapshot %s of %s, restored to %s", s.ID, s.Account, user)
		if known := n.acked[s.ID]; known != nil {
			err = n.exact(what, known, got)
		} else if a := n.had[s.Account]; a != nil { // nobody heard of it
			err = different(what, a.union(nil, got))
		} else {
			err = fmt.Errorf("snapshot %s is of %s, which nobody backed up", s.ID, s.Account)
		}
		if err != nil {
			return err
		}
		n.result.Restored++
		if err := n.site.Forget(user); err != nil {
			return err
		}
	}
	return nil
}
