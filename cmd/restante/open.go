package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"

	"restante/backup/accounts"
	"restante/storage"
	"restante/storage/objects"
	"restante/storage/objects/s3"
)

// lookupEnv finds a variable that is set to something.
func lookupEnv(name string) (string, bool) {
	value := os.Getenv(name)
	return value, value != ""
}

// openStore opens the object store that the repository is, or will be, in.
func (a *app) openStore(ctx context.Context, create bool) (*objects.Counter, error) {
	where, err := a.where()
	if err != nil {
		return nil, err
	}
	var store objects.Store
	switch {
	case isBucket(where):
		if store, err = s3.Open(ctx, where, a.storeLog()); err != nil && !errors.Is(err, objects.ErrRefused) {
			err = withHint(wrongUsage(err), "a bucket is written s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION")
		}
	case strings.Contains(where, "://"):
		scheme, _, _ := strings.Cut(where, ":") // what follows may hold a password
		err = withHint(wrongUsage(fmt.Errorf("there are no repositories in %q", scheme+"://")), "write a directory, or s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION")
	case create:
		store, err = objects.CreateDir(where)
	default:
		store, err = objects.OpenDir(where)
		if info, statErr := os.Stat(where); errors.Is(err, os.ErrNotExist) || statErr == nil && !info.IsDir() {
			err = fmt.Errorf("%s: %w", where, storage.ErrNoRepository)
		}
	}
	if err != nil {
		return nil, err
	}
	a.store = objects.Counted(store)
	return a.store, nil
}

func (a *app) where() (string, error) {
	if a.Repository != "" {
		return a.Repository, nil
	}
	c, err := a.configuration()
	if err != nil {
		return "", err
	}
	if c.Repository == "" {
		return "", withHint(wrongUsage(fmt.Errorf("which repository?")), "give --repository, set RESTANTE_REPOSITORY, or write it into restante.toml")
	}
	if strings.Contains(c.Repository, "://") {
		return c.Repository, nil
	}
	return beside(c.path, c.Repository), nil
}

// isBucket tells the URL of a bucket from a directory.
func isBucket(where string) bool { return strings.HasPrefix(strings.ToLower(where), "s3:") }

// warnings is a log that a person reads of what is not worth an error.
func (a *app) warnings() *slog.Logger {
	if a.Verbose || a.serves {
		return a.log
	}
	return newLog(a.screen, slog.LevelWarn)
}

// storeLog is the log of a store that keeps everybody waiting, which is
// progress of a kind: cron sends mail for every line, and a program that wants
// JSON reads no others.
func (a *app) storeLog() *slog.Logger {
	if a.Quiet || a.JSON {
		return a.log
	}
	return a.warnings()
}

func (a *app) storageOptions() storage.Options {
	dir := a.CacheDir
	if c, err := a.configuration(); err == nil && dir == "" {
		dir = beside(c.path, c.CacheDir)
	}
	if dir == "" {
		if user, err := os.UserCacheDir(); err == nil {
			dir = filepath.Join(user, "restante")
		}
	}
	return storage.Options{CacheDir: dir, Writer: "restante " + version() + " on " + hostname(), Log: a.warnings()}
}

func hostname() string {
	name, _ := os.Hostname()
	return name
}

// openRepository opens the repository.
func (a *app) openRepository(ctx context.Context, stale bool) (*storage.Repository, *objects.Counter, error) {
	o := a.storageOptions()
	o.Stale = stale
	return a.openRepositoryWith(ctx, o)
}

func (a *app) openRepositoryWith(ctx context.Context, o storage.Options) (*storage.Repository, *objects.Counter, error) {
	store, err := a.openStore(ctx, false)
	if err != nil {
		return nil, nil, err
	}
	unlock, err := a.unlock(ctx)
	if err != nil {
		return nil, nil, err
	}
	repo, err := storage.Open(ctx, store, unlock, o)
	return repo, store, err
}

// openProof opens the repository once more, with no cache: what it reads comes
// from the store.
func (a *app) openProof(ctx context.Context) (*storage.Repository, error) {
	unlock, err := a.unlock(ctx)
	if err != nil {
		return nil, err
	}
	o := a.storageOptions()
	o.CacheDir = ""
	return storage.Open(ctx, a.store, unlock, o)
}

// unlock gathers what may open the repository, once.
func (a *app) unlock(ctx context.Context) (storage.Unlock, error) {
	if a.unlocks == nil {
		u, err := a.gatherUnlock(ctx)
		if err != nil {
			return u, err
		}
		if u.Passphrase != nil {
			u.Passphrase = sync.OnceValues(u.Passphrase)
		}
		a.unlocks = &u
	}
	return *a.unlocks, nil
}

func (a *app) gatherUnlock(ctx context.Context) (storage.Unlock, error) {
	var u storage.Unlock
	c, err := a.configuration()
	if err != nil {
		return u, err
	}
	identity := a.Identity
	if identity == "" {
		identity = c.Identity
	}
	if identity != "" {
		b, err := os.ReadFile(identity)
		if err != nil {
			return u, fmt.Errorf("identities: %w", err)
		}
		if u.Identities, err = age.ParseIdentities(bytes.NewReader(b)); err != nil {
			return u, fmt.Errorf("identities in %s: %w", identity, err)
		}
	}
	given, ok, err := a.givenPassphrase(ctx)
	if err != nil {
		return u, err
	}
	if ok {
		u.Passphrase = func() (string, error) { return given, nil }
	} else if len(u.Identities) == 0 {
		u.Passphrase = func() (string, error) {
			p, err := a.ask(ctx, "Passphrase of the repository")
			if err != nil {
				return "", &marked{fmt.Errorf("no passphrase was given, and %w", err), storage.ErrWrongKey}
			}
			return p, nil
		}
	}
	return u, nil
}

// givenPassphrase is the passphrase, if it need not be asked for: what was said
// on the command line, else the environment, else the configuration.
func (a *app) givenPassphrase(ctx context.Context) (passphrase string, given bool, err error) {
	c, err := a.configuration()
	if err != nil {
		return "", false, err
	}
	variable, _ := a.env("RESTANTE_PASSPHRASE")
	for _, s := range []struct{ file, command, value string }{
		{file: a.PassphraseFile}, {command: a.PassphraseCommand}, {value: variable},
		{file: beside(c.path, c.PassphraseFile)}, {command: c.PassphraseCommand},
	} {
		secret := accounts.FromFile(s.file, a.warnings())
		switch {
		case s.value != "":
			return s.value, true, nil
		case s.command != "":
			secret = accounts.FromCommand(s.command, commandTimeout)
		case s.file == "":
			continue
		}
		if passphrase, err = secret(ctx); err != nil {
			return "", false, fmt.Errorf("passphrase of the repository: %w", err)
		}
		return passphrase, true, nil
	}
	return "", false, nil
}

// beside makes a path in the configuration file relative to that file.
func beside(config, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(config), path)
}
