package alerts

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"restante/schedules/queue"
)

// cameOf is what is read of the Result of a backup.
type cameOf struct {
	Snapshot *struct {
		Messages  int64 `json:"messages"`
		Missing   int64 `json:"missing"`
		Bytes     int64 `json:"bytes"`
		Stored    int64 `json:"stored_bytes"`
		Anomalous bool  `json:"anomalous"`
	} `json:"snapshot"`
}

func resultOf(r queue.Run) (c cameOf) {
	if len(r.Result) > 0 {
		json.Unmarshal(r.Result, &c) // what it does not say is zero
	}
	return c
}

// Find finds what is wrong. Of one account at most one alert is about its
// backup: the one that says why.
func Find(v View) (found []queue.Alert) {
	pending := map[queue.Subject]queue.Run{}
	for _, r := range v.Pending {
		pending[queue.Subject{Kind: r.Kind, Account: r.Account}] = r
	}
	for _, a := range v.Accounts {
		for _, kind := range []queue.Kind{queue.Backup, queue.Export} {
			of := queue.Subject{Kind: kind, Account: a.Name}
			if alert, ok := v.account(a, of, pending[of]); ok {
				found = append(found, alert)
			}
		}
	}
	for _, kind := range []queue.Kind{queue.Check, queue.Rehearsal, queue.Prune, queue.Forget} {
		of := queue.Subject{Kind: kind}
		if alert, ok := v.upkeep(of, pending[of]); ok {
			found = append(found, alert)
		}
	}
	acrossServers(found)
	return found
}

// account looks at one account's backups, or exports.
func (v *View) account(a Account, of queue.Subject, pending queue.Run) (alert queue.Alert, wrong bool) {
	last, ran := v.Last[of]
	good, fine := v.Good[of]
	make := func(kind Kind, class queue.Class, since time.Time, format string, args ...any) (queue.Alert, bool) {
		return queue.Alert{
			Name: string(kind) + " " + string(of.Kind) + " " + a.Name, Topic: topic(kind, of.Kind, class, a.Server), Kind: string(kind),
			Account: a.Name, Server: a.Server, Text: oneLine(fmt.Sprintf(format, args...)), Since: since,
		}, true
	}
	switch {
	case ran && last.State == queue.Failed:
		return make(Failure, last.Class, last.Ended, "%s", last.Error)
	case pending.Tries >= max(v.Patience, 1) && pending.Error != "":
		return make(Failure, pending.Class, pending.Due, "%s", pending.Error)
	case of.Kind != queue.Backup:
		return alert, false
	case fine && v.Now.Sub(good.Ended) > v.StaleAfter:
		return make(Stale, "", good.Ended.Add(v.StaleAfter), "the last good backup is from %s", good.Ended.Format("2006-01-02 15:04 MST"))
	case !fine && !pending.Due.IsZero() && v.Now.Sub(pending.Due) > v.StaleAfter:
		return make(Stale, "", pending.Due.Add(v.StaleAfter), "it was never backed up, and should have been at %s", pending.Due.Format("2006-01-02 15:04 MST"))
	case ran && last.State == queue.Incomplete:
		if s := resultOf(last).Snapshot; s != nil && s.Missing > 0 {
			return make(Incomplete, "", last.Ended, "%s could not be had", number(s.Missing, "message"))
		}
		return make(Incomplete, "", last.Ended, "%s", cmp.Or(last.Error, "not all could be had; restante runs says more"))
	}
	if s := resultOf(good).Snapshot; fine && s != nil && s.Anomalous {
		return make(Anomaly, "", good.Ended, "%s are left; the snapshot before is kept", number(s.Messages, "message"))
	}
	return alert, false
}

// upkeep looks at what is done for the whole repository.
func (v *View) upkeep(of queue.Subject, pending queue.Run) (alert queue.Alert, wrong bool) {
	kind := map[queue.Kind]Kind{queue.Check: Check, queue.Rehearsal: Rehearsal, queue.Prune: Prune}[of.Kind]
	kind = cmp.Or(kind, Failure)
	last, ran := v.Last[of]
	r := last
	switch {
	case ran && (last.State == queue.Failed || last.State == queue.Incomplete):
	case pending.Tries >= max(v.Patience, 1) && pending.Error != "":
		r, r.Ended = pending, pending.Due
	default:
		return alert, false
	}
	return queue.Alert{
		Name: string(kind) + " " + string(of.Kind), Topic: topic(kind, of.Kind, "", ""), Kind: string(kind), Since: r.Ended,
		Text: oneLine(cmp.Or(r.Error, "it found something; restante runs says what")),
	}, true
}

// topic is what alerts have in common that are one message: kind, job, class
// of the error, server.
func topic(kind Kind, job queue.Kind, class queue.Class, server string) string {
	return strings.Join([]string{string(kind), string(job), string(class), server}, "/")
}

// acrossServers makes one topic of failures that are alike on several servers:
// it is not the mail servers that have them.
func acrossServers(found []queue.Alert) {
	type like struct{ topic, why string }
	servers := map[like]map[string]bool{}
	of := func(a queue.Alert) like {
		return like{strings.TrimSuffix(a.Topic, "/"+a.Server), why(a)}
	}
	for _, a := range found {
		if a.Kind == string(Failure) && a.Server != "" {
			if servers[of(a)] == nil {
				servers[of(a)] = map[string]bool{}
			}
			servers[of(a)][a.Server] = true
		}
	}
	for i, a := range found {
		if l := of(a); len(servers[l]) > 1 {
			found[i].Topic = l.topic + "/"
		}
	}
}

var (
	quoted  = regexp.MustCompile(`"[^"]*"`)
	figures = regexp.MustCompile(`[0-9]+`)
)

// why is an alert's text without what differs between accounts that fail alike.
func why(a queue.Alert) string {
	text := quoted.ReplaceAllString(a.Text, "…")
	for _, name := range []string{a.Account, a.Server} {
		if name != "" {
			text = strings.ReplaceAll(text, name, "…")
		}
	}
	if user, _, ok := strings.Cut(a.Account, "@"); ok && len(user) > 1 && utf8.ValidString(user) { // regexp panics at others
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(user)+`\b`).ReplaceAllString(text, "…")
	}
	return figures.ReplaceAllString(text, "#")
}

// Expiring is the alert of a fact, if its time is near.
func Expiring(f Fact, now time.Time, before time.Duration) (queue.Alert, bool) {
	if f.Expires.IsZero() || f.Expires.Sub(now) > before {
		return queue.Alert{}, false
	}
	verb := "expires"
	if !f.Expires.After(now) {
		verb = "expired"
	}
	a := queue.Alert{
		Name: "expiry", Topic: topic(Expiry, "", queue.Class(f.What), ""), Kind: string(Expiry), Since: f.Expires.Add(-before),
		Text: oneLine(fmt.Sprintf("the %s of %s %s on %s", f.What, f.Subject, verb, f.Expires.UTC().Format("2006-01-02 15:04 MST"))),
	}
	if f.Server {
		a.Server = f.Subject
	} else {
		a.Account = f.Subject
	}
	return a, true
}

// oneLine keeps what a server says from being more than a line of a message.
func oneLine(s string) string {
	const most = 400 // octets
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return r <= ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
	}), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// byTopic sorts alerts into topics.
func byTopic(list []queue.Alert) map[string][]queue.Alert {
	m := map[string][]queue.Alert{}
	for _, a := range list {
		m[a.Topic] = append(m[a.Topic], a)
	}
	for _, l := range m {
		slices.SortFunc(l, func(a, b queue.Alert) int {
			return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Name, b.Name))
		})
	}
	return m
}
