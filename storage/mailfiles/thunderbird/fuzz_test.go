package thunderbird

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzPrefs: whatever stands in a prefs.js, stores that come of it have names that
// differ and directories that are paths, and texts written as Mozilla does come
// back.
func FuzzPrefs(f *testing.F) {
	f.Add(prefs)
	f.Add(`user_pref("mail.server.server1.type", "imap"); user_pref("a", 'b\x41é\ud83d\ude00\n');`)
	f.Add("user_pref(\"mail.server.s.type\", \"none\");\nuser_pref(\"mail.server.s.directory-rel\", \"[ProfD]../../../etc\");\n")
	f.Add(`user_pref("\u12`)
	f.Add(`user_pref("\ud83d`)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(dir, "prefs.js"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		read, err := readPrefs(filepath.Join(dir, "prefs.js"))
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for key, value := range read {
			total += len(key) + len(value)
		}
		if total > 2*len(text) {
			t.Errorf("%d octets give %d", len(text), total)
		}
		stores, err := Stores(dir)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, s := range stores {
			if !filepath.IsAbs(s.Dir) || filepath.Clean(s.Dir) != s.Dir || seen[s.Dir] {
				t.Errorf("%+v", stores)
			}
			seen[s.Dir] = true
		}
	})
}

// FuzzText: any text comes back from a literal.
func FuzzText(f *testing.F) {
	f.Add("Arbeit \"neu\" \\ é 😀", "rest")
	f.Add("\x00\x7f\u2028", "'")
	f.Fuzz(func(t *testing.T, text, behind string) {
		if !utf8.ValidString(text) {
			return
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(text) + `"`
		if got, rest, ok := cutString(quoted + behind); !ok || got != text || rest != behind {
			t.Errorf("%q is read as %q, %q, %v", quoted, got, rest, ok)
		}
		var coded strings.Builder
		for _, r := range text {
			if r > 0xffff {
				r -= 0x10000
				fmt.Fprintf(&coded, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			} else {
				coded.WriteString(`\u` + strings.Repeat("0", 4-len(strconv.FormatInt(int64(r), 16))) + strconv.FormatInt(int64(r), 16))
			}
		}
		if got, _, ok := cutString("'" + coded.String() + "'"); !ok || got != text {
			t.Errorf("%q is read as %q, %v", coded.String(), got, ok)
		}
	})
}

// FuzzProfiles: whatever stands in a profiles.ini, profiles have a directory that
// is a path, and there are no more of them than were written.
func FuzzProfiles(f *testing.F) {
	f.Add("[Install4F96D1932A9F858E]\nDefault=abc.default-release\n\n[Profile0]\nName=default-release\nIsRelative=1\nPath=abc.default-release\n")
	f.Add("[Profile1]\r\nPath=/somewhere/else/../x\r\nDefault=1\r\n")
	f.Add("=\n[\n[]\n;x=y\nPath=x\n[Profile")
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(root, "profiles.ini"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := inRoot(root)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > strings.Count(text, "[") {
			t.Errorf("%q gives %+v", text, list)
		}
		for _, p := range list {
			if !filepath.IsAbs(p.Dir) || filepath.Clean(p.Dir) != p.Dir {
				t.Errorf("%q gives %+v", text, p)
			}
		}
		Choose(list)
	})
}
