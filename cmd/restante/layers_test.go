package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "restante/"

// layers says which of our packages each package may import.
// This table is the architecture; change it on purpose.
var layers = map[string]string{
	"storage/objects":             "",
	"storage/objects/s3":          "storage/objects",
	"storage/objects/objectstest": "storage/objects",
	"storage/internal/seal":       "",
	"storage/internal/pack":       "storage/internal/seal",
	"storage/internal/index":      "storage/internal/pack",
	"storage/ledger":              "storage/objects",
	"storage/messages":            "",
	"storage/mailfiles":           "",
	"storage":                     "storage/objects storage/ledger storage/messages storage/internal/seal storage/internal/pack storage/internal/index",

	"storage/mailfiles/thunderbird": "",

	"backup":                                  "storage storage/ledger storage/messages",
	"backup/accounts":                         "backup/accounts/peer backup/accounts/imapconn backup/accounts/pop3conn backup/accounts/sieveconn backup/accounts/smtpconn backup/accounts/directory backup/accounts/oauth",
	"backup/accounts/directory":               "backup/accounts/peer",
	"backup/accounts/peer":                    "",
	"backup/accounts/oauth":                   "backup/accounts/peer",
	"backup/accounts/imapconn":                "backup/accounts/peer",
	"backup/accounts/imapconn/imaptest":       "",
	"backup/accounts/imapconn/imaptest/rogue": "backup/accounts/imapconn backup/accounts/imapconn/imaptest",
	"backup/accounts/pop3conn":                "backup/accounts/peer",
	"backup/accounts/pop3conn/pop3test":       "",
	"backup/accounts/sieveconn":               "backup/accounts/peer",
	"backup/accounts/smtpconn":                "backup/accounts/peer",
	"backup/accounts/smtpconn/smtptest":       "",
	"backup/imapsource":                       "backup backup/accounts/imapconn storage",
	"backup/imapwatch":                        "backup/accounts/imapconn backup/accounts/peer storage",
	"backup/pop3source":                       "backup backup/accounts/pop3conn storage",
	"backup/localsource":                      "backup storage storage/mailfiles storage/mailfiles/thunderbird",

	"restore": "storage",
	// The connection between a server and go-imap is one thing, whichever way
	// mail goes through it. It imports nothing of ours.
	"restore/imaptarget": "restore storage storage/messages backup/accounts/imapconn",
	"restore/delivery":   "restore storage backup/accounts/smtpconn",
	"restore/export":     "restore storage storage/mailfiles storage/mailfiles/thunderbird storage/messages",
	"restore/rehearsal":  "restore storage",

	"schedules":                 "schedules/calendar schedules/queue",
	"schedules/calendar":        "",
	"schedules/queue/queuetest": "",
	"schedules/queue":           "",
	"schedules/retention":       "storage",
	"schedules/alerts":          "schedules/queue",
	"schedules/alerts/ways":     "schedules/alerts schedules/queue backup/accounts backup/accounts/smtpconn",
	"schedules/metrics":         "schedules/queue storage/objects",

	"cmd/testbed":          "cmd/testbed/rawimap cmd/testbed/bench cmd/testbed/crash cmd/testbed/nights cmd/testbed/scale cmd/testbed/site cmd/testbed/tokens",
	"cmd/testbed/tokens":   "",
	"cmd/testbed/bench":    "cmd/testbed/site cmd/testbed/rawimap",
	"cmd/testbed/crash":    "cmd/testbed/site cmd/testbed/rawimap cmd/testbed/weather",
	"cmd/testbed/weather":  "",
	"cmd/testbed/memory":   "",
	"cmd/testbed/nights":   "cmd/testbed/weather cmd/testbed/site cmd/testbed/rawimap",
	"cmd/testbed/scale":    "cmd/testbed/bench cmd/testbed/site cmd/testbed/rawimap",
	"cmd/testbed/site":     "cmd/testbed/rawimap",
	"cmd/testbed/powercut": "",
	"cmd/testbed/rawimap":  "",
	"cmd/testbed/servers":  "cmd/testbed/rawimap cmd/testbed/site",
	"cmd/restante":         "*", // the only place that knows every implementation
}

// homes says which packages alone may import a library: what knows the library
// is one room, and can be given another.
var homes = map[string]string{
	"github.com/minio/":           "storage/objects/s3",
	"github.com/emersion/go-imap": "backup/accounts/imapconn backup/imapsource backup/imapwatch restore/imaptarget cmd/restante",
	"github.com/emersion/go-sasl": "backup/accounts/imapconn",
	"github.com/knadh/":           "backup/accounts/pop3conn",
	"github.com/zalando/":         "backup/accounts",
	"github.com/gofrs/":           "backup/accounts/oauth restore/delivery schedules/queue",
	"github.com/go-ldap/":         "backup/accounts/directory",
	"filippo.io/age":              "storage cmd/restante cmd/testbed/site",
	"github.com/klauspost/":       "storage/internal/seal",
	"github.com/alecthomas/kong":  "cmd/restante",
	"github.com/vbauerster/mpb":   "cmd/restante",
	"github.com/pelletier/":       "cmd/restante",
	"github.com/emersion/go-mess": "storage/messages",
	"github.com/prometheus/":      "schedules/metrics",
}

func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../../")
		seen[pkg] = true
		allowed, ok := layers[pkg]
		if !ok {
			t.Errorf("%s: new package: say in layers what it may import", pkg)
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			dep, ours := strings.CutPrefix(path, module)
			if ours && allowed != "*" && !slices.Contains(strings.Fields(allowed), dep) {
				t.Errorf("%s imports %s", file, dep)
			}
			for library, home := range homes {
				if strings.HasPrefix(path, library) && !slices.Contains(strings.Fields(home), pkg) {
					t.Errorf("%s imports %s, which is for %s", file, path, home)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range layers {
		if !seen[pkg] {
			t.Errorf("%s is in layers, and not in the tree", pkg)
		}
	}
}

// TestNothingForbiddenAtTheTop keeps the top level as it was asked for.
func TestNothingForbiddenAtTheTop(t *testing.T) {
	entries, err := filepath.Glob("../../*")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := filepath.Base(e)
		if !slices.Contains(strings.Fields("cmd backup restore storage schedules go.mod go.sum README.md LICENSE CHANGELOG.md .ci .git .gitignore .gitattributes .editorconfig"), name) {
			t.Errorf("%s stands at the top level", name)
		}
	}
}
