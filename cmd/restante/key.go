package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"restante/backup/accounts"
	"restante/storage"
)

type keyCmd struct {
	List   keyListCmd   `cmd:"" help:"List the key slots."`
	Add    keyAddCmd    `cmd:"" help:"Add a key slot."`
	Remove keyRemoveCmd `cmd:"" help:"Remove a key slot."`
}

type keyListCmd struct{}

func (*keyListCmd) Help() string {
	return `Example:

  restante key list`
}

type keyJSON struct {
	ID        string    `json:"id"`
	How       string    `json:"how"`
	Label     string    `json:"label,omitempty"`
	Recipient string    `json:"recipient,omitempty"`
	Added     time.Time `json:"added"`
	InUse     bool      `json:"in_use"`
}

func (*keyListCmd) Run(ctx context.Context, a *app) error {
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	slots, used := repo.Keys()
	if a.JSON {
		out := []keyJSON{}
		for _, k := range slots {
			out = append(out, keyJSON{k.ID.String(), k.How, k.Label, k.Recipient, time.Unix(k.Added, 0).UTC(), k.ID == used})
		}
		return a.printJSON(out)
	}
	return a.table(func(row func(...any)) {
		row("ID", "OPENED BY", "ADDED", "LABEL", "")
		for _, k := range slots {
			note := ""
			if k.ID == used {
				note = "in use"
			}
			how := k.How
			if k.Recipient != "" {
				how += " " + cut(k.Recipient, 24)
			}
			row(k.ID.Short(), how, at(time.Unix(k.Added, 0)), k.Label, note)
		}
	})
}

type keyAddCmd struct {
	Label             string `help:"What the slot is called."`
	Recipient         string `placeholder:"AGE1…" help:"For this age recipient's identity instead of a passphrase."`
	NewPassphraseFile string `placeholder:"FILE" help:"File with the new passphrase; otherwise it is asked for."`
}

func (*keyAddCmd) Help() string {
	return `Each slot opens the repository by itself. A passphrase in a safe is worth a slot of its own.

Example:

  restante key add --label "office safe"
  restante key add --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p`
}

func (c *keyAddCmd) Run(ctx context.Context, a *app) error {
	lock := storage.Lock{Label: c.Label, Recipient: c.Recipient}
	if c.NewPassphraseFile != "" {
		p, err := accounts.FromFile(c.NewPassphraseFile, a.warnings())(ctx)
		if err != nil {
			return err
		}
		lock.Passphrase = p
	}
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	if lock.Passphrase == "" && lock.Recipient == "" {
		if lock.Passphrase, err = a.ask(ctx, "New passphrase"); err != nil {
			return withHint(wrongUsage(fmt.Errorf("no new passphrase was given, and %w", err)), "give --new-passphrase-file or --recipient")
		}
		again, err := a.ask(ctx, "The same again")
		if err != nil {
			return err
		}
		if again != lock.Passphrase {
			return wrongUsage(errors.New("the two passphrases differ"))
		}
	}
	k, err := repo.AddKey(ctx, lock)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(keyJSON{ID: k.ID.String(), How: k.How, Label: k.Label, Recipient: k.Recipient, Added: time.Now().UTC()})
	}
	fmt.Fprintf(a.out, "added key slot %s\n", k.ID.Short())
	return nil
}

type keyRemoveCmd struct {
	ID string `arg:"" help:"What the slot's id begins with, as key list shows it."`
}

func (*keyRemoveCmd) Help() string {
	return `The slot that opened the repository cannot be removed; open it with another one. Whoever had the removed passphrase and kept a copy of the slot or the key can still read what they can get of the repository.

Example:

  restante key remove 4be0d3a1`
}

func (c *keyRemoveCmd) Run(ctx context.Context, a *app) error {
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	k, err := repo.RemoveKey(ctx, c.ID)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(map[string]string{"removed": k.ID.String()})
	}
	fmt.Fprintf(a.out, "removed key slot %s\n", k.ID.Short())
	return nil
}
