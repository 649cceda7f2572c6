package pop3source

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"restante/storage"
)

// A sighting is a message as snapshots know it.
type sighting struct {
	uid    uint32
	digest [sha256.Size]byte
}

// firstSeen tells from an account's snapshots when each message was first
// seen: when the run began whose snapshot is the first that has it. What the
// server or the message says of dates does not count; nor do snapshots that
// were forgotten, which makes messages younger than they are.
func firstSeen(ctx context.Context, repo *storage.Repository, account string) (map[sighting]time.Time, error) {
	first := map[sighting]time.Time{}
	seen := map[storage.BlobID]bool{} // pages
	known := func(page storage.BlobID) bool {
		before := seen[page]
		seen[page] = true
		return before
	}
	for _, s := range repo.Snapshots(account) { // oldest first
		tree, err := repo.OpenSnapshot(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("find out how old messages are: %w", err)
		}
		f := tree.Folder(inbox)
		if f == nil || tree.Kind != kind {
			continue
		}
		for list, err := range f.PageWise(ctx, known) {
			if err != nil {
				return nil, fmt.Errorf("find out how old messages are: %w", err)
			}
			for i := range list {
				k, ok := parseKey(list[i].Key)
				at := sighting{list[i].UID, k.digest}
				if _, before := first[at]; ok && !before {
					first[at] = s.StartedAt()
				}
			}
		}
	}
	return first, nil
}
