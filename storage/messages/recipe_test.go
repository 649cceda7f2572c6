package messages

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

// recipe puts a recipe together from numbers and octets.
func recipe(form byte, length uint64, parts ...any) []byte {
	p := binary.AppendUvarint([]byte{form}, length)
	for _, x := range parts {
		switch x := x.(type) {
		case int:
			p = binary.AppendUvarint(p, uint64(x))
		case uint64:
			p = binary.AppendUvarint(p, x)
		case byte:
			p = append(p, x)
		case string:
			p = append(p, x...)
		case ID:
			p = append(p, x[:]...)
		}
	}
	return p
}

// Recipes that a store or an attacker may have made must be refused, by
// References where the recipe alone shows it, and by Join always.
func TestHostileRecipes(t *testing.T) {
	t.Parallel()
	id := numbered(1) // a part of 6 octets
	s := &store{parts: [][]byte{[]byte("Hello\n")}}
	const lit, con, b64 = doLiteral, doContent, doBase64
	const zero, one = byte(0), byte(1)
	endless := strings.Repeat("\xff", 11)
	for _, c := range []struct {
		name   string
		recipe []byte
		joined bool // References cannot see it
	}{
		{"empty", nil, false},
		{"unknown form", recipe(2, 0), false},
		{"no length", []byte{0}, false},
		{"length without end", []byte{0, 0x80}, false},
		{"length too big for a number", append([]byte{0}, endless...), false},
		{"length too big for a file", recipe(0, math.MaxInt64+1), false},
		{"operation without end", append(recipe(0, 5), 0x80), false},
		{"operation too big for a number", append(recipe(0, 5), endless...), false},
		{"empty literal", recipe(0, 0, 0<<2|lit), false},
		{"empty content", recipe(0, 0, 0<<2|con, id), false},
		{"empty base64", recipe(0, 0, 0<<2|b64, 0, zero, id), false},
		{"unknown operation", recipe(0, 6, 6<<2|3, id), false},
		{"literal cut off", recipe(0, 5, 5<<2|lit, "abcd"), false},
		{"literal of 2^60 octets", recipe(0, 1<<60, uint64(1<<60<<2|lit), "abcd"), false},
		{"content cut off", recipe(0, 6, 6<<2|con, "short"), false},
		{"content of 2^60 octets", recipe(0, 1<<60, uint64(1<<60<<2|con), id), true},
		{"content of 2^60 octets in a short message", recipe(0, 6, uint64(1<<60<<2|con), id), false},
		{"contents whose sum is too big for a number", recipe(0, 6,
			uint64(1<<62-1)<<2|con, id, uint64(1<<62-1)<<2|con, id, uint64(1<<62-1)<<2|con, id, uint64(1<<62-1)<<2|con, id, 10<<2|con, id), false},
		{"base64 of 2^62-1 octets", recipe(0, 6148914691236517204, uint64(1<<62-1)<<2|b64, 0, zero, id), true},
		{"base64 of 2^62-1 octets in lines", recipe(0, math.MaxInt64, uint64(1<<62-1)<<2|b64, 4, one, id), false},
		{"base64 cut off before its shape", recipe(0, 8, 6<<2|b64), false},
		{"base64 cut off in its shape", recipe(0, 8, 6<<2|b64, 76), false},
		{"base64 cut off in its id", recipe(0, 8, 6<<2|b64, 76, zero, "id"), false},
		{"base64 in lines of 3", recipe(0, 8, 6<<2|b64, 3, zero, id), false},
		{"base64 with a third line end", recipe(0, 8, 6<<2|b64, 4, byte(2), id), false},
		{"base64 in one line with a line end", recipe(0, 8, 6<<2|b64, 0, one, id), false},
		{"base64 with CRLF in what has no CR", recipe(1, 10, 6<<2|b64, 4, one, id), false},
		{"less than announced", recipe(0, 7, 6<<2|con, id), false},
		{"more than announced", recipe(0, 5, 6<<2|con, id), false},
		{"nothing of what is announced", recipe(0, 1), false},
		{"less than announced, with CRLF", recipe(1, 13, 6<<2|con, id), false},
		{"more than announced, with CRLF", recipe(1, 6, 6<<2|con, id), true},
		{"fewer line ends than announced", recipe(1, 8, 6<<2|con, id), true},
		{"literal with more line ends than announced", recipe(1, 3, 2<<2|lit, "\n\n"), false},
		{"another part's length", recipe(0, 7, 7<<2|con, id), true},
		{"part that is not there", recipe(0, 6, 6<<2|con, numbered(2)), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			refs, err := References(c.recipe)
			if c.joined != (err == nil) {
				t.Errorf("References: %v, %v", refs, err)
			}
			if err != nil && !errors.Is(err, ErrRecipe) {
				t.Errorf("References: %v does not wrap ErrRecipe", err)
			}
			var out bytes.Buffer
			if err := Join(&out, c.recipe, s.load); err == nil {
				t.Errorf("Join built %q", out.Bytes())
			}
			if size, err := Size(c.recipe); err == nil && int64(out.Len()) > size {
				t.Errorf("Join wrote %d octets of %d", out.Len(), size)
			}
		})
	}
}

