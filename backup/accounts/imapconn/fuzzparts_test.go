package imapconn

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"restante/backup/accounts/peer"
)

// Whatever a set of numbers is, it is refused, or it is ranges in ascending
// order that neither overlap nor touch, and what is written of it reads the same.
func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"1", "1,2,3", "1:3,5,7:*", "3:1,2", "4294967295:1", "0", "1,,2", ":", "1:2:3", "*", "1,*", "4294967296", "5,4,3,2,1", ""} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, fromClient bool) {
		set, ok := parseNumbers(text, fromClient)
		if !ok {
			return
		}
		if len(set) > len(text)/2+1 {
			t.Errorf("%d ranges of %d octets", len(set), len(text))
		}
		for i, x := range set {
			if x.lo == 0 || x.lo > x.hi || i > 0 && (x.lo <= set[i-1].hi || x.lo-1 == set[i-1].hi) {
				t.Fatalf("%q is %v", text, set)
			}
			if !set.has(x.lo) || !set.has(x.hi) {
				t.Errorf("%v has no %v", set, x)
			}
		}
		if again, ok := parseNumbers(set.append(nil), false); !ok || !slices.Equal(again, set) {
			t.Errorf("%q is %v, and written anew %v, %v", text, set, again, ok)
		}
	})
}

// Whatever a server says of a message's labels, they are refused, or come back
// as they are when they are written as a server would.
func FuzzLabels(f *testing.F) {
	for _, s := range []string{
		`()`, `("\\Inbox" "\\Important" foo "a b" [x] foo)`, `("\\Starred" \Sent Entw&APw-rfe R&-D)`, "(\"say \\\"hi\\\"\" {3}\r\n) ( \"back\\\\slash\")", `("R&D" caf` + "\xe9)",
		"", "NIL", "(foo", `("foo`, "({9}\r\nfoo)", "({2147483647}\r\n)", "({0}\r\n)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		labels, err := Labels(raw)
		if err != nil {
			if peer.Text(err.Error()) != err.Error() {
				t.Errorf("shown as %q", err)
			}
			return
		}
		total, written := 0, []byte("(")
		for i, l := range labels {
			total += len(l)
			if slices.Contains(labels[:i], l) {
				t.Errorf("%q has %q twice", labels, l)
			}
			if strings.ContainsAny(l, "\x00\r\n") || !utf8.ValidString(l) {
				return // such a one cannot be written
			}
			written = append(quote(written, EncodeName(l)), ' ')
			if strings.HasPrefix(l, aliasPrefix) {
				return // or would be another
			}
		}
		if total > 3*len(raw) {
			t.Errorf("%d octets make %d", len(raw), total)
		}
		if again, err := Labels(string(written) + ")"); err != nil || !slices.Equal(again, labels) {
			t.Errorf("%q is %q, and written anew %q, %v", raw, labels, again, err)
		}
	})
}

// Whatever ends an answer, what is made of it is read the same once more, and has
// text that can be shown.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		"OK done", "NO [LIMIT] too many", "OK [APPENDUID 38505 3955] x", "OK [PERMANENTFLAGS (a]b \\*)] x", "NO [x", "OK [] x", "BYE \x1b[2J\x9b", " OK  [ALERT]  [x] y", "",
		"no [INUSE] \xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.ContainsAny(line, "\r\n") {
			return // lines have none
		}
		c, args := parseCondition(line)
		if peer.Text(c.text) != c.text || c.code != "" && !isAtom([]byte(c.code)) {
			t.Errorf("%q is %+v", line, c)
		}
		if c.status == "" || bytes.ContainsAny([]byte(c.status), "\t\x00") {
			return
		}
		written := appendCondition(nil, "T1", c, args)
		again, moreArgs := parseCondition(bytes.TrimSuffix(bytes.TrimPrefix(written, []byte("T1 ")), []byte("\r\n")))
		if again.code != c.code || again.text != c.text || !bytes.Equal(moreArgs, args) {
			t.Errorf("%q is %+v %q, and written anew %+v %q", line, c, args, again, moreArgs)
		}
	})
}

