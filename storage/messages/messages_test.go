package messages

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

type memory map[ID][]byte

func (s memory) save(_ Kind, part []byte) (ID, error) {
	sum := sha256.Sum256(part)
	id := ID(sum[:16])
	if _, ok := s[id]; !ok {
		s[id] = bytes.Clone(part)
	}
	return id, nil
}
func (s memory) load(id ID) ([]byte, error) {
	if p, ok := s[id]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("no part %x", id)
}

func identity(t testing.TB, m []byte) Result {
	s := memory{}
	r, err := Split(bytes.NewReader(m), int64(len(m)), s.save)
	if err != nil {
		t.Fatal(err)
	}
	if r.Fallback {
		t.Fatalf("%q: %v", m[:min(len(m), 300)], r.Reason)
	}
	var out bytes.Buffer
	if err := Join(&out, r.Recipe, s.load); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), m) {
		t.Fatal("differs")
	}
	if _, err := References(r.Recipe); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestQuick(t *testing.T) {
	var n, parts, dec, bytes_ int
	filepath.WalkDir(os.Getenv("RESTANTE_CORPUS"), func(p string, d fs.DirEntry, err error) error {
		if d.IsDir() {
			return nil
		}
		b, _ := os.ReadFile(p)
		r := identity(t, b)
		n++
		parts += r.Parts
		dec += r.Decoded
		bytes_ += len(b)
		return nil
	})
	t.Log(n, parts, dec, bytes_)
}
