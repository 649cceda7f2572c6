package queue

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

type classless struct{ Handler }

func (classless) Classify(error) Class { return "other" }

// TestErrorsFitIntoADatabase: PostgreSQL takes no text that is no UTF-8, and none
// with a NUL in it, and whoever writes down how a run ended tries until it does.
func TestErrorsFitIntoADatabase(t *testing.T) {
	t.Parallel()
	q := &Queue{o: Options{Now: time.Now, Backoff: func(int) (time.Duration, bool) { return 0, false }}}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, ctx := range []context.Context{t.Context(), stopped} {
		r := &Run{}
		q.settle(ctx, classless{}, r, Outcome{}, errors.New("open caf\xe9: \x00 permission denied"))
		if !utf8.ValidString(r.Error) || strings.Contains(r.Error, "\x00") || !strings.HasSuffix(r.Error, "permission denied") {
			t.Errorf("%q", r.Error)
		}
	}
}
