package ways

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/backup/accounts"
	"restante/schedules/alerts"
)

// A Form is what a webhook makes of a message.
type Form string

// The forms there are.
const (
	JSON    Form = "json"   // a Document
	Slack   Form = "slack"  // an incoming webhook of Slack or Mattermost: {"text": …}
	Matrix  Form = "matrix" // PUT of an m.room.message; the URL is that of …/rooms/ROOM/send/m.room.message
	Ntfy    Form = "ntfy"   // POST of the text, the title in a header
	PingURL Form = "ping"   // POST to the URL when all is well, to another one when not
)

// Forms are all of them.
var Forms = []Form{JSON, Slack, Matrix, Ntfy, PingURL}

// HookOptions say what a webhook is.
type HookOptions struct {
	// Label is its name in logs and in the database; the URL's host if empty.
	Label string
	// URL is asked for each time: that of Slack is a secret.
	URL  accounts.Secret
	Form Form
	// FailureURL is where a ping goes when something is open; the URL and /fail,
	// as Healthchecks has it, if nil.
	FailureURL accounts.Secret
	// Key signs what is sent; nil: it is not signed. The header
	// X-Restante-Signature is "t=SECONDS,v1=HEX": the HMAC-SHA-256 of SECONDS, a
	// dot and the body, in hexadecimal digits.
	Key accounts.Secret
	// Token is sent in the header Authorization, as Bearer; nil: none is.
	Token accounts.Secret
	// Events are those that it takes; nil: those that fit the form.
	Events   []alerts.Event
	Computer string
	// Timeout bounds one request; 0 for 15 s. Tries is how often one is sent before
	// that is a failure; 0 for 3. Pause is how long it waits after the first, and
	// double after each; 0 for a second.
	Timeout time.Duration
	Tries   int
	Pause   time.Duration
	Client  *http.Client // nil: a usual one
}

// A Hook is a webhook.
type Hook struct {
	o HookOptions
}

