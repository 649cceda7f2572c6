package accounts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// FromKeyring takes the secret from the keyring of the person who is logged in
// to this computer: the Secret Service of a Linux desktop, the keychain of
// macOS, the credentials of Windows. entry is SERVICE/USER. A person may have to
// unlock it; timeout bounds that. Where nobody is logged in, as on servers,
// there is no keyring.
func FromKeyring(entry string, timeout time.Duration) Secret {
	return fromKeyring(systemKeyring, entry, timeout)
}

func fromKeyring(get func(service, user string) (string, error), entry string, timeout time.Duration) Secret {
	return func(ctx context.Context) (string, error) {
		i := strings.LastIndexByte(entry, '/')
		if i <= 0 || i == len(entry)-1 {
			return "", hint("for example restante/alice@example.org", "the keyring's entry %q is not SERVICE/USER", entry)
		}
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it has not answered within %v", timeout))
		defer cancel()
		type answer struct {
			secret string
			err    error
		}
		came := make(chan answer, 1)
		go func() { // the library cannot be called off
			secret, err := get(entry[:i], entry[i+1:])
			came <- answer{secret, err}
		}()
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the system's keyring: %w", context.Cause(ctx))
		case a := <-came:
			switch {
			case errors.Is(a.err, keyring.ErrNotFound):
				return "", hint("put it there with: "+storeCommand(runtime.GOOS, entry[:i], entry[i+1:]), "the system's keyring has no entry %s", entry)
			case a.err != nil:
				return "", hint("a computer where nobody is logged in has none; keep the password in a file (password-file) or have a command print it (password-command)",
					"the system's keyring: %w", a.err)
			}
			return notEmpty(a.secret, "the keyring's entry "+entry)
		}
	}
}

// systemKeyring is the library's Get, but for desktops' message bus: where there
// is none, the library would start one.
func systemKeyring(service, user string) (string, error) {
	if runtime.GOOS != "darwin" && runtime.GOOS != "windows" && !hasBus() {
		return "", errors.New("there is none (no session bus)")
	}
	return keyring.Get(service, user)
}

// hasBus reports whether there is a message bus of this session.
func hasBus() bool {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dirs := []string{filepath.Join("/run/user", strconv.Itoa(os.Getuid()))}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "bus")); err == nil {
			return true
		}
	}
	return false
}

// storeCommand is what a person types to put a password there. It asks for the
// password, so that it does not stand in the shell's history.
func storeCommand(system, service, user string) string {
	switch system {
	case "darwin":
		return fmt.Sprintf("security add-generic-password -s '%s' -a '%s' -w", service, user)
	case "windows":
		return fmt.Sprintf("cmdkey /generic:%s:%s /user:%s /pass", service, user, user)
	}
	return fmt.Sprintf("secret-tool store --label='%s' service '%s' username '%s'", service, service, user)
}
