package messages

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// A store keeps parts in memory. Equal parts get ids of their own, so that
// one asked for in place of another shows.
type store struct {
	parts [][]byte
	kinds []Kind
}

func (s *store) save(kind Kind, part []byte) (ID, error) {
	s.parts = append(s.parts, bytes.Clone(part))
	s.kinds = append(s.kinds, kind)
	return numbered(len(s.parts)), nil
}

func (s *store) load(id ID) ([]byte, error) {
	n := binary.BigEndian.Uint64(id[8:])
	if n == 0 || n > uint64(len(s.parts)) || id != numbered(int(n)) {
		return nil, fmt.Errorf("no part %x", id)
	}
	return s.parts[n-1], nil
}

func numbered(n int) (id ID) {
	copy(id[:], "part....")
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// splitJoin cuts m, builds it again, and fails the test where that is not m.
func splitJoin(t testing.TB, m []byte) (Result, *store) {
	t.Helper()
	s := new(store)
	r, err := Split(bytes.NewReader(m), int64(len(m)), s.save)
	if err != nil {
		t.Fatalf("Split: %v\n%.300q", err, m)
	}
	if r.Fallback {
		t.Fatalf("stored whole: %v\n%.300q", r.Reason, m)
	}
	mustBuild(t, m, r, s)
	return r, s
}

// mustBuild fails the test unless r builds m from the parts in s.
func mustBuild(t testing.TB, m []byte, r Result, s *store) {
	t.Helper()
	var out bytes.Buffer
	if err := Join(&out, r.Recipe, s.load); err != nil {
		t.Fatalf("Join: %v\n%.300q", err, m)
	}
	if !bytes.Equal(out.Bytes(), m) {
		t.Fatalf("got  %.300q\nwant %.300q", out.Bytes(), m)
	}
	if size, err := Size(r.Recipe); err != nil || size != int64(len(m)) {
		t.Fatalf("Size is %d, %v; the message has %d octets", size, err, len(m))
	}
	refs, err := References(r.Recipe)
	if err != nil {
		t.Fatalf("References: %v", err)
	}
	if len(refs) != r.Parts {
		t.Fatalf("%d references, %d parts", len(refs), r.Parts)
	}
	for _, ref := range refs {
		part, err := s.load(ref.ID)
		if err != nil || int64(len(part)) != ref.Size {
			t.Fatalf("part %x has %d octets, its reference says %d (%v)", ref.ID, len(part), ref.Size, err)
		}
	}
}

// describeCut shows a recipe and its parts in a form that people can read.
func describeCut(t testing.TB, recipe []byte, s *store) string {
	t.Helper()
	form, length, rest, err := readHeader(recipe)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d octets\n", []string{"as it is", "CRLF"}[form], length)
	for n := 0; len(rest) > 0; {
		var op operation
		if rest, err = op.read(rest); err != nil {
			t.Fatal(err)
		}
		if op.what == doLiteral {
			fmt.Fprintf(&b, "literal %d\n", op.octets)
			for line := range strings.Lines(string(op.literal)) {
				fmt.Fprintf(&b, "\t%q\n", line)
			}
			continue
		}
		part, err := s.load(op.id)
		if err != nil {
			t.Fatal(err)
		}
		if op.what == doContent {
			fmt.Fprintf(&b, "content %d, %v\n", op.octets, s.kinds[n])
		} else {
			fmt.Fprintf(&b, "base64 %d, %v, lines of %d, CRLF %v\n", op.octets, s.kinds[n], op.line, op.crlf)
		}
		fmt.Fprintf(&b, "\t%.60q\n", part)
		n++
	}
	return b.String()
}

func encode(part []byte) string { return base64.StdEncoding.EncodeToString(part) }
