package main

import (
	"context"
	"fmt"

	"restante/storage/objects"
)

type probeCmd struct {
	Quick bool `help:"Only what init asks."`
}

func (*probeCmd) Help() string {
	return `Some stores that speak S3 ignore conditional writes, lose a winner, or list what is no longer there. A repository in such a store would lose mail. probe writes some objects under a name of its own, races for them over many connections, reads and lists them, and removes them.

Exit code 12 says that the store must not be used.

Example:

  restante probe --repository 's3://mail-archive?endpoint=https://s3.example.org&region=eu-1'`
}

func (c *probeCmd) Run(ctx context.Context, a *app) error {
	store, err := a.openStore(ctx, true)
	if err != nil {
		return err
	}
	options := objects.ThoroughProbe
	if c.Quick {
		options = objects.ProbeOptions{}
	}
	report, err := objects.Probe(ctx, store, options)
	if a.JSON {
		if printErr := a.printJSON(report); printErr != nil {
			return printErr
		}
	} else {
		fmt.Fprintf(a.out, "%s\n%s", store.Location(), report)
	}
	if err != nil {
		return err
	}
	if !a.JSON {
		fmt.Fprintln(a.out, "the store keeps its word")
	}
	return nil
}
