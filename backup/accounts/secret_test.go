package accounts

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestSecretFromEnvironment(t *testing.T) {
	if _, err := FromEnvironment("RESTANTE_NO_SUCH_VARIABLE")(t.Context()); err == nil {
		t.Error("a secret from nowhere")
	}
	t.Setenv(PasswordVariable, " a b ")
	if s, err := FromEnvironment(PasswordVariable)(t.Context()); err != nil || s != " a b " {
		t.Errorf("%q, %v", s, err)
	}
	t.Setenv(PasswordVariable, "")
	if _, err := FromEnvironment(PasswordVariable)(t.Context()); err == nil {
		t.Error("an empty secret")
	}
}

func TestSecretFromFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	for content, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", " secret \n\n": " secret \n",
		"": "", "\n": "", strings.Repeat("x", maxSecret+1): "",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := FromFile(file, nil)(t.Context())
		if s != want || (err == nil) != (want != "") {
			t.Errorf("%.20q gives %.20q, %v", content, s, err)
		}
	}
	if _, err := FromFile(file+"x", nil)(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestSecretFileThatEverybodyCanRead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("permissions are not like that here")
	}
	file := filepath.Join(t.TempDir(), "password")
	var b bytes.Buffer
	for mode, warn := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		os.WriteFile(file, []byte("hunter2"), 0o600)
		os.Chmod(file, mode)
		b.Reset()
		if _, err := FromFile(file, slog.New(slog.NewTextHandler(&b, nil)))(t.Context()); err != nil || (b.Len() > 0) != warn || strings.Contains(b.String(), "hunter2") {
			t.Errorf("%o: %v, %s", mode, err, b.String())
		}
	}
}

func TestSecretFromCommand(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for sh")
	}
	for _, test := range []struct{ name, line, want, says string }{
		{"one line", "echo secret", "secret", ""},
		{"the first of many", "printf 'secret\\r\\nuser: alice\\n'; echo warning >&2", "secret", ""},
		{"without a line end", "printf secret", "secret", ""},
		{"more output than is kept", "echo secret; head -c 200000 /dev/zero", "secret", ""},
		{"something left in the background", "echo secret; sleep 60 &", "secret", ""},
		{"nothing", "true", "", "is empty"},
		{"failure", "echo no such entry >&2; exit 3", "", "exit status 3: no such entry"},
		{"failure after the secret", "echo secret; exit 1", "", "exit status 1"},
		{"reads nothing", "cat; echo secret", "secret", ""},
		{"too slow", "exec sleep 60", "", "has not ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if test.name == "too slow" {
				timeout = 50 * time.Millisecond
			}
			s, err := FromCommand(test.line, timeout)(t.Context())
			if s != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q, %v", s, err)
			}
		})
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("no more time")
	cancel(reason)
	if _, err := FromCommand("echo secret", time.Minute)(ctx); !errors.Is(err, reason) {
		t.Error(err)
	}
}

func TestSecretFromPrompt(t *testing.T) {
	t.Parallel()
	ask := func(answer string, err error) Secret {
		return FromPrompt(func(_ context.Context, question string) (string, error) {
			if question != "Password: " {
				t.Errorf("asked %q", question)
			}
			return answer, err
		}, "Password: ")
	}
	if s, err := ask("secret", nil)(t.Context()); s != "secret" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if _, err := ask("", nil)(t.Context()); err == nil {
		t.Error("an empty answer")
	}
	if _, err := ask("x", os.ErrClosed)(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
