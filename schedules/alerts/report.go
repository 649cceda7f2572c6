package alerts

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"restante/schedules/queue"
)

// See reads the history of a queue.
func See(ctx context.Context, q *queue.Queue, accounts []Account, o Options, now time.Time) (v View, err error) {
	o.defaults()
	v = View{Now: now, Accounts: accounts, StaleAfter: o.StaleAfter, Patience: o.Patience}
	if v.Last, v.Good, err = q.Last(ctx); err != nil {
		return v, fmt.Errorf("read the history: %w", err)
	}
	if v.Pending, err = q.Runs(ctx, queue.Filter{States: []queue.State{queue.Waiting, queue.Given, queue.Running}, Most: 1 << 20}); err != nil {
		return v, fmt.Errorf("read what waits: %w", err)
	}
	if v.Next, err = q.Next(ctx); err != nil {
		return v, fmt.Errorf("read what is due next: %w", err)
	}
	return v, nil
}

// Standing is how the accounts of a group, or of all, are.
type Standing struct {
	Accounts, Good, Incomplete, Failed, Stale, New int   // New ones were never backed up, and need not have been
	Messages, Bytes                                int64 // in their last good snapshots
	Stored                                         int64 // octets that their last backups added to the repository
}

// Stand counts accounts, by their groups; those of no group are of "".
func Stand(v View) map[string]Standing {
	wrong := map[string]Kind{}
	for _, a := range Find(v) {
		if strings.HasPrefix(a.Name, a.Kind+" "+string(queue.Backup)+" ") {
			wrong[a.Account] = Kind(a.Kind)
		}
	}
	groups := map[string]Standing{}
	for _, a := range v.Accounts {
		s := groups[a.Group]
		s.Accounts++
		good, fine := v.Good[queue.Subject{Kind: queue.Backup, Account: a.Name}]
		if c := resultOf(good).Snapshot; fine && c != nil {
			s.Messages, s.Bytes, s.Stored = s.Messages+c.Messages, s.Bytes+c.Bytes, s.Stored+c.Stored
		}
		switch kind := wrong[a.Name]; {
		case kind == Failure:
			s.Failed++
		case kind == Stale:
			s.Stale++
		case kind == Incomplete:
			s.Incomplete++
		case fine:
			s.Good++ // an unlikely one is a good backup of what there is
		default:
			s.New++
		}
		groups[a.Group] = s
	}
	return groups
}

func (s *Standing) add(t Standing) {
	s.Accounts, s.Good, s.Incomplete, s.Failed, s.Stale, s.New = s.Accounts+t.Accounts, s.Good+t.Good, s.Incomplete+t.Incomplete, s.Failed+t.Failed, s.Stale+t.Stale, s.New+t.New
	s.Messages, s.Bytes, s.Stored = s.Messages+t.Messages, s.Bytes+t.Bytes, s.Stored+t.Stored
}

// String is a line.
func (s Standing) String() string {
	parts := []string{comma(int64(s.Good)) + " good"}
	for _, p := range []struct {
		n    int
		what string
	}{{s.Incomplete, "incomplete"}, {s.Failed, "failed"}, {s.Stale, "stale"}, {s.New, "new"}} {
		if p.n > 0 {
			parts = append(parts, comma(int64(p.n))+" "+p.what)
		}
	}
	return fmt.Sprintf("%s: %s", number(int64(s.Accounts), "account"), strings.Join(parts, ", "))
}

// Write writes the morning report.
func Write(v View, open []queue.Alert) Message {
	groups := Stand(v)
	var all Standing
	for _, s := range groups {
		all.add(s)
	}
	m := Message{Event: Report, Topic: topicReport, Time: v.Now, List: open}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s, %s; the last backups added %s.\n", all, number(all.Messages, "message"), octets(all.Bytes), octets(all.Stored))
	if len(open) == 0 {
		m.Title = "all is well: " + number(int64(all.Accounts), "account")
	} else {
		m.Title = fmt.Sprintf("%s; %s", number(int64(len(open)), "open alert"), all)
		if len(groups) > 1 {
			b.WriteString("\n")
			for _, name := range slices.Sorted(maps.Keys(groups)) {
				fmt.Fprintf(&b, "  %s: %s\n", cmp.Or(oneLine(name), "(no group)"), groups[name])
			}
		}
		topics := byTopic(open)
		for _, t := range slices.SortedFunc(maps.Keys(topics), func(a, b string) int { return cmp.Or(len(topics[b])-len(topics[a]), cmp.Compare(a, b)) }) {
			list := topics[t]
			fmt.Fprintf(&b, "\n%s\n", titleOf(list))
			for i, a := range list {
				if len(list) == 1 {
					fmt.Fprintf(&b, "  since %s\n", a.Since.UTC().Format("2006-01-02 15:04 MST"))
					break
				}
				if i == mostNamed {
					fmt.Fprintf(&b, "  and %s more: restante alerts\n", comma(int64(len(list)-i)))
					break
				}
				fmt.Fprintf(&b, "  %s: %s (since %s)\n", cmp.Or(oneLine(a.Account), a.Server, a.Name), a.Text, a.Since.UTC().Format("2006-01-02 15:04 MST"))
			}
		}
		b.WriteString("\n")
	}
	if last, ok := v.Good[queue.Subject{Kind: queue.Check}]; ok {
		fmt.Fprintf(&b, "Last check without findings: %s.\n", last.Ended.UTC().Format("2006-01-02 15:04 MST"))
	}
	for _, n := range v.Next {
		// What a schedule does is told by its runs, or else by its usual name.
		if n.Account == "" && !n.Next.IsZero() && (n.Schedule == string(queue.Check) || v.Last[queue.Subject{Kind: queue.Check}].Schedule == n.Schedule) {
			fmt.Fprintf(&b, "Next check: %s.\n", n.Next.UTC().Format("2006-01-02 15:04 MST"))
			break
		}
	}
	m.Text = b.String()
	return m
}

// octets is a size as people read it.
func octets(n int64) string {
	f, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for f >= 1024 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[unit])
}
