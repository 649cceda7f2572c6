package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinesOfProgressFit(t *testing.T) {
	m := moment{texts: []string{"alice@mail.example.org: 1/2 folders, 17,168/20,000 messages", "alice@mail.example.org: 17,168/20,000 messages", "17,168/20,000 messages"}, done: 1, total: 2}
	for most, want := range map[int]string{
		100: "[============------------] alice@mail.example.org: 1/2 folders, 17,168/20,000 messages",
		72:  "[=====-----] alice@mail.example.org: 1/2 folders, 17,168/20,000 messages",
		71:  "[===========-----------] alice@mail.example.org: 17,168/20,000 messages",
		35:  "[=====-----] 17,168/20,000 messages",
		34:  "17,168/20,000 messages",
		10:  "17,168/20…",
	} {
		if got := m.line(most); got != want {
			t.Errorf("in %d columns: %q", most, got)
		}
	}
	m.done = 7 // more than was thought
	if got := m.line(35); got != "[==========] 17,168/20,000 messages" {
		t.Error(got)
	}
	unknown := moment{texts: []string{"家族\x1b[31m: listing", "listing"}}
	for most, want := range map[int]string{18: "家族 [31m: listing", 17: "listing", 5: "list…"} {
		if got := unknown.line(most); got != want {
			t.Errorf("in %d columns: %q", most, got)
		}
	}
}

// What is written while a line is painted stands on lines of its own.
func TestWritingTakesThePaintedLineAway(t *testing.T) {
	var b bytes.Buffer
	s := &screen{w: &b}
	s.paint("10 of 20")
	s.paint("11 of 20")
	fmt.Fprintln(s, "restante: warn: something")
	s.clear()
	s.paint("12 of 20")
	s.clear()
	s.clear()
	want := cleanLine + "10 of 20" + cleanLine + "11 of 20" + cleanLine + "restante: warn: something\n" + cleanLine + "12 of 20" + cleanLine
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no time passes between these lines
		p := pace{begun: time.Now().Add(-10 * time.Second)}
		if got := p.rate(50 << 20); got != ", 5.0 MiB/s" {
			t.Error(got)
		}
		if got := p.left(25, 100); got != ", 30s left" {
			t.Error(got)
		}
		if got := p.left(0, 100) + p.left(100, 100) + p.rate(0) + (pace{time.Now()}).left(1, 2); got != "" {
			t.Error(got)
		}
	})
}

func TestVisibleText(t *testing.T) {
	text := "Subject: ä\x1b[31m\r\nbell\a, \tdelete\x7f, bare \r cr, 8-bit \xff, C1 \u009b31m, \u202eturned\r"
	want := "Subject: ä^[[31m\nbell^G, \tdelete^?, bare ^M cr, 8-bit \ufffd, C1 <009B>31m, <202E>turned^M"
	for size := 1; size <= len(text); size++ { // however it comes
		var b strings.Builder
		v := &visibleWriter{w: &b}
		for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if _, err := v.Write(rest[:min(size, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.flush(); err != nil || b.String() != want {
			t.Fatalf("in pieces of %d: %q, %v", size, b.String(), err)
		}
	}
}

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"alice@mail.example.org": "alice@mail.example.org", "INBOX": "INBOX", "": "''", "Lists/**": "'Lists/**'",
		"imaps://a@h?ca=x": "'imaps://a@h?ca=x'", "it's $HOME": `'it'\''s $HOME'`,
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: %s", word, got)
		}
	}
}
