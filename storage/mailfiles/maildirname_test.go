package mailfiles

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var someKeywords = keywordTable{0: "$Forwarded", 1: "NonJunk", 2: "bad(name", 25: "last"}

func TestNamesOfMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, unique string
		flags        []string
		lost         string
	}{
		{"1.M2P3.host", "1.M2P3.host", nil, ""},
		{"1.host:2,", "1.host", nil, ""},
		{"1.host:2,DFPRST", "1.host", []string{`\Draft`, `\Flagged`, "$Forwarded", `\Answered`, `\Seen`, `\Deleted`}, ""},
		{"1.host,S=12,W=13:2,S", "1.host,S=12,W=13", []string{`\Seen`}, ""},
		{"1.kurkku;2,FP", "1.kurkku", []string{`\Flagged`, "$Forwarded"}, ""},
		{"1.mindcrime!2,RS", "1.mindcrime", []string{`\Answered`, `\Seen`}, ""},
		{"1.host;2,RDF,", "1.host", []string{`\Answered`, `\Draft`, `\Flagged`}, ""},
		{"1.host:2,S,U=17", "1.host", []string{`\Seen`}, ""}, // a comma ends the letters
		{"1.host:2,Sabz", "1.host", []string{`\Seen`, "$Forwarded", "NonJunk", "last"}, ""},
		{"1.host:2,Pa", "1.host", []string{"$Forwarded"}, ""}, // twice the same
		{"1.host:2,STln", "1.host", []string{`\Seen`, `\Deleted`}, "ln"},
		{"1.host:2,Sc", "1.host", []string{`\Seen`}, "c"}, // a keyword that is no atom
		{"1.host:2,XS9", "1.host", []string{`\Seen`}, "X9"},
		{"1.host:1,S", "1.host", nil, ""}, // experimental
		{"1.host:S", "1.host", nil, ""},
		{"1.h;2,ost:2,S", "1.h;2,ost", []string{`\Seen`}, ""},
		{":2,S", "", []string{`\Seen`}, ""},
		{"", "", nil, ""},
	} {
		unique, letters := splitName(c.name)
		flags, lost := flagsOf(letters, someKeywords)
		if unique != c.unique || !slices.Equal(flags, c.flags) || lost != c.lost {
			t.Errorf("%q: unique %q, flags %q, lost %q, want %q, %q, %q", c.name, unique, flags, lost, c.unique, c.flags, c.lost)
		}
	}
}

func TestUniqueNames(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"vm": "vm", "a.example.org": "a.example.org", "a/b:c": `a\057b\072c`, "..": `\056.`, ".x": `\056x`, "": "localhost", "ü;,\n": `\303\274\073\054\012`,
	} {
		if got := hostPart(host); got != want && infoSeparator == ":" {
			t.Errorf("hostPart(%q) = %q, want %q", host, got, want)
		}
	}
	now := time.Unix(1700000000, 123456789)
	a, b := newUnique(now), newUnique(now)
	if a == b || !strings.HasPrefix(a, "1700000000.M123456P") {
		t.Errorf("two names made in the same moment: %q and %q", a, b)
	}
}

func FuzzMaildirNames(f *testing.F) {
	f.Add("1.host:2,S")
	f.Add("1.host;2,RDF,")
	f.Add("a:2,b!2,S")
	f.Fuzz(func(t *testing.T, name string) {
		unique, letters := splitName(name)
		if !strings.HasPrefix(name, unique) || strings.Contains(letters, ",") {
			t.Fatalf("%q: unique %q, letters %q", name, unique, letters)
		}
		flags, _ := flagsOf(letters, someKeywords)
		upper, keywords, lost := sortFlags(flags)
		if len(lost) > 0 {
			t.Fatalf("%q has flags %q, and %q cannot be written", name, flags, lost)
		}
		// Written again under any clean unique name, the flags are the same.
		again := "1.host:2," + upper
		for _, k := range keywords {
			again += string(rune(someKeywords.letter(k)))
		}
		_, letters = splitName(again)
		back, rest := flagsOf(letters, someKeywords)
		slices.Sort(flags)
		slices.Sort(back)
		if rest != "" || !slices.Equal(flags, back) {
			t.Fatalf("%q has %q, written %q it has %q", name, flags, again, back)
		}
	})
}

func TestFlagsAreSorted(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 256)
	letters, keywords, lost := sortFlags([]string{long, `\seen`, `\RECENT`, "$forwarded", "Junk", "junk", `\Foo`, "a b", "x\n0 y", `\Deleted`, "", "ü", "(", `q"`})
	if letters != "PST" || !slices.Equal(keywords, []string{"Junk"}) || !slices.Equal(lost, []string{long, `\Foo`, "a b", "x\n0 y", "", "ü", "(", `q"`}) {
		t.Errorf("letters %q, keywords %q, lost %q", letters, keywords, lost)
	}
}
