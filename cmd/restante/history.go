package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"restante/schedules/queue"
)

// history opens the database of restante serve, which must be there.
func (a *app) history(ctx context.Context) (*queue.Queue, error) {
	c, err := a.configuration()
	if err != nil {
		return nil, err
	}
	where, err := c.database()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(where); !queue.IsPostgres(where) && errors.Is(err, os.ErrNotExist) {
		return nil, withHint(fmt.Errorf("nothing was served here yet: there is no database %s", where), "restante serve makes one; [serve] in restante.toml says where it is")
	}
	return queue.Open(ctx, where, queue.Options{Log: a.warnings()})
}
