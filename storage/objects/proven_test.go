package objects

import (
	"errors"
	"testing"
)

func TestProvenBelievesTheSameOctetsTwice(t *testing.T) {
	bad, gone := errors.New("wrong"), errors.New("gone")
	for _, test := range []struct {
		name string
		come []string // empty: an error
		gets int
		want error
	}{
		{"right", []string{"right"}, 1, nil},
		{"wrong once", []string{"xight", "right"}, 2, nil},
		{"wrong twice", []string{"xight", "rxght", "right"}, 3, nil},
		{"wrong in the store", []string{"xight", "xight", "right"}, 2, bad},
		{"never right", []string{"xight", "rxght", "rixht", "right"}, 3, bad},
		{"absent", []string{"", "right"}, 1, gone},
		{"wrong, then absent", []string{"xight", "", "right"}, 2, gone},
	} {
		gets := 0
		err := Proven(func() ([]byte, error) {
			gets++
			if test.come[gets-1] == "" {
				return nil, gone
			}
			return []byte(test.come[gets-1]), nil
		}, func(b []byte) error {
			if string(b) != "right" {
				return bad
			}
			return nil
		})
		if err != test.want || gets != test.gets {
			t.Errorf("%s: %v after %d gets, and should be %v after %d", test.name, err, gets, test.want, test.gets)
		}
	}
}
