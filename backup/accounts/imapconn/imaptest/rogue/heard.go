package rogue

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"unicode"
)

// Heard is text that nothing secret may be in.
type Heard struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (h *Heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.text.Len() < 4<<20 {
		h.text.Write(p)
	}
	return len(p), nil
}

func (h *Heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// Tapped is the client's end of a line, of which it is kept what goes out, as it
// is on the wire.
type Tapped struct {
	net.Conn
	Said *Heard
}

func (t *Tapped) Write(p []byte) (int, error) {
	t.Said.Write(p)
	return t.Conn.Write(p)
}

// A PlainLog keeps what is logged without escaping anything of it.
type PlainLog struct{ To *Heard }

func (l PlainLog) Enabled(context.Context, slog.Level) bool { return true }
func (l PlainLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l PlainLog) WithGroup(string) slog.Handler            { return l }
func (l PlainLog) Handle(_ context.Context, r slog.Record) error {
	said := r.Message
	r.Attrs(func(a slog.Attr) bool { said += fmt.Sprintf(" %s=%v", a.Key, a.Value); return true })
	fmt.Fprintln(l.To, said)
	return nil
}

// Secrets are the forms in which the password goes over the wire.
func Secrets() (list []string) {
	for _, s := range []string{Password, "\x00alice\x00" + Password,
		"n,a=alice,\x01auth=Bearer " + Password + "\x01\x01", "user=alice\x01auth=Bearer " + Password + "\x01\x01"} {
		list = append(list, s, base64.StdEncoding.EncodeToString([]byte(s)))
	}
	return list
}

// Unfit finds what must not be shown to people: secrets, and characters that
// command a terminal or turn the direction of writing.
func Unfit(text string) string {
	for _, s := range Secrets() {
		if i := strings.Index(text, s); i >= 0 {
			return fmt.Sprintf("it shows the password: %.200q", text[max(0, i-80):])
		}
	}
	if i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r))
	}); i >= 0 {
		return fmt.Sprintf("it shows control characters: %.200q", text[max(0, i-80):])
	}
	return ""
}

// Many are so many lines of a format, which may have their number in it.
func Many(n int, format string) string {
	if !strings.Contains(format, "%") {
		return strings.Repeat(format+"\r\n", n)
	}
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+"\r\n", i+1)
	}
	return b.String()
}

// Evil is what drives a terminal, turns the direction of writing and tells the
// password.
const Evil = "\x1b[2J\x1b]0;owned\x07\u009b31m\u202edlrow\u2066\x00 " + Password
