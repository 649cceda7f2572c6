package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"restante/backup/accounts"
	"restante/schedules/alerts"
	"restante/schedules/alerts/ways"
	"restante/schedules/calendar"
)

// alertsConfig is who is told what is wrong, and how. Without a mail and a
// webhook nobody is; restante alerts lists it all the same.
//
//	[alerts]
//	report-at = "07:00"
//
//	[alerts.mail]
//	server = "smtps://restante@mail.example.org"
//	password-file = "/etc/restante/smtp-password"
//	from = "Restante <restante@example.org>"
//	to = ["admin@example.org"]
//
//	[[alerts.webhook]]
//	form = "slack"
//	url-file = "/etc/restante/slack-url"
//
//	[[alerts.webhook]]
//	form = "ping"
//	url = "https://hc-ping.example.org/0b1c…"
type alertsConfig struct {
	// Mail is the way by mail.
	Mail *mailConfig `toml:"mail"`
	// Webhook are the ways by HTTP.
	Webhook []*hookConfig `toml:"webhook"`
	// ReportAt is when the morning report goes out by mail: "07:00", in the
	// configuration's time-zone. There is none if it is empty.
	ReportAt string `toml:"report-at"`
	// StaleAfter is how long an account may be without a good backup: "36h" if
	// empty.
	StaleAfter string `toml:"stale-after"`
	// Repeat is after how long what is still wrong is told again: "24h" if empty.
	Repeat string `toml:"repeat"`
	// Settle is how long something is wrong until somebody is told, so that what is
	// alike is one message: "5m" if empty. So long it must be over, too.
	Settle string `toml:"settle"`
	// PingEvery is how often webhooks of the form ping hear that all is well, or
	// not: "1h" if empty.
	PingEvery string `toml:"ping-every"`
	// ExpiryBefore is how long before it expires a certificate or a grant is an
	// alert: "336h" (14 days) if empty.
	ExpiryBefore string `toml:"expiry-before"`
}

// mailConfig is a mail server that messages are handed to, and for whom.
type mailConfig struct {
	// Server is smtps://user@host (TLS), smtp://user@host (STARTTLS, port 587), or
	// smtp+insecure://host (clear text, port 25; for this computer's own). ?ca=FILE
	// trusts the authorities in a file.
	Server string `toml:"server"`
	// The password of the user, if there is one: a file with it, or a command that
	// prints it.
	PasswordFile    string `toml:"password-file"`
	PasswordCommand string `toml:"password-command"`
	// From is the sender, and who hears that a message could not be delivered.
	From string   `toml:"from"`
	To   []string `toml:"to"`
}

// hookConfig is a webhook.
type hookConfig struct {
	// Name is what it is called in logs; the form if empty.
	Name string `toml:"name"`
	// Form is what is sent: json (the default: one document, with "event", "topic",
	// "kind", "title", "text", "time", "since", "computer", "open", "count" and
	// "alerts"), slack (Mattermost, too), matrix (the URL being
	// https://HOST/_matrix/client/v3/rooms/ROOM/send/m.room.message), ntfy, or ping
	// (Healthchecks: the URL when all is well, failure-url when not).
	Form string `toml:"form"`
	// The URL; a file with it, or a command that prints it, where it is a secret.
	URL        string `toml:"url"`
	URLFile    string `toml:"url-file"`
	URLCommand string `toml:"url-command"`
	// FailureURL is where a ping goes when something is wrong; the URL and /fail if
	// empty.
	FailureURL string `toml:"failure-url"`
	// TokenFile has a token that is sent as "Authorization: Bearer", or
	// TokenCommand prints it: Matrix's access token, or ntfy's.
	TokenFile    string `toml:"token-file"`
	TokenCommand string `toml:"token-command"`
	// KeyFile has a key that what is sent is signed with, or KeyCommand prints it.
	// X-Restante-Signature is then "t=SECONDS,v1=HEX", the HMAC-SHA-256 of SECONDS,
	// a dot and the body.
	KeyFile    string `toml:"key-file"`
	KeyCommand string `toml:"key-command"`
	// Events are those that it is told: opened, repeated, cleared, report, ping;
	// those that fit the form if empty.
	Events []string `toml:"events"`
}

