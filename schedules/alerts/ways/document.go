package ways

import (
	"time"

	"restante/schedules/alerts"
)

// A Document is what a webhook is sent, in JSON. Names do not change; fields
// are added now and then.
//
//	{
//	  "version": 1,
//	  "event": "opened",
//	  "topic": "failure/backup/login/mail.example.org",
//	  "kind": "failure",
//	  "title": "212 accounts on mail.example.org cannot log in: …",
//	  "text": "…",
//	  "time": "2026-06-01T05:12:00Z",
//	  "since": "2026-06-01T03:00:10Z",
//	  "computer": "backup1",
//	  "open": 213,
//	  "count": 212,
//	  "alerts": [{"kind": "failure", "account": "alice@example.org", "server": "mail.example.org", "text": "…", "since": "…"}]
//	}
type Document struct {
	Version int `json:"version"` // 1
	// Event is opened, repeated, cleared, report, ping or test.
	Event string `json:"event"`
	// Topic is the same in all messages about the same thing.
	Topic string `json:"topic"`
	// Kind is failure, incomplete, anomaly, stale, check, rehearsal, prune,
	// expiry, database or way; nothing for reports, pings and tests.
	Kind     string     `json:"kind,omitempty"`
	Title    string     `json:"title"` // one line
	Text     string     `json:"text"`  // plain, some lines
	Time     time.Time  `json:"time"`
	Since    *time.Time `json:"since,omitempty"` // when the first of the alerts began
	Computer string     `json:"computer"`
	Open     int        `json:"open"`  // alerts that are open, of all topics
	Count    int        `json:"count"` // alerts that the message is of
	// Alerts are those, 100 at most.
	Alerts []DocumentAlert `json:"alerts"`
}

// A DocumentAlert is one of the alerts of a Document.
type DocumentAlert struct {
	Kind    string    `json:"kind"`
	Account string    `json:"account,omitempty"`
	Server  string    `json:"server,omitempty"`
	Text    string    `json:"text"`
	Since   time.Time `json:"since"`
}

const mostAlerts = 100

func document(m alerts.Message, computer string) Document {
	d := Document{Version: 1, Event: string(m.Event), Topic: m.Topic, Kind: string(m.Kind), Title: m.Title, Text: m.Text, Time: m.Time.UTC(),
		Computer: computer, Open: m.Open, Count: len(m.List), Alerts: []DocumentAlert{}}
	if !m.Since.IsZero() {
		since := m.Since.UTC()
		d.Since = &since
	}
	for _, a := range m.List[:min(len(m.List), mostAlerts)] {
		d.Alerts = append(d.Alerts, DocumentAlert{a.Kind, a.Account, a.Server, a.Text, a.Since.UTC()})
	}
	return d
}
