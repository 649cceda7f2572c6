package messages

import (
	"bytes"
	"io"
	"math/rand"
	"strings"
	"testing"
)

func TestLineEnds(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewSource(1))
	texts := []string{"", "\r", "\n", "\r\n", "x", "x\r\ny\r\n", "x\r\ny\n", "\n\r", "\r\r\n", "\r\n\r", "\r\nx\ry\r\n"}
	for range 2000 {
		var b strings.Builder
		for range rnd.Intn(8) {
			b.WriteString([]string{"\r\n", "\r\n", "\r\n", "x", "\r", "\n"}[rnd.Intn(6)])
		}
		texts = append(texts, b.String())
	}
	for _, text := range texts {
		rest := strings.ReplaceAll(text, "\r\n", "")
		want := strings.Contains(text, "\r\n") && !strings.ContainsAny(rest, "\r\n")
		for cut := range len(text) + 1 {
			var l lineEnds
			l.add([]byte(text[:cut]))
			l.add([]byte(text[cut:]))
			if l.crlf() != want || want && l.count != int64(strings.Count(text, "\n")) {
				t.Errorf("%q and %q: %v with %d line ends, want %v", text[:cut], text[cut:], l.crlf(), l.count, want)
			}
		}
	}
}

func TestDropCR(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", "\r", "x\r\n", "\r\n\r\n", "a\r\nbc\r\n\r\nd", "\r\r\r"} {
		if got, want := string(dropCR([]byte(text))), strings.ReplaceAll(text, "\r", ""); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// Whatever the size of a window, it goes over the same text.
func TestWindowGoesOverTheText(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewSource(1))
	for range 300 {
		var b strings.Builder
		for range rnd.Intn(200) {
			b.WriteString([]string{"\r\n", "\r\n", "line", "a longer line of text", strings.Repeat("x", 100)}[rnd.Intn(5)])
		}
		m := b.String()
		text := m
		if strings.Contains(m, "\n") {
			text = strings.ReplaceAll(m, "\r\n", "\n")
		}
		w := window{limit: []int{64, 256, windowSize}[rnd.Intn(3)]}
		if err := w.open(strings.NewReader(m), int64(len(m))); err != nil {
			t.Fatal(err)
		}
		if w.length != int64(len(text)) {
			t.Fatalf("%q: length is %d, want %d", m, w.length, len(text))
		}
		for range 2 {
			var got bytes.Buffer
			for {
				if w.offset() != int64(got.Len()) {
					t.Fatalf("offset is %d after %d octets", w.offset(), got.Len())
				}
				first := got.Len() == 0 || strings.HasSuffix(got.String(), "\n")
				line, err := w.line()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if w.first != first || len(line) > w.fragment() || len(line)%4 != 0 && w.end == 0 && w.offset() != w.length {
					t.Fatalf("line %q, first is %v, its end has %d octets", line, w.first, w.end)
				}
				got.Write(line)
				got.WriteString("\n"[:w.end])
				if n := w.endBefore(); w.end > 0 && n != int64(w.end) {
					t.Fatalf("a line end of %d octets before, want %d", n, w.end)
				}
			}
			if got.String() != text {
				t.Fatalf("lines give %q, want %q", got.Bytes(), text)
			}
			w.rewind()
			got.Reset()
			for {
				p, err := w.need(1 + rnd.Intn(w.limit/2))
				if err != nil {
					t.Fatal(err)
				}
				if len(p) == 0 {
					break
				}
				got.Write(p)
			}
			if got.String() != text {
				t.Fatalf("need gives %q, want %q", got.Bytes(), text)
			}
			w.rewind()
		}
	}
}
