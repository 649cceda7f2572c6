package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"restante/storage"
	"restante/storage/objects"
)

type initCmd struct {
	Recipient string `placeholder:"AGE1…" help:"Open the repository with this age recipient's identity instead of a passphrase."`
	Label     string `help:"What the first key slot is called."`
	NoProbe   bool   `help:"Do not ask the store first whether it keeps its word."`
}

func (*initCmd) Help() string {
	return `The repository is encrypted with a random key, which the passphrase opens. Whoever loses the passphrase has lost the mail: keep it somewhere else as well, or add a second key slot with 'restante key add'.

Before it writes anything, init proves that the store keeps its word (see restante probe).

Example:

  export RESTANTE_REPOSITORY=/srv/mail-archive
  restante init
  restante init --repository 's3://mail-archive?endpoint=https://s3.example.org&region=eu-1'`
}

func (c *initCmd) Run(ctx context.Context, a *app) error {
	if err := a.ownDirectory(); err != nil {
		return err
	}
	store, err := a.openStore(ctx, true)
	if err != nil {
		return err
	}
	lock := storage.Lock{Recipient: c.Recipient, Label: c.Label, WorkFactor: a.workFactor}
	if c.Recipient == "" {
		if lock.Passphrase, err = a.newPassphrase(ctx); err != nil {
			return err
		}
	}
	if !c.NoProbe {
		if _, err := objects.Probe(ctx, store, objects.ProbeOptions{}); err != nil {
			return fmt.Errorf("%s: %w", store.Location(), err)
		}
	}
	repo, err := storage.Init(ctx, store, lock, a.storageOptions())
	if err != nil {
		return err
	}
	defer repo.Close()
	if a.JSON {
		return a.printJSON(map[string]string{"repository": repo.Location(), "id": repo.ID()})
	}
	fmt.Fprintf(a.out, "made repository %s at %s\n", repo.ID()[:8], repo.Location())
	if c.Recipient == "" {
		fmt.Fprintln(a.out, "Without its passphrase nobody can read what will be in it. Keep the passphrase somewhere else, too.")
	}
	return nil
}

// ownDirectory refuses a directory that holds something else already. What an
// init that was interrupted left there is no harm.
func (a *app) ownDirectory() error {
	where, err := a.where()
	if err != nil || isBucket(where) {
		return err
	}
	entries, err := os.ReadDir(where)
	if err != nil {
		return nil // openStore says what it is
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "config":
			return nil
		case name != "lost+found" && name != ".tmp" && !strings.HasPrefix(name, "probe-"):
			return withHint(wrongUsage(fmt.Errorf("%s holds other files, among them %q", where, name)), "a repository wants a directory of its own, such as %s", filepath.Join(where, "restante"))
		}
	}
	return nil
}

// newPassphrase is a passphrase that is to be used from now on.
func (a *app) newPassphrase(ctx context.Context) (string, error) {
	p, given, err := a.givenPassphrase(ctx)
	if err != nil {
		return "", err
	}
	if !given {
		if p, err = a.ask(ctx, "New passphrase"); err != nil {
			return "", withHint(wrongUsage(fmt.Errorf("no passphrase was given, and %w", err)), "set RESTANTE_PASSPHRASE, or give --passphrase-file or --passphrase-command")
		}
		again, err := a.ask(ctx, "The same again")
		if err != nil {
			return "", err
		}
		if again != p {
			return "", wrongUsage(errors.New("the two passphrases differ"))
		}
	}
	if p == "" {
		return "", withHint(wrongUsage(errors.New("the passphrase is empty")), "any sentence will do that nobody else knows")
	}
	return p, nil
}
