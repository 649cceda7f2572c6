package retention

import (
	"fmt"

	"restante/storage"
)

// Last keeps the newest so many snapshots.
type Last int

// String implements [Rule].
func (n Last) String() string { return fmt.Sprintf("last %d", int(n)) }

// Keep implements [Rule].
func (n Last) Keep(list []storage.Snapshot, _ When) []string {
	why := make([]string, len(list))
	for i := range min(int(n), len(list)) {
		why[i] = ordinal(i+1, int(n))
	}
	return why
}
