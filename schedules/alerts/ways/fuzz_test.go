package ways

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/mail"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"restante/schedules/alerts"
	"restante/schedules/queue"
)

// FuzzMail: whatever an alert says, the mail about it is one message of short
// lines in ASCII, whose header has our fields and no others.
func FuzzMail(f *testing.F) {
	f.Add("212 accounts cannot log in", "text\n", "opened")
	f.Add("Grüße\r\nBcc: x@example.org", "\r\n.\r\nMAIL FROM:<>\r\n", "x\ny")
	f.Add(strings.Repeat("日本", 200), strings.Repeat("x", 2000), "")
	f.Add("\x00\xff", "\x00\xff\r", "test")
	from := &mail.Address{Name: "Restante", Address: "restante@example.org"}
	m := &Mail{from: from, to: []*mail.Address{{Address: "admin@example.org"}}, host: "example.org", computer: "here"}
	f.Fuzz(func(t *testing.T, title, text, event string) {
		switch alerts.Event(event) { // there are no others
		case alerts.Opened, alerts.Repeated, alerts.Cleared, alerts.Report, alerts.Ping, alerts.Test:
		default:
			event = string(alerts.Opened)
		}
		octets, err := m.write(alerts.Message{Event: alerts.Event(event), Title: title, Text: text, Time: time.Unix(1_700_000_000, 0).UTC()})
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(octets) {
			if len(line) > 1000 || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.ContainsFunc(line, func(r rune) bool { return r >= 0x7f || r < ' ' && r != '\r' && r != '\n' && r != '\t' }) {
				t.Errorf("the line %q", line)
			}
		}
		read, err := mail.ReadMessage(bytes.NewReader(octets))
		if err != nil {
			t.Fatalf("%q: %v", octets, err)
		}
		if len(read.Header) != 10 || len(read.Header["Subject"]) != 1 {
			t.Errorf("the header %q", read.Header)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(read.Header.Get("Subject"))
		if err != nil || title != "" && len(title) < 200 && utf8.ValidString(title) && strings.TrimSpace(title) == title && !strings.ContainsAny(title, "\r\n") && !strings.Contains(title, "=?") && !strings.Contains(title, "  ") && subject != "[restante] "+title {
			t.Errorf("the subject %q is %q, %v", title, subject, err)
		}
	})
}

// FuzzDocument: whatever an alert says, a webhook's document is JSON, and read
// again it is the same.
func FuzzDocument(f *testing.F) {
	f.Add("title", "text\n", "alice@example.org", 3)
	f.Add("\xff\u2028", "\x00", "\"", 200)
	f.Fuzz(func(t *testing.T, title, text, account string, n int) {
		list := make([]queue.Alert, min(max(n, 0), 300))
		for i := range list {
			list[i] = queue.Alert{Kind: "failure", Account: account, Text: text}
		}
		b, err := json.Marshal(document(alerts.Message{Event: alerts.Opened, Title: title, Text: text, List: list}, "here"))
		if err != nil {
			t.Fatal(err)
		}
		var d Document
		if err := json.Unmarshal(b, &d); err != nil || d.Count != len(list) || len(d.Alerts) > mostAlerts || utf8.ValidString(title) && d.Title != title {
			t.Errorf("%s, %v", b, err)
		}
	})
}

// FuzzAddressOfAHook: what a URL is made to be for a failure is at the same host,
// and a text for a header has no line ends.
func FuzzAddressOfAHook(f *testing.F) {
	for _, s := range []string{"https://hc-ping.com/uuid", "https://user:pass@host/x?y#z", "https://host", "http://[::1]:80/", "%", "https://host/a/../..//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, where string) {
		if to, err := failureOf(where); err == nil {
			before, err := url.Parse(where)
			after, errAfter := url.Parse(to)
			if err != nil || errAfter != nil || before.Scheme != after.Scheme || before.Host != "" && before.Host != after.Host {
				t.Errorf("%q fails at %q: %v, %v", where, to, err, errAfter)
			}
		} else if len(where) > 3 && strings.Contains(err.Error(), where) {
			t.Errorf("the error has the URL, which may be a secret: %v", err)
		}
		if text := headerText(where); strings.ContainsAny(text, "\r\n\x00\x7f") {
			t.Errorf("%q", text)
		}
		if text := plainSlack(where); strings.ContainsAny(text, "<>") {
			t.Errorf("%q", text)
		}
	})
}
