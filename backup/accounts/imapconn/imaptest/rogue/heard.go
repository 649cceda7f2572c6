package rogue

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
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
