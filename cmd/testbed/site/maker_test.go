package site

import (
	"bytes"
	"net/mail"
	"reflect"
	"testing"
)

func TestTheSameSeedMakesTheSameMailAndNoLetterTwice(t *testing.T) {
	t.Parallel()
	one, same, other := NewMaker(7), NewMaker(7), NewMaker(8)
	seen := map[string]bool{}
	size := 0
	for range 500 {
		a, b, c := one.Next(), same.Next(), other.Next()
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("one seed, two letters:\n%+v\n%+v", a, b)
		}
		for _, l := range []Letter{a, c} {
			if seen[string(l.Octets)] {
				t.Fatalf("a letter came twice:\n%s", l.Octets)
			}
			seen[string(l.Octets)] = true
			m, err := mail.ReadMessage(bytes.NewReader(l.Octets))
			if err != nil || m.Header.Get("Subject") == "" {
				t.Fatalf("%v in\n%s", err, l.Octets)
			}
			if n := bytes.Count(l.Octets, []byte("\n")); n != bytes.Count(l.Octets, []byte("\r\n")) || n != bytes.Count(l.Octets, []byte("\r")) {
				t.Fatalf("a line does not end with CRLF in\n%q", l.Octets)
			}
			size += len(l.Octets)
		}
	}
	t.Logf("%d octets each", size/1000)
}
