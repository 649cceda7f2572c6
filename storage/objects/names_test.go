package objects_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"restante/storage/objects"
)

func TestCheckNameSaysWhatIsWrong(t *testing.T) {
	for name, want := range map[string]string{
		"":                       "empty",
		"packs//1":               "empty",
		"/packs":                 "empty",
		"packs/":                 "empty",
		"../etc/passwd":          "begins with a dot",
		"packs/.hidden":          "begins with a dot",
		"packs./1":               "ends with a dot",
		"packs/1.":               "ends with a dot",
		"packs/1 2":              "octet 8",
		"packs/ü":                "octet 7",
		strings.Repeat("a", 201): "201 octets",
	} {
		err := objects.CheckName(name)
		if !errors.Is(err, objects.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckName(%q): %v; want %q in it", name, err, want)
		}
	}
	if err := objects.CheckName(strings.Repeat("x", 1<<20)); len(err.Error()) > 500 {
		t.Errorf("the error for a long name has %d octets", len(err.Error()))
	}
}

// FuzzCheckName shows that no name that is taken leads out of a directory, or
// to another object's file.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"config", "ledger/000000000001", "a/../b", "..", "a/./b", "/a", "a//b", "a\\..\\b", "C:/a", "a/.tmp"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if objects.CheckName(name) != nil {
			return
		}
		if !filepath.IsLocal(name) || filepath.ToSlash(filepath.Clean(name)) != name || strings.HasPrefix(name, ".") {
			t.Errorf("CheckName takes %q", name)
		}
		for end := range len(name) + 1 {
			if err := objects.CheckList(name[:end], name[:end]); err != nil {
				t.Errorf("CheckName takes %q, but CheckList does not take its beginning: %v", name, err)
			}
		}
	})
}
