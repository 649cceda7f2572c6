package messages

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeds adds the messages in testdata to a fuzz test, and the small ones of the
// corpus where there is one: what others have tried parsers with, and real mail.
func seeds(f *testing.F, add func(m []byte)) {
	names, _ := filepath.Glob("testdata/*.eml")
	if len(names) == 0 {
		f.Fatal("no messages in testdata")
	}
	for _, name := range names {
		m, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(m)
	}
	dir := os.Getenv("RESTANTE_CORPUS")
	if dir == "" {
		return
	}
	const small, most = 4 << 10, 1000 // octets, and messages of a set
	sets, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		f.Fatal(err)
	}
	for _, set := range sets {
		n := 0
		eachMessage(f, set, func(m []byte) {
			if len(m) <= small && n < most {
				n++
				add(m)
			}
		})
	}
}

func FuzzSplit(f *testing.F) {
	seeds(f, func(m []byte) { f.Add(m) })
	f.Fuzz(checkSplit)
}

// FuzzSplitTokens makes messages of what means something to a scanner, one
// token for every octet.
func FuzzSplitTokens(f *testing.F) {
	f.Add([]byte("\x00\x01\x05\x02\x0b\x0b\x0c\x01\x02\x09\x03"))
	f.Add([]byte("\x04\x00\x01\x02\x12\x01\x02\x07\x08\x12\x03\x0b\x0b\x0b\x0b\x0b"))
	f.Fuzz(func(t *testing.T, program []byte) {
		checkSplit(t, tokens(program))
	})
}

func tokens(program []byte) []byte {
	var m []byte
	for _, p := range program[:min(len(program), 1000)] {
		m = append(m, fuzzTokens[int(p)%len(fuzzTokens)]...)
	}
	return m
}

var fuzzTokens = []string{
	"Content-Type: multipart/mixed; boundary=x\n",
	"\n--x\n",
	"\n",
	"\n--x--\n",
	"Content-Type: multipart/digest; boundary=\"xx\"\n",
	"\r\n",
	"\r",
	"--xx\n",
	"--xx--\r\n",
	"Content-Type: message/rfc822\n",
	"Content-Transfer-Encoding: base64\n",
	strings.Repeat("QUFB", 19) + "\n",
	strings.Repeat("QUJD", 19) + "\r\n",
	strings.Repeat("QUFB", 100),
	"QQ==\n",
	"QR==\n",
	"QUI=",
	"QUF\n",
	"text\n",
	" ",
	"\x00",
	strings.Repeat("text and ", 40),
	strings.Repeat("-", 300) + "\n",
}

func checkSplit(t *testing.T, m []byte) {
	r, s := splitJoin(t, m)
	again, s2 := splitJoin(t, m)
	if !bytes.Equal(r.Recipe, again.Recipe) || len(s.parts) != len(s2.parts) {
		t.Error("the same message is cut in two ways")
	}
	checkFootprint(t, m)
	splitJoin(t, bytes.ReplaceAll(m, []byte("\n"), []byte("\r\n")))

	// In small windows and pieces, messages need not be large to be cut as
	// large ones are.
	for _, sizes := range [][2]int{{64, 12}, {256, 60}, {4096, 600}} {
		c := newCutter(sizes[0], sizes[1])
		s := new(store)
		r, err := c.split(bytes.NewReader(m), int64(len(m)), s.save)
		if err != nil {
			t.Fatalf("in a window of %d octets: %v", sizes[0], err)
		}
		if cap(c.window.buf) > 2*sizes[0] {
			t.Errorf("a window of %d octets has %d", sizes[0], cap(c.window.buf))
		}
		mustBuild(t, m, r, s)
	}
}

// counted is a writer that counts.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
}

// FuzzJoin gives Join recipes that nobody wrote, and parts of the sizes they
// ask for or others.
func FuzzJoin(f *testing.F) {
	seeds(f, func(m []byte) {
		r, _ := splitJoin(f, m)
		f.Add(r.Recipe, []byte("Hello\n"), true)
	})
	f.Fuzz(func(t *testing.T, recipe, octets []byte, right bool) {
		if len(octets) == 0 {
			octets = []byte{'\n'}
		}
		refs, refsErr := References(recipe)
		next := 0
		tooLarge := errors.New("too large for a test")
		load := func(id ID) ([]byte, error) {
			n := int64(len(octets))
			if right && next < len(refs) {
				if refs[next].ID != id {
					t.Errorf("part %d is %x for Join, %x for References", next, id, refs[next].ID)
				}
				n = refs[next].Size
			}
			next++
			if n > 1<<20 {
				return nil, tooLarge
			}
			return bytes.Repeat(octets, int(n)/len(octets)+1)[:n], nil
		}
		out := counted{w: io.Discard}
		err := Join(&out, recipe, load)
		size, sizeErr := Size(recipe)
		switch {
		case sizeErr != nil && out.n > 0, sizeErr == nil && out.n > size:
			t.Errorf("%d octets written, Size is %d (%v)", out.n, size, sizeErr)
		case err == nil && refsErr != nil:
			t.Errorf("Join builds what References refuses: %v", refsErr)
		case err == nil && out.n != size:
			t.Errorf("%d octets written, %d announced, no error", out.n, size)
		case err == nil && next != len(refs):
			t.Errorf("%d parts loaded, %d referenced", next, len(refs))
		case err != nil && refsErr == nil && right && !errors.Is(err, tooLarge) && recipe[0] == formAsIs:
			t.Errorf("References finds nothing wrong, Join fails: %v", err)
		}
	})
}

func FuzzReferences(f *testing.F) {
	seeds(f, func(m []byte) {
		r, _ := splitJoin(f, m)
		f.Add(r.Recipe)
	})
	f.Fuzz(func(t *testing.T, recipe []byte) {
		refs, err := References(recipe)
		if err != nil {
			if refs != nil || !errors.Is(err, ErrRecipe) {
				t.Errorf("%v, %v", refs, err)
			}
			return
		}
		if len(refs)*len(ID{}) > len(recipe) {
			t.Errorf("%d references in %d octets", len(refs), len(recipe))
		}
		for _, ref := range refs {
			if ref.Size <= 0 {
				t.Errorf("a part of %d octets", ref.Size)
			}
		}
	})
}

func FuzzSummarize(f *testing.F) {
	seeds(f, func(m []byte) { f.Add(m) })
	for _, c := range wordTests {
		f.Add([]byte("Subject: " + c.in))
	}
	for _, c := range dateTests {
		f.Add([]byte("Date: " + c.in))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		checkSummary(t, Summarize(header))
		found, err := ReadHeader(bytes.NewReader(header), int64(len(header)), 1<<16)
		if err != nil || !bytes.HasPrefix(header, found) {
			t.Errorf("header %q, %v", found, err)
		}
	})
}