// Whatever a server calls its folders and its namespaces, the levels of a name
// join into that name, or its octets are kept.
func FuzzLevels(f *testing.F) {
	for _, s := range [][3]string{
		{"INBOX.Sent", "INBOX.", ""}, {"INBOX", "INBOX.", ""}, {"INBOX.inbox.x", "INBOX.", ""}, {"user.bob.Sent", "", "user."}, {"", "", ""}, {"..", ".", ""},
		{AliasName([]byte("caf\xe9.x")), "", ""}, {"inbox.INBOX", "", "inbox."},
	} {
		f.Add(s[0], s[1], s[2], '.')
		f.Add(s[0], s[1], s[2], '/')
	}
	f.Fuzz(func(t *testing.T, name, prefix, other string, delimiter rune) {
		if name == "" || !utf8.ValidString(name) || !utf8.ValidRune(delimiter) || delimiter > 0x7e || delimiter != 0 && delimiter < ' ' {
			return // LIST gives no such names, nor go-imap such delimiters
		}
		n := Namespaces{Prefix: prefix, Delimiter: delimiter}
		if other != "" {
			n.Others = []string{other}
		}
		levels, raw := n.Levels(name, delimiter)
		if len(levels) == 0 || len(levels) > mostLevels {
			t.Fatalf("%q has the levels %q", name, levels)
		}
		if raw == nil && n.Join(levels, delimiter) != name {
			t.Errorf("%q has the levels %q, which make %q", name, levels, n.Join(levels, delimiter))
		}
		if raw != nil && DecodeName(raw) != name && !strings.EqualFold(name, "INBOX") && !strings.HasPrefix(name, aliasPrefix) {
			t.Errorf("%q is kept as %q, which is %q", name, raw, DecodeName(raw))
		}
	})
}

// Whatever a name is, what goes out for it and comes back is that name.
func FuzzEncodeName(f *testing.F) {
	for _, s := range []string{"INBOX", "R&D", "Entwürfe", "日本語", "=raw=41", "a\x00b", "😀", "&", "&-", "\ufffd", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name := NameOf(text)
		octets := EncodeName(name)
		if again := DecodeName(octets); again != name && !strings.EqualFold(name, "INBOX") {
			t.Errorf("%q is sent as %q, which is %q", name, octets, again)
		}
		if utf8.ValidString(text) && !strings.HasPrefix(name, aliasPrefix) && name != text && !strings.EqualFold(text, "INBOX") {
			t.Errorf("%q is called %q", text, name)
		}
		raw, isRaw := RawName(AliasName([]byte(text)))
		if len(text) <= maxAliased && (!isRaw || string(raw) != text) {
			t.Errorf("the alias of %q stands for %q", text, raw)
		}
	})
}

// Whatever a server says of a token, it is shown in one line.
func FuzzTokenRefused(f *testing.F) {
	for _, s := range []string{`{"status":"invalid_token","scope":"mail"}`, `{"status":"401","schemes":"Bearer","scope":"https://mail.google.com/"}`, `{"status":{"a":["\u001b[2J"]}}`, `{"status":"\u009b"}`, "", "\xff", "[1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, challenge string) {
		why, hint := tokenRefused(challenge)
		for _, s := range []string{why, hint} {
			if peer.Text(s) != strings.TrimSpace(s) || len(s) > 1500 {
				t.Errorf("%q is shown as %q", challenge, s)
			}
		}
	})
}

// Whatever a server says that it is, at most thirty fields are kept, in text
// that can be shown.
func FuzzID(f *testing.F) {
	for _, s := range []string{`("name" "Dovecot" "version" NIL)`, "NIL", "(", `("a" "\x1b")`, strings.Repeat(`("a" "b" `, 40), "(\"a\" {3}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &scan{in: newInput(strings.NewReader("x\x1b)\r\n"), limits{line: 4096, inline: 4096, depth: 10}), b: text}
		id := new(session).readID(s)
		for name, value := range id {
			if peer.Text(name) != strings.TrimSpace(name) || peer.Text(value) != value {
				t.Errorf("%q = %q", name, value)
			}
		}
		if len(id) > 30 {
			t.Errorf("%d fields", len(id))
		}
	})
}
