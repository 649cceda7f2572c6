package weather

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// echo is a server that greets, and then says everything back.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func open(t *testing.T, to string, o Options) *Way {
	w, err := Open(to, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// said sends octets and returns what comes back of them.
func said(t *testing.T, w *Way, sent []byte) ([]byte, error) {
	c, err := net.Dial("tcp", w.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(sent)
		c.(*net.TCPConn).CloseWrite()
		wrote <- err
	}()
	c.SetReadDeadline(time.Now().Add(time.Minute))
	got, err := io.ReadAll(c)
	c.Close() // what is still written is for nobody
	if reset := <-wrote; err == nil && errors.Is(reset, syscall.ECONNRESET) {
		err = reset // a system tells it once: to who reads or to who writes
	}
	return got, err
}

func TestTheSameSeedMakesTheSameWeather(t *testing.T) {
	t.Parallel()
	odds := Odds{Reset: 0.2, Silence: 0.1, Late: 0.5, Slow: 0.3, Drip: 0.1, WrongBody: 0.2, SlowDown: 0.1}
	different := false
	for n := range uint64(500) {
		if one, same := odds.trip(7, n), odds.trip(7, n); one != same {
			t.Fatalf("connection %d: %+v and %+v", n, one, same)
		}
		one, at := odds.spoil(7, n)
		if same, sameAt := odds.spoil(7, n); one != same || at != sameAt {
			t.Fatalf("request %d: %v at %v and %v at %v", n, one, at, same, sameAt)
		}
		a, b := odds.trip(7, n), odds.trip(8, n)
		different = different || a.end != b.end
	}
	if !different {
		t.Error("another seed makes the same weather")
	}
}

func TestFaultsOfConnections(t *testing.T) {
	t.Parallel()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 32<<10) // more than any fault waits for
	for _, c := range []struct {
		fault Fault
		whole bool // all comes back
		as    func(got []byte, err error) bool
	}{
		{"", true, nil},
		{Late, true, nil},
		{Slow, true, nil},
		{Drip, true, nil},
		{Reset, false, func(_ []byte, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{Cut, false, nil},
		{HalfClosed, false, func(_ []byte, err error) bool { return err == nil }},
		{Flipped, false, func(got []byte, err error) bool {
			wrong := 0
			for i := range min(len(got), len(sent)) {
				if got[i] != sent[i] {
					wrong++
				}
			}
			return err == nil && len(got) == len(sent) && wrong == 1
		}},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			t.Parallel()
			sent := sent
			if c.fault == Drip || c.fault == Slow {
				sent = sent[:20_000]
			}
			w := open(t, echo(t), Options{Seed: 3, Odds: Odds{c.fault: 1}})
			got, err := said(t, w, sent)
			if whole := bytes.Equal(got, sent); whole != c.whole {
				t.Errorf("%d of %d octets came back", len(got), len(sent))
			}
			if c.as != nil && !c.as(got, err) {
				t.Errorf("%d octets and %v", len(got), err)
			}
			if c.fault != "" && w.Faults()[c.fault] != 1 {
				t.Errorf("it counts %v", w.Faults())
			}
			if w.Moved() < 2 || w.Connections() != 1 {
				t.Errorf("%d moved on %d connections", w.Moved(), w.Connections())
			}
		})
	}
}

func TestNothingComesThroughAHoleOrAfterASilence(t *testing.T) {
	t.Parallel()
	for _, fault := range []Fault{Hole, Silence} {
		w := open(t, echo(t), Options{Seed: 1, Odds: Odds{fault: 1}})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c, err := net.Dial("tcp", w.Address())
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				go c.Write(make([]byte, 1<<20))
				n, err := io.Copy(io.Discard, c) // until Drop
				if n >= 1<<20 || fault == Hole && n > 0 {
					t.Errorf("%s: %d octets, %v", fault, n, err)
				}
			})
		}
		for w.Faults()[fault] < 8 {
			time.Sleep(time.Millisecond)
		}
		if n := w.Drop(); n != 8 {
			t.Errorf("%s: %d connections were there in the end", fault, n)
		}
		wg.Wait()
	}
}

