package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rotating gives refresh tokens that are good once: r1, then r2, … A token
// that comes again ends the grant, as it must (RFC 9700 section 4.14.2).
func rotating() *fake {
	var mu sync.Mutex
	next, ended := 1, false
	return &fake{answer: func(_ int, form url.Values) (int, string, error) {
		mu.Lock()
		defer mu.Unlock()
		if form.Get("refresh_token") != fmt.Sprint("r", next) || ended {
			ended = true
			return 400, `{"error":"invalid_grant","error_description":"spent"}`, nil
		}
		next++
		return 200, fmt.Sprintf(`{"access_token":"a%d","token_type":"Bearer","expires_in":3600,"refresh_token":"r%d"}`, next, next), nil
	}}
}

func TestTokensAreRenewedAndKept(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1", AccessToken: "old", RenewAt: time.Now().Add(-time.Second)})
	f := rotating()
	s := NewStored(clientOf(f), path)
	for range 3 { // one request for all of them
		if token, err := s.Token(t.Context(), ""); token != "a2" || err != nil {
			t.Fatal(token, err)
		}
	}
	if g := content(t, path); f.requests() != 1 || g.RefreshToken != "r2" || g.AccessToken != "a2" {
		t.Errorf("%d requests, %+v", f.requests(), g)
	}
	// Another process finds it there.
	if token, err := NewStored(clientOf(f), path).Token(t.Context(), ""); token != "a2" || err != nil || f.requests() != 1 {
		t.Error(token, err, f.requests())
	}
	// What the mail server has not taken is renewed, but once.
	for range 2 {
		if token, err := s.Token(t.Context(), "a2"); token != "a3" || err != nil || f.requests() != 2 {
			t.Error(token, err, f.requests())
		}
	}
	if f.forms[0].Get("grant_type") != "refresh_token" {
		t.Error(f.forms[0])
	}
}

// However many want a token at once, it is asked for once.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1"})
	f := rotating()
	var wg sync.WaitGroup
	for range 8 { // as many processes
		s := NewStored(clientOf(f), path)
		for range 2 {
			wg.Go(func() {
				if token, err := s.Token(t.Context(), ""); token != "a2" || err != nil {
					t.Error(token, err)
				}
			})
		}
	}
	wg.Wait()
	if n := f.requests(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// Who has waited for the lock finds what the others got meanwhile.
func TestAnotherProcessHasRenewedIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := keep(t, grant{RefreshToken: "r1"})
		release, err := lock(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		f := rotating()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if token, err := NewStored(clientOf(f), path).Token(t.Context(), ""); token != "a2" || err != nil {
					t.Error(token, err)
				}
			})
		}
		synctest.Wait() // until all have read the file, and wait for the lock
		renewed := &grant{TokenURL: "https://t.example/token", ClientID: "restante", RefreshToken: "r2", AccessToken: "a2", RenewAt: time.Now().Add(time.Hour)}
		if err := save(path, renewed); err != nil {
			t.Error(err)
		}
		release()
		wg.Wait()
		if n := f.requests(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestAServerThatDoesNotRotate(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1"})
	f := says(200, `{"access_token":"a","token_type":"Bearer"}`)
	if token, err := NewStored(clientOf(f), path).Token(t.Context(), ""); token != "a" || err != nil || content(t, path).RefreshToken != "r1" {
		t.Error(token, err)
	}
}

// The token file can be read by its owner only, whatever it was before.
func TestTheTokenFileIsPrivate(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("permissions are not like that here")
	}
	path := keep(t, grant{RefreshToken: "r1"})
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := NewStored(clientOf(rotating()), path).Token(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v: a token file and its lock are all there should be", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
}

// A new refresh token that cannot be kept is not used, and not forgotten.
func TestATokenIsKeptBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1"})
	dir, aside := filepath.Dir(path), filepath.Join(t.TempDir(), "aside")
	f := rotating()
	rotate := f.answer
	f.answer = func(n int, form url.Values) (int, string, error) {
		if err := os.Rename(dir, aside); err != nil { // the disk goes away
			t.Error(err)
		}
		return rotate(n, form)
	}
	s := NewStored(clientOf(f), path)
	token, err := s.Token(t.Context(), "")
	if err == nil || token != "" || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "r2") {
		t.Fatal(token, err)
	}
	os.RemoveAll(dir) // of the lock
	if err := os.Rename(aside, dir); err != nil {
		t.Fatal(err)
	}
	if g := content(t, path); g.RefreshToken != "r1" {
		t.Errorf("%+v", g)
	}
	if token, err := s.Token(t.Context(), ""); token != "a2" || err != nil || f.requests() != 1 || content(t, path).RefreshToken != "r2" {
		t.Error(token, err, f.requests())
	}
}

// Where the file cannot be written, the refresh token is not spent.
func TestNothingIsSpentThatCannotBeKept(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1"})
	f := rotating()
	s := NewStored(clientOf(f), path)
	// Nobody can make a file whose name is that long, root neither.
	long := filepath.Join(filepath.Dir(path), strings.Repeat("x", 247))
	if err := os.Rename(path, long); err != nil {
		t.Fatal(err)
	}
	s.path = long
	if _, err := s.Token(t.Context(), ""); err == nil || f.requests() != 0 {
		t.Error(err, f.requests())
	}
}