// NewHook returns a way to a URL.
func NewHook(o HookOptions) (*Hook, error) {
	o.Form = cmp.Or(o.Form, JSON)
	if !slices.Contains(Forms, o.Form) {
		return nil, fmt.Errorf("there is no form %q", o.Form)
	}
	if o.URL == nil || o.Label == "" {
		return nil, errors.New("a webhook needs a URL and a name")
	}
	o.Timeout, o.Tries, o.Pause = cmp.Or(o.Timeout, 15*time.Second), cmp.Or(o.Tries, 3), cmp.Or(o.Pause, time.Second)
	if o.Client == nil {
		// What is signed is for the one whose URL it is, and for nobody else.
		o.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Hook{o}, nil
}

// Name implements alerts.Way.
func (h *Hook) Name() string { return h.o.Label }

// Takes implements alerts.Way.
func (h *Hook) Takes(e alerts.Event) bool {
	switch {
	case e == alerts.Test:
		return true
	case h.o.Events != nil:
		return slices.Contains(h.o.Events, e)
	case h.o.Form == PingURL:
		return e == alerts.Ping || e == alerts.Opened
	}
	return e != alerts.Ping && e != alerts.Report
}

// Send implements alerts.Way. What may pass is tried again, with pauses.
func (h *Hook) Send(ctx context.Context, m alerts.Message) error {
	pause := h.o.Pause
	for try := 1; ; try++ {
		err, lasting := h.once(ctx, m)
		if err == nil || lasting || try == h.o.Tries || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		pause *= 2
	}
}

// once sends a request. Nothing of its URL but the host is in the error.
func (h *Hook) once(ctx context.Context, m alerts.Message) (err error, lasting bool) {
	where, err := h.o.URL(ctx)
	if err != nil {
		return fmt.Errorf("the URL of the webhook: %w", err), false
	}
	method, kind, body := http.MethodPost, "application/json", []byte(nil)
	header := http.Header{}
	switch h.o.Form {
	case JSON:
		body, err = json.Marshal(document(m, h.o.Computer))
	case Slack:
		body, err = json.Marshal(map[string]string{"text": "*" + plainSlack(m.Title) + "*\n```" + plainSlack(m.Text) + "```"})
	case Matrix:
		method = http.MethodPut
		where = strings.TrimSuffix(where, "/") + "/" + transaction(m)
		body, err = json.Marshal(map[string]string{"msgtype": "m.text", "body": m.Title + "\n\n" + m.Text})
	case Ntfy:
		kind, body = "text/plain; charset=utf-8", []byte(m.Text)
		header.Set("Title", headerText(m.Title))
		header.Set("Tags", map[alerts.Event]string{alerts.Opened: "warning", alerts.Repeated: "warning", alerts.Cleared: "white_check_mark"}[m.Event])
		if m.Event == alerts.Opened {
			header.Set("Priority", "high")
		}
	case PingURL:
		kind, body = "text/plain; charset=utf-8", []byte(m.Title)
		if m.Open > 0 && m.Event != alerts.Test {
			if h.o.FailureURL == nil {
				where, err = failureOf(where)
			} else if where, err = h.o.FailureURL(ctx); err != nil {
				return fmt.Errorf("the URL of the ping: %w", err), false
			}
		}
	}
	if err != nil {
		return fmt.Errorf("write the message: %w", err), true
	}
	u, err := url.Parse(where)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("the URL of the webhook cannot be read; it begins with https://"), true // it may be a secret
	}
	within, cancel := context.WithTimeoutCause(ctx, h.o.Timeout, fmt.Errorf("no answer within %v", h.o.Timeout))
	defer cancel()
	r, err := http.NewRequestWithContext(within, method, where, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL of the webhook cannot be read"), true
	}
	r.Header = header
	r.Header.Set("Content-Type", kind)
	r.Header.Set("User-Agent", "restante")
	if err := h.prove(within, r, body, m.Time); err != nil {
		return err, false
	}
	answer, err := h.o.Client.Do(r)
	if err != nil {
		if cause := context.Cause(within); cause != nil {
			err = cause
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the URL
		}
		return fmt.Errorf("%s: %w", u.Host, err), false
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // what it says may hold what it was sent
	if answer.StatusCode/100 == 2 {
		return nil, false
	}
	passes := answer.StatusCode/100 == 5 || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout
	return fmt.Errorf("%s answers %d %s", u.Host, answer.StatusCode, http.StatusText(answer.StatusCode)), !passes
}

// SignatureHeader is the header with the signature.
const SignatureHeader = "X-Restante-Signature"

// prove adds the token and the signature.
func (h *Hook) prove(ctx context.Context, r *http.Request, body []byte, at time.Time) error {
	if h.o.Token != nil {
		token, err := h.o.Token(ctx)
		if err != nil {
			return fmt.Errorf("the token of the webhook: %w", err)
		}
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return errors.New("the token of the webhook has characters that no header takes")
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if h.o.Key != nil {
		key, err := h.o.Key(ctx)
		if err != nil {
			return fmt.Errorf("the key of the webhook: %w", err)
		}
		r.Header.Set(SignatureHeader, Sign([]byte(key), body, at))
	}
	return nil
}

// Sign is the value of the header X-Restante-Signature.
func Sign(key, body []byte, at time.Time) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// transaction is the same for the same message, so that one that is sent again
// stands in the room once.
func transaction(m alerts.Message) string {
	sum := sha256.Sum256([]byte(string(m.Event) + "\x00" + m.Topic + "\x00" + m.Title + "\x00" + m.Time.UTC().Format(time.RFC3339Nano)))
	return "restante-" + hex.EncodeToString(sum[:12])
}

// failureOf is where Healthchecks hears that something failed.
func failureOf(where string) (string, error) {
	u, err := url.Parse(where)
	if err != nil {
		return "", errors.New("the URL cannot be read")
	}
	return u.JoinPath("fail").String(), nil
}

// plainSlack keeps text from being taken for links and mentions.
func plainSlack(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "```", "'''").Replace(s)
}

// headerText is text as ntfy takes it in a header: UTF-8, without line ends.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
