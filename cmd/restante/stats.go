package main

import (
	"context"
	"fmt"
)

type statsCmd struct{}

func (*statsCmd) Help() string {
	return `Example:

  restante stats --json`
}

func (*statsCmd) Run(ctx context.Context, a *app) error {
	repo, _, err := a.openRepository(ctx, false)
	if err != nil {
		return err
	}
	defer repo.Close()
	s, err := repo.Stats(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(s)
	}
	fmt.Fprintf(a.out, "repository %s at %s\n", repo.ID()[:8], repo.Location())
	fmt.Fprintf(a.out, "local cache: %s\n\n", repo.CacheDir())
	err = a.table(func(row func(...any)) {
		row("ACCOUNT", "SNAPSHOTS", "FIRST", "LATEST", "MESSAGES", "SIZE")
		for _, acct := range s.Accounts {
			row(acct.Account, acct.Snapshots, at(acct.First), at(acct.Latest), count(acct.Messages), octets(acct.Bytes))
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	err = a.table(func(row func(...any)) {
		row("CONTENT", "BLOBS", "SIZE", "COMPRESSED")
		for _, c := range s.Classes {
			row(c.Class, count(c.Blobs), octets(c.Raw), octets(c.Boxes))
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	err = a.table(func(row func(...any)) {
		row("OBJECTS", "NUMBER", "SIZE")
		for _, o := range s.Objects {
			row(o.Kind, count(o.Number), octets(o.Bytes))
		}
		row("total", count(s.Total.Number), octets(s.Total.Bytes))
	})
	if err == nil && s.Total.Bytes > 0 && s.Bytes > 0 {
		fmt.Fprintf(a.out, "\nThe latest snapshots hold %s of mail; the store holds %s for all snapshots: %.1f %%.\n", octets(s.Bytes), octets(s.Total.Bytes), 100*float64(s.Total.Bytes)/float64(s.Bytes))
	}
	return err
}