func TestARejectedGrantIsShownOnce(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r3fresh", AccessToken: "acc3ss"})
	f := says(400, `{"error":"invalid_grant","error_description":"Token has been revoked. r3fresh"}`)
	for range 3 { // three processes
		s := NewStored(clientOf(f), path)
		for range 3 {
			_, err := s.Token(t.Context(), "")
			if !is(err, ErrLoginNeeded) || !strings.Contains(err.Error(), "invalid_grant: Token has been revoked. •••") || strings.Contains(err.Error(), "r3") {
				t.Error(err)
			}
		}
	}
	if n := f.requests(); n != 1 {
		t.Errorf("%d requests", n)
	}
	// The server may have been wrong: the refresh token is still there.
	if g := content(t, path); g.RefreshToken != "r3fresh" || g.AccessToken != "" {
		t.Errorf("%+v", g)
	}
}

// A client the server does not know is a mistake in the configuration. It does
// no harm to the grant, and is no reason to ask again and again.
func TestARefusedClientDoesNotCostTheGrant(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1"})
	f := says(401, `{"error":"invalid_client"}`)
	s := NewStored(clientOf(f), path)
	for range 3 {
		if _, err := s.Token(t.Context(), ""); !is(err, ErrRefused) {
			t.Error(err)
		}
	}
	if f.requests() != 1 || content(t, path).Rejected != nil {
		t.Errorf("%d requests, %+v", f.requests(), content(t, path))
	}
	if token, err := NewStored(clientOf(rotating()), path).Token(t.Context(), ""); token != "a2" || err != nil {
		t.Error(token, err)
	}
}

func TestAnUnavailableServerDoesNotCostTheGrant(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1"})
	f := rotating()
	rotate := f.answer
	f.answer = func(n int, form url.Values) (int, string, error) {
		switch n {
		case 1:
			return 503, `{"error":"invalid_grant"}`, nil
		case 2:
			return 0, "", errors.New("connection refused")
		}
		return rotate(n, form)
	}
	s := NewStored(clientOf(f), path)
	for range 2 {
		if _, err := s.Token(t.Context(), ""); !is(err, ErrUnavailable) {
			t.Error(err)
		}
	}
	if token, err := s.Token(t.Context(), ""); token != "a2" || err != nil {
		t.Error(token, err)
	}
}

// A refresh token goes to the server that gave it, and as the client it was
// given to.
func TestAGrantIsShownToItsServerOnly(t *testing.T) {
	t.Parallel()
	for _, g := range []grant{
		{TokenURL: "https://other.example/token", ClientID: "restante", RefreshToken: "r1"},
		{TokenURL: "https://t.example/token", ClientID: "other", RefreshToken: "r1"},
	} {
		f := rotating()
		if _, err := NewStored(clientOf(f), keep(t, g)).Token(t.Context(), ""); !is(err, ErrLoginNeeded) || f.requests() != 0 {
			t.Error(err, f.requests())
		}
	}
}

func TestNoTokenFile(t *testing.T) {
	t.Parallel()
	f := rotating()
	path := filepath.Join(t.TempDir(), "alice")
	for _, text := range []string{"", "{", `{"refresh_token":""}`, "s3cret", strings.Repeat(" ", maxFile) + `{"refresh_token":"x"}`} {
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := NewStored(clientOf(f), path).Token(t.Context(), ""); !is(err, ErrLoginNeeded) || strings.Contains(err.Error(), "s3") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := NewStored(clientOf(f), filepath.Dir(path)).Token(t.Context(), ""); err == nil || f.requests() != 0 {
		t.Error("a directory is a token file")
	}
}

// What a process that was killed has left behind does not stay.
func TestDraftsAreSwept(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1"})
	left := filepath.Join(filepath.Dir(path), draftName(path)+"123")
	other := filepath.Join(filepath.Dir(path), draftName(path+"2")+"123") // of another account
	for _, name := range []string{left, other} {
		if err := os.WriteFile(name, []byte("r0"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewStored(clientOf(rotating()), path).Token(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

func TestWaitingForTheLockEndsWithTheContext(t *testing.T) {
	t.Parallel()
	path := keep(t, grant{RefreshToken: "r1"})
	release, err := lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	f := rotating()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewStored(clientOf(f), path).Token(ctx, ""); !errors.Is(err, context.Canceled) || f.requests() != 0 {
		t.Error(err, f.requests())
	}
	release()
	if token, err := NewStored(clientOf(f), path).Token(t.Context(), ""); token != "a2" || err != nil {
		t.Error(token, err)
	}
}

// TestAGrantIsKeptAfterAnError: the refresh token of before is spent by then.
func TestAGrantIsKeptAfterAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "alice")
	d, err := newDraft(path)
	if err != nil {
		t.Fatal(err)
	}
	d.file.Close() // so that nothing can be written to it
	if err := d.keep(&grant{RefreshToken: "r3fresh"}); err != nil {
		t.Fatal(err)
	}
	if g := content(t, path); g.RefreshToken != "r3fresh" {
		t.Errorf("%+v", g)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("there are %q, %v", left, err)
	}
}
