package messages

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what recipes look like now to testdata")

// Every message in testdata has a file beside it that says how it is cut. A
// change there changes what is stored once and what is stored anew for every
// mailbox that is already in a repository: it wants a reason.
func TestCutsAreAsTheyWere(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) < 12 {
		t.Fatalf("%d messages in testdata, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			m, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r, s := splitJoin(t, m)
			got := describeCut(t, r.Recipe, s)
			file := strings.TrimSuffix(name, ".eml") + ".cut"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it is cut differently now:\n%s\nbefore:\n%s", got, want)
			}
		})
	}
}

func long(text string) string { return strings.Repeat(text, 300/len(text)+1) }

func lines(encoded string, n int, end string) string {
	var b strings.Builder
	for len(encoded) > n {
		b.WriteString(encoded[:n] + end)
		encoded = encoded[n:]
	}
	return b.String() + encoded
}

func random(n int) []byte {
	p := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(p)
	return p
}

// What parts messages with a trap in them give: the sizes of content ("c")
// and decoded base64 ("b") in order.
func TestSplitFindsParts(t *testing.T) {
	t.Parallel()
	var (
		a      = long("alpha ") + "\n"
		b      = long("beta ") + "\n"
		data   = encode(random(300))
		data76 = lines(data, 76, "\n")
		mixed  = "Content-Type: multipart/mixed; boundary=x\n\n"
	)
	for _, c := range []struct{ name, m, want string }{
		{"empty", "", ""},
		{"one line end", "\n", ""},
		{"no header", "\n" + a, "c307"},
		{"only a header", "Subject: " + a, ""},
		{"small body", "Subject: x\n\nsmall\n", ""},
		{"body of minPart octets", "\n\n" + strings.Repeat("x", minPart-1), "c256"},
		{"body one short of it", "\n" + strings.Repeat("x", minPart-1), ""},
		{"NUL and 8-bit", "Subject: \x00\xff\n\n\x00" + a + "\x00\xfe", "c310"},
		{"From_ line", "From ann Thu Jan  1 00:00:00 2004\nSubject: x\n\n" + a, "c307"},
		{"header line without colon", "garbage\n" + mixed + "--x\n\n" + a + "--x--\n", "c306"},

		{"multipart", mixed + "--x\n\n" + a + "--x\n\n" + b + "--x--\n", "c306 c305"},
		{"the line end before a boundary is not the part's", mixed + "--x\n\n" + strings.Repeat("y", 256) + "\n--x--\n", "c256"},
		{"CRLF before a boundary among LF", mixed + "--x\n\n" + strings.Repeat("y", 256) + "\r\n--x--\n", "c256"},
		{"never closed", mixed + "--x\n\n" + a + "--x\n\n" + b, "c306 c306"},
		{"boundary never seen", mixed + a, "c307"},
		{"no boundary parameter", "Content-Type: multipart/mixed\n\n" + a, "c307"},
		{"empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\n" + a, "c311"},
		{"quoted boundary", "Content-Type: multipart/mixed; boundary=\"a \\\"b; c\"\n\n--a \"b; c\n\n" + a + "--a \"b; c--\n", "c306"},
		{"folded boundary", "Content-Type: multipart/mixed;\n\tboundary =\n \"x\"\n\n--x\n\n" + a + "--x--\n", "c306"},
		{"boundary in pieces", "Content-Type: multipart/mixed; boundary*1=y; boundary*0=\"x\"\n\n--xy\n\n" + a + "--xy--\n", "c306"},
		{"boundary in escaped pieces", "Content-Type: multipart/mixed; boundary*0*=us-ascii'en'%78; boundary*1=y%; boundary*2*=z\n\n--xy%z\n\n" + a + "--xy%z--\n", "c306"},
		{"boundary with a comment before it", "Content-Type: (a \\) (b)) multipart/mixed (c); (d) boundary=x\n\n--x\n\n" + a + "--x--\n", "c306"},
		{"no semicolon", "Content-Type: multipart/mixed boundary=x\n\n--x\n\n" + a + "--x--\n", "c306"},
		{"name in capitals, space before the colon", "CONTENT-TYPE : MULTIPART/MIXED; BOUNDARY=X\n\n--X\n\n" + a + "--X--\n", "c306"},
		{"the first Content-Type counts", "Content-Type: text/plain\n" + mixed + "--x\n\n" + a + "--x--\n", "c318"},
		{"white space behind boundaries", mixed + "--x \t\n\n" + a + "--x-- \n" + b, "c306 c306"},
		{"text behind a boundary makes it none", mixed + "--xyz\n\n" + a + "--x\n\n" + b + "--x--", "c313 c305"},
		{"preamble and epilogue", mixed + a + "--x\n\nsmall\n--x--\n" + b, "c306 c306"},
		{"boundary in a part's header", mixed + "--x\nSubject: y\n--x\n\n" + a + "--x--\n", "c306"},
		{"closed before it began", mixed + "--x--\n" + a, "c307"},
		{"closed twice", mixed + "--x\n\n" + a + "--x--\n--x--\n" + b, "c306 c312"},
		{"outer boundary ends inner multipart", mixed + "--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\n" + a + "--x\n\n" + b + "--x--\n", "c306 c305"},
		{"inner boundary after the outer one", mixed + "--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\n" + a + "--x\n\n" + b + "--y\n" + b + "--x--\n", "c306 c615"},
		{"equal boundaries, one within the other", mixed + "--x\n" + mixed + "--x\n\n" + a + "--x--\n--x\n\n" + b + "--x--\n", "c306 c305"},
		{"boundary that begins like another", mixed + "--x\nContent-Type: multipart/mixed; boundary=x-\n\n--x-\n\n" + a + "--x---\n--x\n\n" + b + "--x--\n", "c306 c305"},

		{"message", "Content-Type: message/rfc822\n\nSubject: x\n\n" + a, "c307"},
		{"message in a multipart", mixed + "--x\nContent-Type: message/rfc822\n\n" + "Content-Type: multipart/mixed; boundary=y\n\n--y\n\n" + a + "--y--\n--x--\n", "c306"},
		{"messages too deep", strings.Repeat("Content-Type: message/rfc822\n\n", maxNesting+2) + "\n" + a, "c338"},
		{"multiparts too deep", strings.Repeat(mixed+"--x\n", maxNesting) + "Content-Type: multipart/mixed; boundary=y\n\n" + a + "--y\n\n" + a, "c619"},
		{"encoded message", "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable (or so)\n\nSubject: x\n\n" + a, "c319"},
		{"global message", "Content-Type: message/global\n\nSubject: x\n\n" + a, "c307"},
		{"delivery status is no message", "Content-Type: message/delivery-status\n\nReporting-MTA: x\n\n" + a, "c325"},
		{"digest", "Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: x\n\n" + a + "--x--\n", "c306"},
		{"digest with something else", "Content-Type: multipart/digest; boundary=x\n\n--x\nContent-Type: text/plain\n\nSubject: x\n\n" + a + "--x--\n", "c318"},

		{"base64", "Content-Transfer-Encoding: base64\n\n" + data76 + "\n", "b300"},
		{"base64 that nobody announces", "\n" + data76, "b300"},
		{"base64 in one line", "\n" + data, "b300"},
		{"base64 between texts", "\n" + a + data76 + "\n" + a, "c307 b300 c308"},
		{"blank lines before and behind base64", "\n\n\n" + data76 + "\n\n\n", "b300"},
		{"base64 in CRLF lines among LF", "\n" + lines(data, 76, "\r\n") + "\r\n", "b300"},
		{"base64 whose line ends change", "\n" + lines(data, 100, "\r\n") + "\n" + data76, "b300 b300"},
		{"base64 in ever longer lines", "\n" + lines(data[:396], 4, "\n") + "\n" + data76, "b297 b300"},
		{"base64 in lines of 75", "\n" + lines(data, 75, "\n"), "c405"},
		{"base64 that ends without padding", "\n" + data[:399], "b297"},
		{"base64 with text behind it in the line", "\n" + data76 + " <- that was it\n" + a, "b300 c323"},
		{"base64 with padding in the middle", "\n" + data[:342] + "A=" + data[344:], "b257"},
		{"base64 padded with other bits than zero", "\n" + data[:342] + "B=", "c344"},
		{"base64 padded twice with other bits than zero", "\n" + data[:340] + "AB==", "c344"},
		{"base64 with text behind a full line", "\n" + lines(data[:380], 76, "\n") + " text\n" + data76, "b285 b300"},
		{"base64 with a very long line behind it", "\n" + lines(data[:380], 76, "\n") + "\nAAAA" + strings.Repeat(" ", windowSize/16-4) + "AAAA\n", "b288 c65537"},
		{"base64 with bare CR in it", "\n" + data[:200] + "\r" + data[200:], "c401"},
		{"empty line in base64", "\n" + data76 + "\n\n" + data76, "b300 b300"},
		{"too little base64", "\n" + data[:336], "c336"},
		{"base64 at a boundary", mixed + "--x\n\n" + data76 + "\n--x--\n", "b300"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ends := range []string{"\n", "\r\n"} {
				m := c.m
				if ends == "\r\n" {
					if strings.Contains(m, "\r") {
						continue
					}
					m = strings.ReplaceAll(m, "\n", ends)
				}
				r, _ := splitJoin(t, []byte(m))
				var got []string
				for rest := operations(t, r.Recipe); len(rest) > 0; {
					var op operation
					var err error
					if rest, err = op.read(rest); err != nil {
						t.Fatal(err)
					}
					if op.what != doLiteral {
						got = append(got, fmt.Sprintf("%c%d", "lcb"[op.what], op.octets))
					}
				}
				if got := strings.Join(got, " "); got != c.want {
					t.Errorf("with %q: parts %q, want %q", ends, got, c.want)
				}
			}
		})
	}
}

