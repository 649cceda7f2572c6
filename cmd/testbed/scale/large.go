package scale

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// large is the account of one very large message. It is restored into a
// Maildir and into another account, and compared by its hash.
func (t *trial) large(ctx context.Context, octets int) error {
	t.site.Say("%s: writing a message of %d octets", t.name, octets)
	m, err := t.folder("INBOX")
	if err != nil {
		return err
	}
	sum := sha256.New()
	err = m.WriteFile(int64(octets), nil, at(0), func(path string) error {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		return writeLarge(io.MultiWriter(f, sum), int64(octets))
	})
	if err != nil {
		return err
	}
	if _, err := t.backup(ctx, first, 1, 1); err != nil {
		return err
	}
	if err := t.nothingChanged(ctx, 1); err != nil {
		return err
	}
	if err := t.nothingAtHand(ctx, 1, mostCold); err != nil {
		return err
	}
	want := hex.EncodeToString(sum.Sum(nil))
	dir := t.dir("restored")
	defer os.RemoveAll(dir)
	if _, _, err := t.run(ctx, "restore into files", "restore", t.user, "--to", "maildir:"+dir); err != nil {
		return err
	}
	if err := onlyMessage(dir, want); err != nil {
		return err
	}
	if _, _, err := t.run(ctx, "restore into an account", "restore", t.user, "--to", t.site.AccountURL(t.other())); err != nil {
		return err
	}
	if err := onlyMessage(filepath.Join(t.site.Mail, t.other()), want); err != nil {
		return err
	}
	_, _, err = t.run(ctx, "check --read-data", "check", "--read-data")
	return err
}

// onlyMessage says whether the one message in a directory of Maildirs is the
// one with this hash.
func onlyMessage(dir, want string) error {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if in := filepath.Base(filepath.Dir(path)); err != nil || d.IsDir() || in != "cur" && in != "new" {
			return err
		}
		found++
		got, err := hashOf(path)
		if err == nil && got != want {
			err = fmt.Errorf("%s is not the message that was backed up: its hash is %s, and was %s", path, got, want)
		}
		return err
	})
	if err == nil && found != 1 {
		err = fmt.Errorf("there are %d messages in %s, and there should be one", found, dir)
	}
	return err
}

// hashOf is the hash of a message with its lines ended as they were: the mail
// server keeps them with LF alone.
func hashOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if err := crlf(sum, bufio.NewReaderSize(f, 1<<20)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func crlf(to hash.Hash, from *bufio.Reader) error {
	for {
		line, err := from.ReadSlice('\n')
		if n := len(line); n > 0 && line[n-1] == '\n' && (n < 2 || line[n-2] != '\r') {
			to.Write(line[:n-1])
			to.Write([]byte("\r\n"))
		} else {
			to.Write(line)
		}
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}