// What a writer of another mind may have made, and is right nonetheless.
func TestUnusualRecipes(t *testing.T) {
	t.Parallel()
	s := &store{parts: [][]byte{[]byte("Hello\n"), random(100_000)}}
	for _, c := range []struct {
		name   string
		recipe []byte
		want   string
	}{
		{"empty", recipe(0, 0), ""},
		{"empty, with CRLF", recipe(1, 0), ""},
		{"literals side by side", recipe(0, 3, 1<<2|doLiteral, "a", 2<<2|doLiteral, "bc"), "abc"},
		{"CR before what becomes CRLF", recipe(1, 3, 2<<2|doLiteral, "\r\n"), "\r\r\n"},
		{"the same part twice", recipe(0, 12, 6<<2|doContent, numbered(1), 6<<2|doContent, numbered(1)), "Hello\nHello\n"},
		{"lines of 4", recipe(0, 9, 6<<2|doBase64, 4, byte(0), numbered(1)), "SGVs\nbG8K"},
		{"lines of 4, CRLF", recipe(0, 10, 6<<2|doBase64, 4, byte(1), numbered(1)), "SGVs\r\nbG8K"},
		{"lines of 4 that get CRLF", recipe(1, 10, 6<<2|doBase64, 4, byte(0), numbered(1)), "SGVs\r\nbG8K"},
		{"one line as long as a line", recipe(0, 8, 6<<2|doBase64, 8, byte(0), numbered(1)), "SGVsbG8K"},
		{"longer lines than there are", recipe(0, 8, 6<<2|doBase64, uint64(1)<<62, byte(0), numbered(1)), "SGVsbG8K"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := References(c.recipe); err != nil {
				t.Error(err)
			}
			var out bytes.Buffer
			if err := Join(&out, c.recipe, s.load); err != nil || out.String() != c.want {
				t.Errorf("built %q, %v; want %q", out.Bytes(), err, c.want)
			}
		})
	}
	// Lines that are longer than any buffer.
	for _, n := range []int{joinBuffer, joinBuffer + 4, 3 * joinBuffer, 100_000} {
		want := lines(encode(s.parts[1]), n, "\r\n")
		var out strings.Builder
		err := Join(&out, recipe(0, uint64(len(want)), 100_000<<2|doBase64, n, byte(1), numbered(2)), s.load)
		if err != nil || out.String() != want {
			t.Errorf("lines of %d: %v", n, err)
		}
	}
}

// The recipe that FORMAT.md prints is one, and builds what FORMAT.md says.
func TestFormatExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(page), "For example, with parts")
	if !ok {
		t.Fatal("FORMAT.md has no example of a recipe")
	}
	_, example, _ = strings.Cut(example, "```\n")
	example, _, _ = strings.Cut(example, "```\n")
	var octets strings.Builder
	for line := range strings.Lines(example) {
		hexadecimal, _, _ := strings.Cut(line, "  ")
		octets.WriteString(strings.ReplaceAll(strings.TrimSpace(hexadecimal), " ", ""))
	}
	recipe, err := hex.DecodeString(octets.String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := References(recipe); err != nil {
		t.Error(err)
	}
	parts := map[byte]string{0x11: "Hello,\n", 0x22: "Restante"}
	var out strings.Builder
	err = Join(&out, recipe, func(id ID) ([]byte, error) {
		if id != ID(bytes.Repeat(id[:1], len(id))) {
			return nil, io.ErrUnexpectedEOF
		}
		return []byte(parts[id[0]]), nil
	})
	if want := "Subject: Hi\r\n\r\nHello,\r\nUmVz\r\ndGFu\r\ndGU=\r\n"; err != nil || out.String() != want {
		t.Errorf("the example builds %q, %v; want %q", out.String(), err, want)
	}
}

func TestJoinReturnsErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := recipe(0, 7, 1<<2|doLiteral, "x", 6<<2|doContent, numbered(1))
	if err := Join(io.Discard, r, func(ID) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) || errors.Is(err, ErrRecipe) {
		t.Errorf("load fails: %v", err)
	}
	s := &store{parts: [][]byte{[]byte("Hello\n")}}
	if err := Join(io.Discard, recipe(0, 5, 6<<2|doContent, numbered(1)), func(ID) ([]byte, error) {
		t.Error("a part was loaded that the message has no room for")
		return nil, broken
	}); !errors.Is(err, ErrRecipe) {
		t.Errorf("a part that is too long: %v", err)
	}
	if err := Join(writer(func([]byte) (int, error) { return 0, broken }), r, s.load); !errors.Is(err, broken) || errors.Is(err, ErrRecipe) {
		t.Errorf("Write fails: %v", err)
	}
}

type writer func([]byte) (int, error)

func (f writer) Write(p []byte) (int, error) { return f(p) }
