package alerts

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/schedules/queue"
)

// An Event is why there is a message.
type Event string

// The events there are.
const (
	Opened   Event = "opened"   // something is wrong
	Repeated Event = "repeated" // it still is
	Cleared  Event = "cleared"  // it is over
	Report   Event = "report"   // the morning report
	Ping     Event = "ping"     // nothing but that somebody looks, and whether anything is open
	Test     Event = "test"     // a person tries the way
)

// A Message is what people, or programs, are told.
type Message struct {
	Event Event
	Topic string // of alerts; the same while they are open
	Kind  Kind
	Title string // one line
	Text  string // some lines, the last one ended
	Time  time.Time
	Since time.Time     // when the first of the alerts began
	Open  int           // alerts that are open, of all topics
	List  []queue.Alert // that it is of; of one that is over, none
}

// A Way takes messages to people or programs. Its errors hold no credentials.
type Way interface {
	// Name tells it from the others, in the database, too. It has no secrets.
	Name() string
	// Takes says whether there is a use for such messages.
	Takes(e Event) bool
	Send(ctx context.Context, m Message) error
}

// mostNamed is how many accounts a message names.
const mostNamed = 20

// titleOf says in a line what the alerts of a topic are.
func titleOf(list []queue.Alert) string {
	first, n := list[0], int64(len(list))
	where := ""
	if first.Server != "" && !strings.HasSuffix(first.Topic, "/") {
		where = " on " + first.Server
	}
	_, rest, _ := strings.Cut(first.Topic, "/")
	job, rest, _ := strings.Cut(rest, "/")
	class, _, _ := strings.Cut(rest, "/")
	who, plural := number(n, "account")+where, n > 1
	if !plural {
		who = cmp.Or(first.Account, "the repository") + where
	}
	verb := func(one, many string) string {
		if plural {
			return who + " " + many
		}
		return who + " " + one
	}
	switch kind := Kind(first.Kind); {
	case kind == Failure && class == string(queue.Login):
		return who + " cannot log in: " + mostly(list)
	case kind == Failure && job == string(queue.Export):
		return who + " cannot be exported: " + mostly(list)
	case kind == Failure && job == string(queue.Backup):
		return who + " cannot be backed up: " + mostly(list)
	case kind == Failure:
		return "the " + job + " failed: " + first.Text
	case kind == Incomplete:
		return verb("is", "are") + " not backed up completely: " + mostly(list)
	case kind == Anomaly:
		return verb("has", "have") + " lost an unlikely share of the mail since the backup before"
	case kind == Stale:
		return verb("has", "have") + " no good backup that is new enough"
	case kind == Check:
		return "the check: " + first.Text
	case kind == Rehearsal:
		return "the rehearsal of a restore: " + first.Text
	case kind == Prune:
		return "the prune: " + first.Text
	case kind == Expiry && plural:
		return fmt.Sprintf("%ss of %d expire: %s", class, n, first.Text)
	case kind == WayOut:
		return "nobody can be told by " + first.Name + ": " + first.Text
	}
	return first.Text
}

// mostly is the most frequent reason.
func mostly(list []queue.Alert) string {
	counts := map[string]int{}
	best, most := list[0], ""
	for _, a := range list {
		w := why(a)
		if counts[w]++; counts[w] > counts[most] {
			best, most = a, w
		}
	}
	if len(counts) == 1 {
		return best.Text
	}
	return best.Text + " (and other reasons)"
}

// compose writes the message of a topic.
func compose(e Event, topic string, list []queue.Alert, now time.Time) Message {
	m := Message{Event: e, Topic: topic, Kind: Kind(list[0].Kind), Title: titleOf(list), Time: now, List: list, Since: list[0].Since}
	var b strings.Builder
	b.WriteString(m.Title + "\n\n")
	for _, a := range list {
		if a.Since.Before(m.Since) {
			m.Since = a.Since
		}
	}
	if e == Repeated {
		fmt.Fprintf(&b, "Since %s, and still so.\n\n", m.Since.UTC().Format("2006-01-02 15:04 MST"))
	}
	for i, a := range list {
		if i == mostNamed {
			fmt.Fprintf(&b, "  and %s more: restante alerts\n", comma(int64(len(list)-i)))
			break
		}
		name := cmp.Or(a.Account, a.Server, a.Kind)
		fmt.Fprintf(&b, "  %s: %s (since %s)\n", oneLine(name), a.Text, a.Since.UTC().Format("2006-01-02 15:04 MST"))
	}
	b.WriteString("\n" + advice(Kind(list[0].Kind), topic) + "\n")
	m.Text = b.String()
	return m
}

// advice is what to do about it.
func advice(kind Kind, topic string) string {
	switch {
	case kind == Failure && strings.Contains(topic, "/"+string(queue.Login)+"/"):
		return "Wrong passwords are tried again only when the next backup is due: restante run ACCOUNT tries at once."
	case kind == Anomaly:
		return "restante vanished ACCOUNT lists what is gone; restante restore puts it back. No keep rule forgets the snapshot before."
	case kind == Check:
		return "restante check --read-data finds out how far it goes. Nothing should be pruned before that is known."
	case kind == Prune:
		return "restante prune --dry-run says what it would remove, and why it does not."
	case kind == Expiry:
		return "Renew it before then; restante login ACCOUNT does so for grants."
	case kind == WayOut:
		return "restante alerts test tries all ways."
	}
	return "restante status and restante runs --failed say more."
}

// over writes the message that a topic is no longer open.
func over(n queue.Notice, now time.Time) Message {
	kind, _, _ := strings.Cut(n.Topic, "/")
	title := "over: " + strings.TrimPrefix(n.Title, "over: ")
	return Message{Event: Cleared, Topic: n.Topic, Kind: Kind(kind), Title: title, Time: now, List: []queue.Alert{},
		Text: title + "\n\nAll of it is well again.\n"}
}

// TestMessage is a message for trying ways out.
func TestMessage(now time.Time) Message {
	return Message{Event: Test, Topic: "test", Title: "a test of the ways to tell you", Time: now, List: []queue.Alert{},
		Text: "Somebody has run restante alerts test. Nothing is wrong: alerts will reach you this way. Umlauts are whole: äöü.\n"}
}

func number(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return comma(n) + " " + thing + "s"
}

// comma writes a number with a comma between thousands.
func comma(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var parts []string
	for len(digits) > 3 {
		parts = append(parts, digits[len(digits)-3:])
		digits = digits[:len(digits)-3]
	}
	parts = append(parts, digits)
	slices.Reverse(parts)
	return strings.Join(parts, ",")
}