func operations(t testing.TB, recipe []byte) []byte {
	t.Helper()
	_, _, rest, err := readHeader(recipe)
	if err != nil {
		t.Fatal(err)
	}
	return rest
}

// The same mail read over IMAP and from a Maildir must share its parts.
func TestLineEndsDoNotShowInParts(t *testing.T) {
	t.Parallel()
	names, _ := filepath.Glob("testdata/*.eml")
	for _, name := range names {
		m, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if lf := bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n")); bytes.IndexByte(lf, '\r') < 0 {
			crlf := bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n"))
			a, inLF := splitJoin(t, lf)
			b, inCRLF := splitJoin(t, crlf)
			if fmt.Sprint(inLF) != fmt.Sprint(inCRLF) {
				t.Errorf("%s: parts differ with line ends", name)
			}
			if d := len(a.Recipe) - len(b.Recipe); d < -1 || d > 1 {
				t.Errorf("%s: recipes of %d and %d octets", name, len(a.Recipe), len(b.Recipe))
			}
		}
	}
}

// An attachment of several pieces must be cut alike in whatever lines it
// comes, and where it is not encoded at all.
func TestLargeAttachmentsAreCutAlike(t *testing.T) {
	t.Parallel()
	data := random(9 << 20)
	encoded := encode(data)
	var want *store
	for _, body := range []string{
		lines(encoded, 76, "\n"), lines(encoded, 76, "\r\n"), lines(encoded, 72, "\n"),
		lines(encoded, 64, "\n"), lines(encoded, 60, "\n"), lines(encoded, 192, "\n"), encoded, string(data),
	} {
		r, s := splitJoin(t, []byte("Subject: x\n\n"+body))
		if want == nil {
			want = s
		}
		if len(s.parts) != 3 || fmt.Sprint(s.kinds) != fmt.Sprint(want.kinds) {
			t.Fatalf("%d parts of kinds %v", len(s.parts), s.kinds)
		}
		for i := range s.parts {
			if !bytes.Equal(s.parts[i], want.parts[i]) {
				t.Errorf("part %d differs", i)
			}
		}
		if r.Decoded != 3 && body != string(data) {
			t.Errorf("%d parts decoded", r.Decoded)
		}
	}
}

