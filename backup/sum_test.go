package backup

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// flipping is a message whose bit changes at some time: before it is read, or
// after it was read so many times over.
type flipping struct {
	octets []byte
	left   int64 // octets to be read until then
}

func (f *flipping) ReadAt(p []byte, off int64) (int, error) {
	n, err := bytes.NewReader(f.octets).ReadAt(p, off)
	if f.left >= 0 {
		if f.left -= int64(n); f.left < 0 {
			f.octets[len(f.octets)/2] ^= 4
		}
	}
	return n, err
}

func TestABitThatChangesBetweenTheServerAndTheArchiveIsFoundBeforeACommit(t *testing.T) {
	t.Parallel()
	letter := strings.Repeat("From: a@example.org\r\n\r\nThe text of a letter.\r\n", 400)
	for name, after := range map[string]int64{
		"at once":                   0,
		"while it is read":          int64(len(letter)) / 2,
		"between cutting and proof": int64(len(letter)),
		"between proof and the sum": 2*int64(len(letter)) - 1,
		"when all of it was read":   -1, // never
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := newRepository(t)
			s := newFake()
			s.deliver("INBOX", 3)
			body := &flipping{[]byte(letter), after}
			var sum Sum
			io.WriteString(&sum, letter)
			s.onEach = func(f *Fetched) {
				if f.UID == 2 {
					f.Body, f.Size, f.Sum = body, int64(len(letter)), &sum
				}
			}
			_, err := Run(t.Context(), repo, s, options(t, repo))
			if after < 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, errChanged) || !strings.Contains(err.Error(), `folder "INBOX", UID 2`) {
				t.Fatalf("the run says %v", err)
			}
			if list := repo.Snapshots("a"); len(list) > 0 {
				t.Errorf("there is a snapshot: %+v", list)
			}
		})
	}
}
