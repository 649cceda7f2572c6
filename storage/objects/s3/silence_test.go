package s3

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// listened has the log of s written into what it returns, each line with the
// seconds that have passed.
func listened(s *Store) *bytes.Buffer {
	var b bytes.Buffer
	began := time.Now()
	s.silence.log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Int("at", int(time.Since(began).Round(time.Second).Seconds()))
			}
			return a
		},
	}))
	return &b
}

// wantTold compares the lines of a log with what each must have, in order.
func wantTold(t *testing.T, log *bytes.Buffer, want ...string) {
	t.Helper()
	var lines []string
	if log.Len() > 0 {
		lines = strings.Split(strings.TrimSpace(log.String()), "\n")
	}
	for i, line := range lines {
		if i < len(want) && !strings.Contains(line, want[i]) {
			t.Errorf("line %d is %s, which has no %q", i, line, want[i])
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d lines were logged, want %d:\n%s", len(lines), len(want), log)
	}
}

func TestAStoreThatIsSilentIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := openFake(t, func(r *http.Request) (*http.Response, error) {
			if r.Body != nil {
				io.Copy(io.Discard, r.Body) // the system takes it
			}
			if time.Since(began) > 100*time.Second {
				return ok(), nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		log := listened(s)
		if err := s.Put(t.Context(), "a", []byte("x")); err != nil {
			t.Fatal(err)
		}
		wantTold(t, log, "at=15 level=WARN", "at=30 ", `at=60 `, `at=120 `, `level=WARN msg="the store answers again" store="s3://bucket/pre?endpoint=http://fake.test" after=2m`)
		if !strings.Contains(log.String(), `for=2m0s "last answer"=`) || !strings.Contains(log.String(), "no progress for 1m0s") {
			t.Errorf("it is not told what the last try came to:\n%s", log)
		}
	})
}

func TestAStoreThatWantsToBeLeftAloneIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openFake(t, inTurn(slowDown("80"), ok))
		log := listened(s)
		if err := s.Put(t.Context(), "a", nil); err != nil {
			t.Fatal(err)
		}
		wantTold(t, log, `at=15 level=WARN msg="the store keeps us waiting; it is asked again until it answers, or for a few minutes"`, "at=30 ", "SlowDown", "the store answers again")
	})
}

func TestAStoreThatIsDownIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := openFake(t, func(*http.Request) (*http.Response, error) {
			if time.Since(began) > 20*time.Second {
				return ok(), nil
			}
			return fault(500, "InternalError"), nil
		})
		s.patience.tries, s.patience.most = 100, time.Second
		log := listened(s)
		for range 2 {
			if err := s.Put(t.Context(), "a", nil); err != nil {
				t.Fatal(err)
			}
		}
		wantTold(t, log, "at=15 ", "the store answers again")
	})
}

// TestAStoreThatIsSlowIsNotTold: octets that go out or come in are something,
// and what we do between two of a list is not the store's doing.
func TestAStoreThatIsSlowIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openFake(t, func(r *http.Request) (*http.Response, error) {
			switch {
			case r.URL.Query().Has("list-type"):
				return page("", "pre/a", "pre/b", "pre/c"), nil
			case r.Method == http.MethodGet:
				response := reply(200, strings.Repeat("x", 100))
				response.Body = &slowly{r: response.Body}
				return response, nil
			}
			_, err := io.Copy(io.Discard, &slowly{r: r.Body})
			return ok(), err
		})
		log := listened(s)
		if err := s.Put(t.Context(), "a", bytes.Repeat([]byte("x"), 100)); err != nil {
			t.Error(err)
		}
		if _, err := s.Get(t.Context(), "a", 0, -1); err != nil {
			t.Error(err)
		}
		n := 0
		for info, err := range s.List(t.Context(), "", "") {
			if err != nil {
				t.Error(err)
			}
			n += len(info.Name)
			time.Sleep(time.Minute)
		}
		if n != 3 {
			t.Errorf("%d of three objects were listed", n)
		}
		time.Sleep(time.Minute) // nobody waits
		wantTold(t, log)
	})
}

// slowly reads ten octets every ten seconds.
type slowly struct{ r io.Reader }

func (s *slowly) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Second)
	return s.r.Read(p[:min(len(p), 10)])
}

func (s *slowly) Close() error { return nil }