// Whatever is made to hurt must stay small and fast; that it does not take
// for ever is seen by the test's end.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	repeat := func(n int, f func(b *strings.Builder, i int)) string {
		var b strings.Builder
		for i := range n {
			f(&b, i)
		}
		return b.String()
	}
	multipart := "Content-Type: multipart/mixed; boundary="
	nested := func(name func(int) string) func(*strings.Builder, int) {
		return func(b *strings.Builder, i int) {
			fmt.Fprintf(b, "%s%s\n\n--%s\n", multipart, name(i), name(i))
		}
	}
	for _, c := range []struct{ name, m string }{
		{"multiparts within multiparts", repeat(50_000, nested(func(i int) string { return fmt.Sprint(i) }))},
		{"one boundary, over and over", repeat(50_000, nested(func(int) string { return "x" }))},
		{"boundaries that begin like each other", repeat(3_000, nested(func(i int) string { return strings.Repeat("x", i) })) +
			repeat(3_000, func(b *strings.Builder, i int) { b.WriteString("--" + strings.Repeat("x", i) + "y\n") })},
		{"messages within messages", repeat(100_000, func(b *strings.Builder, _ int) { b.WriteString("Content-Type: message/rfc822\n\n") })},
		{"parts without end", multipart + "x\n" + strings.Repeat("\n--x", 500_000)},
		{"parts of some size without end", multipart + "x\n" + strings.Repeat("\n--x\n\n"+strings.Repeat("y", 256), 50_000)},
		{"parts of nothing without end", multipart + "x\n\n" + strings.Repeat("--x\n", 1_000_000)},
		{"parts with headers without end", multipart + "x\n" + strings.Repeat("\n--x\nContent-Type: text/plain; charset=us-ascii\n\ny", 200_000)},
		{"dashes", multipart + "x\n\n" + strings.Repeat("--\n", 1_000_000)},
		{"a header of 10 MiB", "Subject: x\n" + strings.Repeat(" folded\n", 10<<20/8) + "\n" + "body"},
		{"a Content-Type of 10 MiB", multipart + strings.Repeat("\n ;;;(", 10<<20/6) + "\n\n" + "body"},
		{"fields without end", strings.Repeat("a:\n", 3<<20) + "\n" + "body"},
		{"a line of 3 MiB", "Subject: " + strings.Repeat("x", 3<<20)},
		{"base64 in a line of 3 MiB", "\n" + strings.Repeat("AAAA", 3<<18)},
		{"base64 with spaces in a line of 3 MiB", "\n" + strings.Repeat("AAAA", 1<<16) + " " + strings.Repeat("AAAA", 1<<16) + " " + strings.Repeat("AAAA", 1<<16)},
		{"base64 in lines of 4", "\n" + strings.Repeat("AAAA\n", 1<<20)},
		{"base64 in lines that never fit", "\n" + strings.Repeat("AAAA\nAAAAAAAA\n", 1<<18)},
		{"runs of base64 without end", "\n" + strings.Repeat(strings.Repeat("A", 400)+"\n\n", 50_000)},
		{"line ends", strings.Repeat("\n", 2<<20)},
		{"CRs", strings.Repeat("\r", 2<<20)},
		{"CRLFs", strings.Repeat("\r\n", 2<<20)},
		{"CRLFs and a CR", strings.Repeat("\r\n", 2<<20) + "\r"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _ := splitJoin(t, []byte(c.m))
			if len(r.Recipe) > maxLiterals+maxParts*(minPart+32) {
				t.Errorf("recipe of %d octets", len(r.Recipe))
			}
			if r.Parts > maxParts+10 {
				t.Errorf("%d parts", r.Parts)
			}
		})
	}
}

