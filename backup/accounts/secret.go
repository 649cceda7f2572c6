package accounts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A Secret gets an account's password, or access token, from where it is kept.
type Secret func(ctx context.Context) (string, error)

// PasswordVariable is the environment variable that is looked at where nothing
// else is said.
const PasswordVariable = "RESTANTE_ACCOUNT_PASSWORD"

// maxSecret bounds what is read from a file or command.
const maxSecret = 64 << 10

// FromEnvironment takes the secret from an environment variable.
func FromEnvironment(variable string) Secret {
	return func(context.Context) (string, error) {
		s, ok := os.LookupEnv(variable)
		if !ok {
			return "", fmt.Errorf("the environment has no %s", variable)
		}
		return notEmpty(s, "the environment variable "+variable)
	}
}

// FromFile takes the secret from a file, without the line end at the file's
// end. A file that everybody on this computer may read is read as well, since
// containers are given such files, but log is told.
func FromFile(path string, log *slog.Logger) Secret {
	return func(context.Context) (string, error) {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("read a secret: %w", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 && log != nil {
			log.Warn("everybody on this computer can read the file with the secret", "file", path, "try", "chmod 600 "+path)
		}
		b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
		if err != nil {
			return "", fmt.Errorf("read a secret: %w", err)
		}
		if len(b) > maxSecret {
			return "", fmt.Errorf("read a secret: %s has more than %d octets", path, maxSecret)
		}
		return notEmpty(strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), path)
	}
}

// FromCommand takes the secret from the first line that a command prints. The
// shell runs it, with nothing to read; timeout bounds it. What it writes to
// standard error is shown if it fails.
func FromCommand(line string, timeout time.Duration) Secret {
	return func(ctx context.Context) (string, error) {
		out, err := output(ctx, line, timeout, maxSecret)
		if err != nil {
			return "", err
		}
		first, _, _ := strings.Cut(string(out), "\n")
		return notEmpty(strings.TrimSuffix(first, "\r"), "the first line that the command "+strconv.Quote(line)+" printed")
	}
}

// output is what a command prints, up to most octets. The shell runs it, with
// nothing to read.
func output(ctx context.Context, line string, timeout time.Duration, most int) ([]byte, error) {
	shell, flag := "/bin/sh", "-c"
	if runtime.GOOS == "windows" {
		shell, flag = "cmd", "/C"
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it has not ended within %v", timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, flag, line)
	out, complaint := limitedBuffer{most: most}, limitedBuffer{most: maxSecret}
	cmd.Stdout, cmd.Stderr = &out, &complaint
	cmd.WaitDelay = time.Second // for what it leaves running in the background
	err := cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		err = fmt.Errorf("the command %q: %w", line, err)
		if s := strings.TrimSpace(complaint.String()); s != "" {
			err = fmt.Errorf("%w: %s", err, s)
		}
		return nil, err
	}
	return out.Bytes(), nil
}

// FromPrompt takes the secret from a person, by way of ask.
func FromPrompt(ask func(ctx context.Context, question string) (string, error), question string) Secret {
	return func(ctx context.Context) (string, error) {
		s, err := ask(ctx, question)
		if err != nil {
			return "", fmt.Errorf("ask for a secret: %w", err)
		}
		return notEmpty(s, "the answer")
	}
}

func notEmpty(s, where string) (string, error) {
	if s == "" {
		return "", fmt.Errorf("%s is empty", where)
	}
	return s, nil
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct {
	bytes.Buffer
	most int // octets
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.most-b.Len())])
	return len(p), nil
}