// alertable are the events that a webhook may be told of.
var alertable = []alerts.Event{alerts.Opened, alerts.Repeated, alerts.Cleared, alerts.Report, alerts.Ping}

// alertOptions are how alerts are kept and told.
func (c *config) alertOptions() (o alerts.Options, err error) {
	for _, d := range []struct {
		key, text string
		least     time.Duration
		to        *time.Duration
	}{
		{"stale-after", c.Alerts.StaleAfter, time.Minute, &o.StaleAfter}, {"repeat", c.Alerts.Repeat, time.Minute, &o.Repeat},
		{"settle", c.Alerts.Settle, time.Second, &o.Settle}, {"ping-every", c.Alerts.PingEvery, time.Minute, &o.PingEvery},
		{"expiry-before", c.Alerts.ExpiryBefore, time.Minute, &o.Before},
	} {
		if d.text == "" {
			continue
		}
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to < d.least {
			return o, withHint(wrongUsage(fmt.Errorf("%s: [alerts]: %s: %q is no time of %s or more", c.path, d.key, d.text, d.least)), "write %s = \"36h\" or \"30m\"", d.key)
		}
	}
	if c.Alerts.ReportAt == "" {
		return o, nil
	}
	at, err := time.Parse("15:04", c.Alerts.ReportAt)
	if err != nil {
		return o, withHint(wrongUsage(fmt.Errorf("%s: [alerts]: report-at: %q is no time of the day", c.path, c.Alerts.ReportAt)), "write report-at = \"07:00\"")
	}
	zone := time.Local
	if c.TimeZone != "" {
		if zone, err = time.LoadLocation(c.TimeZone); err != nil {
			return o, withHint(wrongUsage(fmt.Errorf("%s: there is no time zone %q", c.path, c.TimeZone)), "write it as Europe/Berlin or UTC")
		}
	}
	table, err := calendar.Parse(calendar.Rule{Every: fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()), Zone: zone})
	if err != nil {
		return o, fmt.Errorf("report-at: %w", err)
	}
	o.ReportAt = func(after time.Time) time.Time { return table.Next("", after) }
	return o, nil
}

// alertWays are the ways in which people are told. Secrets are read when
// something is sent.
func (c *config) alertWays(log *slog.Logger) (list []alerts.Way, err error) {
	if m := c.Alerts.Mail; m != nil {
		way, err := m.way(c.path, log)
		if err != nil {
			return nil, wrongUsage(fmt.Errorf("%s: [alerts.mail]: %w", c.path, err))
		}
		list = append(list, way)
	}
	for i, h := range c.Alerts.Webhook {
		if h == nil {
			h = new(hookConfig)
		}
		way, err := h.way(c.path, log)
		if err != nil {
			return nil, wrongUsage(fmt.Errorf("%s: [[alerts.webhook]], the %d. of them: %w", c.path, i+1, err))
		}
		if slices.ContainsFunc(list, func(w alerts.Way) bool { return w.Name() == way.Name() }) {
			return nil, withHint(wrongUsage(fmt.Errorf("%s: two ways to tell alerts are called %q", c.path, way.Name())), "give one a name: name = \"night shift\"")
		}
		list = append(list, way)
	}
	return list, nil
}

func (m *mailConfig) way(path string, log *slog.Logger) (alerts.Way, error) {
	if m.Server == "" {
		return nil, withHint(errors.New("it has no server"), "write server = \"smtps://USER@HOST\", or \"smtp+insecure://localhost\" for this computer's own")
	}
	server, err := accounts.Parse(m.Server)
	if err != nil {
		return nil, err
	}
	if s := server.Scheme; s != accounts.SMTPS && s != accounts.SMTP && s != accounts.SMTPInsecure {
		return nil, withHint(fmt.Errorf("server: mail cannot be handed to %s", s), "write server = \"smtps://USER@HOST\"")
	}
	server.CA = beside(path, server.CA)
	password, err := secretFrom("password", path, "", m.PasswordFile, m.PasswordCommand, log)
	switch {
	case err != nil:
		return nil, err
	case server.User != "" && password == nil:
		return nil, withHint(fmt.Errorf("where is the password of %s?", server.User), "write password-file or password-command; or leave the user out of the server's URL")
	case server.User == "" && password != nil:
		return nil, withHint(errors.New("there is a password, and nobody to log in"), "write server = \"smtps://USER@%s\"", server.Host)
	case m.From == "":
		return nil, withHint(errors.New("it has no sender"), "write from = \"restante@example.org\"")
	case len(m.To) == 0:
		return nil, withHint(errors.New("it goes to nobody"), "write to = [\"admin@example.org\"]")
	}
	way, err := ways.NewMail(server, password, m.From, m.To, hostname())
	if err != nil {
		return nil, withHint(err, "addresses look like admin@example.org, or Admins <admin@example.org>")
	}
	return way, nil
}

