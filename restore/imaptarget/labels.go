package imaptarget

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"restante/restore"
)

// Labelling says whether the server knows Gmail's labels.
func (b *box) Labelling() bool { return b.c.HasLabels() }

// Labels tells of the labels of all messages.
func (b *box) Labels(ctx context.Context, each func(id string, labels []string)) error {
	if b.empty() {
		return nil
	}
	defer b.c.Bind(ctx)()
	return b.labelError(b.c.AllLabels(func(uid uint32, labels []string) { each(name(uid), labels) }))
}

// labelError explains an error, and marks it where the server said no.
func (b *box) labelError(err error) error {
	switch {
	case err == nil:
		return nil
	case refused(b.c, err):
		return fmt.Errorf("%w: %w", restore.ErrNotTaken, err)
	}
	return explain(b.c, "labels", err)
}

// labelAtOnce is how many messages one STORE is about.
const labelAtOnce = 500

// Label gives labels to messages, which keep those they have.
func (b *box) Label(ctx context.Context, ids, labels []string) error {
	defer b.c.Bind(ctx)()
	for part := range slices.Chunk(ids, labelAtOnce) {
		var uids []uint32
		for _, id := range part {
			uid, err := strconv.ParseUint(id, 10, 32)
			if err != nil {
				return fmt.Errorf("%q is no UID", id)
			}
			uids = append(uids, uint32(uid))
		}
		if err := b.labelError(b.c.AddLabels(setOf(uids), labels)); err != nil {
			return err
		}
	}
	return nil
}
