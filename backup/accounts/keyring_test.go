package accounts

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zalando/go-keyring"
)

func TestSecretFromKeyring(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		entry, secret string
		err           error
		service, user string // that are asked for
		says, hint    string
	}{
		{"restante/alice@example.org", "s3cret", nil, "restante", "alice@example.org", "", ""},
		{"a/b/alice", "s3cret", nil, "a/b", "alice", "", ""},
		{"restante/alice", "", nil, "restante", "alice", "is empty", ""},
		{"restante/alice", "", keyring.ErrNotFound, "restante", "alice", "no entry restante/alice", "put it there with: "},
		{"restante/alice", "", errors.New("locked"), "restante", "alice", "keyring: locked", "password-file"},
		{"alice", "", nil, "", "", "not SERVICE/USER", "for example"},
		{"/alice", "", nil, "", "", "not SERVICE/USER", "for example"},
		{"restante/", "", nil, "", "", "not SERVICE/USER", "for example"},
	} {
		service, user := "", ""
		secret, err := fromKeyring(func(s, u string) (string, error) {
			service, user = s, u
			return test.secret, test.err
		}, test.entry, time.Minute)(t.Context())
		if secret != test.secret || service != test.service || user != test.user || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %q of %q, %q; %v", test.entry, secret, service, user, err)
		}
		var h interface{ Hint() string }
		if errors.As(err, &h) != (test.hint != "") || test.hint != "" && !strings.Contains(h.Hint(), test.hint) {
			t.Errorf("%s: hint %v", test.entry, h)
		}
	}
}

// Somebody has to unlock it, and nobody is there.
func TestALockedKeyring(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		unlocked := make(chan bool)
		secret := fromKeyring(func(string, string) (string, error) { <-unlocked; return "late", nil }, "a/b", time.Minute)
		began := time.Now()
		if _, err := secret(t.Context()); err == nil || !strings.Contains(err.Error(), "not answered within 1m") || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := secret(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(unlocked)
	})
}

func TestNoKeyringWhereNobodyIsLoggedIn(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("here is always one")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	if hasBus() {
		t.Skip("somebody is logged in")
	}
	_, err := FromKeyring("restante/alice", time.Minute)(t.Context())
	var h interface{ Hint() string }
	if err == nil || !strings.Contains(err.Error(), "no session bus") || !errors.As(err, &h) || !strings.Contains(h.Hint(), "password-command") {
		t.Error(err)
	}
	if err := os.WriteFile(dir+"/bus", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !hasBus() {
		t.Error("a bus is not seen")
	}
	// There is a bus, and nobody at it: still an error that says what to do.
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+dir+"/bus")
	if _, err := FromKeyring("restante/alice", time.Minute)(t.Context()); err == nil || !errors.As(err, &h) || !strings.Contains(h.Hint(), "password-file") {
		t.Error(err)
	}
}
