package rawimap

import (
	"strings"
	"testing"
)

// show writes values as text, strings and atoms alike in <>.
func show(values []value) string {
	var parts []string
	for _, v := range values {
		switch {
		case v.isList:
			parts = append(parts, "("+show(v.list)+")")
		case v.isNil:
			parts = append(parts, "nil")
		default:
			parts = append(parts, "<"+v.text+">")
		}
	}
	return strings.Join(parts, " ")
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, in, want string }{
		{"atoms", `* LIST () NIL INBOX`, `<*> <LIST> () nil <INBOX>`},
		{"quoted strings with escapes", `"say \"hi\"" "a\\b" ""`, `<say "hi"> <a\b> <>`},
		{"a quoted NIL is a string", `"NIL" nil`, `<NIL> nil`},
		{"nested lists", `(a (b) () "c")`, `(<a> (<b>) () <c>)`},
		{"a literal may hold anything", "BODY[] {9}\r\na) \"{3}\r\n)", ""},
		{"a literal in a list", "(BODY[] {6}\r\n\"(\r\n\\{ UID 7)", "(<BODY[]> <\"(\r\n\\{> <UID> <7>)"},
		{"an empty literal", "(BODY[] {0}\r\n)", `(<BODY[]> <>)`},
		{"a list without end", `(a (b)`, ""},
		{"an end without list", `a) b`, ""},
		{"a quoted string without end", `"abc\"`, ""},
		{"a quoted string that ends in a backslash", `"abc\`, ""},
		{"a literal longer than what is there", "{5}\r\nabc", ""},
		{"a literal with a negative length", "{-1}\r\nabc", ""},
		{"lists without bottom", strings.Repeat("(", 1000), ""},
	} {
		got, err := parse(c.in)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: %q gives %s, want an error", c.what, c.in, show(got))
			}
			continue
		}
		if err != nil || show(got) != c.want {
			t.Errorf("%s: %q gives %s, %v, want %s", c.what, c.in, show(got), err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`* LIST (\HasNoChildren \Sent) "/" "a\\b"`)
	f.Add("* 1 FETCH (UID 7 FLAGS (\\Seen) BODY[] {3}\r\na\r\n)")
	f.Fuzz(func(t *testing.T, in string) {
		values, err := parse(in)
		if err != nil {
			return
		}
		n := 0
		var count func([]value)
		count = func(values []value) {
			for _, v := range values {
				n += len(v.text)
				count(v.list)
			}
		}
		count(values)
		if n > len(in) {
			t.Errorf("%q gives %d octets of text", in, n)
		}
	})
}

func TestEncodeName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, want string }{
		{"INBOX", "INBOX"},
		{"R&D", "R&-D"},
		{"Entwürfe", "Entw&APw-rfe"},
		{"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"}, // RFC 3501 section 5.1.3
		{"a\tb", "a&AAk-b"},
		{"é&é", "&AOk-&-&AOk-"},
		{"👋", "&2D3cSw-"},
	} {
		if got := EncodeName(c.name); got != c.want {
			t.Errorf("%q is encoded as %q, want %q", c.name, got, c.want)
		}
	}
}
