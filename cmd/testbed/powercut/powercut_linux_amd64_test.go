package powercut

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFaultsDoWhatTheySay has a shell write, flush and rename.
func TestFaultsDoWhatTheySay(t *testing.T) {
	t.Parallel()
	const script = "echo one > a; sync a; sync .; echo two >> a; mv a b; echo three > c; rm -f old; sync ."
	const all = "b=one two c=three"
	for _, test := range []struct {
		script string
		at     int
		fault  Fault
		cut    string
		want   string
	}{
		{script, -1, Nothing, "", all},
		{script, -1, Nothing, "octets", "b=one c="},
		{script, -1, Nothing, "names", "b=one c="},
		{strings.TrimSuffix(script, "; sync ."), -1, Nothing, "names", "a=one old=old"},
		{strings.TrimSuffix(script, "; sync ."), -1, Nothing, "octets", "b=one c="},
		{"mkdir d; sync .; echo one > d/a; sync d/a; sync d; rm d/a; mv d e; sync .; mv e f", -1, Nothing, "names", "e/a=one old=old"},
		{"mkdir d; echo one > d/a; sync d/a; sync d .; rm -r d", -1, Nothing, "names", "d/a=one old=old"},
		{script, 0, Kill, "", "old=old"},
		{script, 1, Kill, "", "a= old=old"},
		{script, 4, Kill, "names", "a=one old=old"}, // echo two
		{script, 5, Kill, "", "a=one two old=old"},  // mv
		{script, 6, Kill, "octets", "b=one old=old"},
		{script, 1, Fail, "", "b=two c=three"},
		{script, 1, Lost, "", all},
		{script, 4, Full, "", "b=one"},
	} {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "old"), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", test.script)
		cmd.Dir = dir
		r, err := Run(cmd, Plan{At: test.at, Fault: test.fault, Below: []string{dir}, Stash: t.TempDir()})
		if err != nil && test.fault == Nothing {
			t.Fatal(err)
		}
		if test.cut != "" {
			if err := r.Cut(test.cut == "octets"); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			got = append(got, fmt.Sprintf("%s=%s", strings.TrimPrefix(path, dir+"/"), strings.Join(strings.Fields(string(text)), " ")))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if g := strings.Join(got, " "); g != test.want || r.Killed != (test.fault == Kill) {
			t.Errorf("%q, %s at %d, lost %q: %q, want %q; it did\n%s", test.script, test.fault, test.at, test.cut, g, test.want, strings.Join(r.Operations, "\n"))
		}
	}
}