// Long literals go into parts, so that recipes stay small.
func TestRecipesStaySmall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, m string }{
		{"header", "Subject: x\n" + strings.Repeat("X-Field: "+long("value ")+"\n", 1000) + "\nbody"},
		{"headers", "Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\nX-Field: "+long("value ")+"\n\n", 1000)},
		{"no message at all", strings.Repeat("value ", 100_000)},
	} {
		r, _ := splitJoin(t, []byte(c.m))
		if len(r.Recipe) > maxLiterals+1000*32 {
			t.Errorf("%s: recipe of %d octets", c.name, len(r.Recipe))
		}
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part string
		want Kind
	}{
		{"plain\ttext\r\n\f", Text},
		{"\x1b$B8@8l\x1b(B", Text}, // ISO-2022-JP
		{"Gr\xfc\xdfe", Text},
		{strings.Repeat("x", 512) + "\x00", Text},
		{strings.Repeat("x", 511) + "\x00", Attachment},
		{"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", Attachment},
		{"PK\x03\x04\x14\x00", Attachment},
		{"G\x00r\x00", Attachment}, // UTF-16
		{"%PDF-1.4\n1 0 obj\n", Attachment},
	} {
		if got := kindOf([]byte(c.part)); got != c.want {
			t.Errorf("%.20q is %v, want %v", c.part, got, c.want)
		}
	}
}

func TestWholeLeavesTheMessageAsItIs(t *testing.T) {
	t.Parallel()
	for _, m := range []string{"", "x", "Subject: x\r\n\r\n" + long("text ") + "\r\n", string(random(5 << 20))} {
		s := new(store)
		r, err := Whole(strings.NewReader(m), int64(len(m)), s.save)
		if err != nil || r.Fallback {
			t.Fatal(r, err)
		}
		mustBuild(t, []byte(m), r, s)
		if got := bytes.Join(s.parts, nil); string(got) != m {
			t.Errorf("parts are %.100q", got)
		}
	}
}

func TestSplitReturnsErrors(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	m := "\n" + long("text ")
	for _, c := range []struct {
		name string
		m    io.ReaderAt
		size int64
		save func(Kind, []byte) (ID, error)
		want error
	}{
		{"save fails", strings.NewReader(m), int64(len(m)), func(Kind, []byte) (ID, error) { return ID{}, full }, full},
		{"message shorter than announced", strings.NewReader(m), 1 << 40, new(store).save, io.ErrUnexpectedEOF},
		{"negative size", strings.NewReader(m), -1, new(store).save, nil},
	} {
		for _, f := range []func(io.ReaderAt, int64, func(Kind, []byte) (ID, error)) (Result, error){Split, Whole} {
			r, err := f(c.m, c.size, c.save)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || r.Recipe != nil {
				t.Errorf("%s: %v, %v", c.name, r, err)
			}
		}
	}
}