// TestFaultsOfAnswers has a store that answers each request with its path.
func TestFaultsOfAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault Fault
		want  func(path string, status int, body string, err error) bool
		asked int // of three requests, the last two of which are the same, how many reach the store
	}{
		{"", func(path string, status int, body string, err error) bool { return status == 200 && body == path }, 3},
		{Truncated, func(path string, _ int, body string, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && len(body) < len(path)
		}, 3},
		{WrongBody, func(path string, _ int, body string, err error) bool { return len(body) == len(path) && body != path }, 3},
		{SlowDown, func(_ string, status int, body string, _ error) bool {
			return status == 503 && strings.Contains(body, "SlowDown")
		}, 0},
		{Applied, func(_ string, status int, _ string, _ error) bool { return status == 500 }, 3},
		{Skewed, func(_ string, status int, body string, _ error) bool {
			return status == 403 && strings.Contains(body, "RequestTimeTooSkewed")
		}, 0},
		{Elsewhere, func(_ string, status int, _ string, _ error) bool { return status == 307 }, 0},
		{Repeated, nil, 3},
	} {
		t.Run(string(c.fault), func(t *testing.T) {
			asked := 0
			store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				io.WriteString(w, r.URL.Path)
			}))
			defer store.Close()
			w := open(t, store.Listener.Addr().String(), Options{Seed: 5, HTTP: true, Odds: Odds{c.fault: 1}})
			client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{}}
			var got []string
			for i := range 3 {
				path := fmt.Sprintf("/object/%d", min(i, 1))
				r, err := client.Get("http://" + w.Address() + path)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(r.Body)
				r.Body.Close()
				got = append(got, string(body))
				if c.want != nil && !c.want(path, r.StatusCode, string(body), err) {
					t.Errorf("%s: %d %q %v", path, r.StatusCode, body, err)
				}
			}
			client.CloseIdleConnections()
			if want := []string{"/object/0", "/object/0", "/object/1"}; c.fault == Repeated && !slices.Equal(got, want) {
				t.Errorf("answered with %q, and should be with %q", got, want)
			}
			if asked != c.asked {
				t.Errorf("%d requests reached the store", asked)
			}
			if again := w.Again(); c.fault != "" && again == 0 {
				t.Errorf("nobody is seen to have asked again")
			}
		})
	}
}

func TestTwoAnswersAreSwapped(t *testing.T) {
	t.Parallel()
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	defer store.Close()
	w := open(t, store.Listener.Addr().String(), Options{HTTP: true, Odds: Odds{Swapped: 1}})
	for w.Faults()[Swapped] == 0 { // they may miss each other
		var got [2]string
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				r, err := http.Get(fmt.Sprintf("http://%s/%d", w.Address(), i))
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Body.Close()
				b, _ := io.ReadAll(r.Body)
				got[i] = string(b)
			})
		}
		wg.Wait()
		if swapped := w.Faults()[Swapped]; swapped > 0 && got != [2]string{"/1", "/0"} || swapped == 0 && got != [2]string{"/0", "/1"} {
			t.Fatalf("%q, and %d were swapped", got, swapped)
		}
	}
}

// TestNoAnswerLies: what was not done is never said to be, nor what is there to
// be away.
func TestNoAnswerLies(t *testing.T) {
	t.Parallel()
	ok, exists, away := &answer{status: 200}, &answer{status: 412}, &answer{status: 404}
	got := []bool{honest("PUT", ok, exists), honest("PUT", exists, ok), honest("DELETE", away, ok), honest("GET", ok, away), honest("GET", away, ok), honest("PUT", ok, ok)}
	if want := []bool{true, false, false, false, true, true}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, and should be %v", got, want)
	}
}

func TestAWayThatIsShut(t *testing.T) {
	t.Parallel()
	w := open(t, echo(t), Options{})
	w.Shut()
	if got, _ := said(t, w, []byte("hello")); len(got) > 0 {
		t.Errorf("a shut way says %q", got)
	}
	w.Let()
	if got, _ := said(t, w, []byte("hello")); string(got) != "hello" {
		t.Errorf("a way that was shut says %q", got)
	}
	if refused, _ := w.Turned(); refused != 1 {
		t.Errorf("%d were refused", refused)
	}
}
