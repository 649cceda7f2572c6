package ledger

import (
	"fmt"
	"testing"
)

// TestSlotHasTwelveDigits or more.
func TestSlotHasTwelveDigits(t *testing.T) {
	for _, n := range []uint64{0, 1, 9, 10, 123_456, 999_999_999_999, 1_000_000_000_000, 1<<64 - 1} {
		if got, want := Slot(n), fmt.Sprintf("ledger/%012d", n); got != want {
			t.Errorf("entry %d is named %s, not %s", n, got, want)
		}
	}
}
