package calendar

import (
	"testing"

	"github.com/robfig/cron/v3"
)

// TestFaultOfTheLibrary shows a fault of robfig/cron as it is published, which
// backup/accounts/UPSTREAM.md describes in section 31. It fails when that is gone.
func TestFaultOfTheLibrary(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("cron does it right now: section 31 of UPSTREAM.md can go, and Parse need not look for TZ=")
		}
	}()
	cron.ParseStandard("TZ=UTC")
}
