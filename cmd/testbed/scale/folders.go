package scale

import (
	"context"
	"fmt"
)

// folders is the account of very many folders, with two messages each.
func (t *trial) folders(ctx context.Context, n int) error {
	names := []string{"INBOX"}
	for len(names) < n {
		names = append(names, fmt.Sprintf("Folder %05d", len(names)))
	}
	if err := t.prepare(ctx, names, 2*n); err != nil {
		return err
	}
	if _, err := t.backup(ctx, first, 2*n, 2*n); err != nil {
		return err
	}
	if err := t.nothingChanged(ctx, 2*n); err != nil {
		return err
	}
	return t.nothingAtHand(ctx, 2*n, mostCold)
}