func (h *hookConfig) way(path string, log *slog.Logger) (alerts.Way, error) {
	o := ways.HookOptions{Form: ways.Form(cmp.Or(h.Form, string(ways.JSON))), Computer: hostname()}
	o.Label = cmp.Or(h.Name, string(o.Form))
	if !slices.Contains(ways.Forms, o.Form) {
		return nil, withHint(fmt.Errorf("there is no form %q", h.Form), "there are: %s", wordsOf(ways.Forms))
	}
	for _, text := range []string{h.URL, h.FailureURL} {
		if u, err := url.Parse(text); text != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			return nil, withHint(errors.New("its URL cannot be read"), "it begins with https://") // it may be a secret
		}
	}
	if h.FailureURL != "" {
		if o.Form != ways.PingURL {
			return nil, withHint(errors.New("failure-url is for pings"), "write form = \"ping\", or leave it out")
		}
		o.FailureURL = inTheFile(h.FailureURL)
	}
	for _, s := range []struct {
		what, plain, file, command string
		to                         *accounts.Secret
	}{{"url", h.URL, h.URLFile, h.URLCommand, &o.URL}, {"token", "", h.TokenFile, h.TokenCommand, &o.Token}, {"key", "", h.KeyFile, h.KeyCommand, &o.Key}} {
		secret, err := secretFrom(s.what, path, s.plain, s.file, s.command, log)
		if err != nil {
			return nil, err
		}
		*s.to = secret
	}
	switch {
	case o.URL == nil:
		return nil, withHint(errors.New("it has no URL"), "write url = \"https://…\", or url-file where it is a secret, as that of Slack is")
	case o.Form == ways.Matrix && o.Token == nil:
		return nil, withHint(errors.New("Matrix asks for an access token"), "write token-file or token-command")
	}
	for _, e := range h.Events {
		if !slices.Contains(alertable, alerts.Event(e)) {
			return nil, withHint(fmt.Errorf("there is no event %q", e), "there are: %s", wordsOf(alertable))
		}
		o.Events = append(o.Events, alerts.Event(e))
	}
	return ways.NewHook(o)
}

// secretFrom is where one of the three says that a secret is; nil if none does.
func secretFrom(what, path, plain, file, command string, log *slog.Logger) (accounts.Secret, error) {
	if n := len(slices.DeleteFunc([]string{plain, file, command}, func(s string) bool { return s == "" })); n > 1 {
		return nil, withHint(fmt.Errorf("%s: it stands there in two ways", what), "leave %s-file or %s-command out", what, what)
	}
	switch {
	case file != "":
		return accounts.FromFile(beside(path, file), log), nil
	case command != "":
		return accounts.FromCommand(command, commandTimeout), nil
	case plain != "":
		return inTheFile(plain), nil
	}
	return nil, nil
}

// inTheFile is what stands in the configuration itself.
func inTheFile(text string) accounts.Secret {
	return func(context.Context) (string, error) { return text, nil }
}

// wordsOf lists words.
func wordsOf[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, w := range list {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// proveAlerts finds what is wrong with alerts before there is one.
func (c *config) proveAlerts() error {
	if _, err := c.alertOptions(); err != nil {
		return err
	}
	_, err := c.alertWays(nil)
	return err
}

// alerting is what a keeper of alerts is to use with a generation.
func (g *generation) alerting() (o alerts.Options, list []alerts.Account, out []alerts.Way, err error) {
	if o, err = g.config.alertOptions(); err != nil {
		return o, nil, nil, err
	}
	for _, a := range g.list {
		list = append(list, alerts.Account{Name: a.Name, Group: a.Group, Server: a.Server})
	}
	out, err = g.config.alertWays(g.app.log)
	return o, list, out, err
}
