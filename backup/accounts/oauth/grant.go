package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A grant is what a person's login is worth, as it is kept in a file. It is
// shown to nobody but the server and as the client that it is of.
type grant struct {
	TokenURL     string     `json:"token_url"`
	ClientID     string     `json:"client_id"`
	RefreshToken string     `json:"refresh_token"`
	AccessToken  string     `json:"access_token,omitempty"`
	RenewAt      time.Time  `json:"renew_at,omitzero"` // the access token
	Ends         time.Time  `json:"ends,omitzero"`     // the grant, where the server says so
	Rejected     *rejection `json:"rejected,omitempty"`
}

// A rejection is a grant's end: the refresh token is not sent again. It stays
// in the file, for whoever finds that the server was wrong.
type rejection struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// usable returns the access token if a mail server may take it.
func (g *grant) usable(now time.Time, refused string) (string, bool) {
	return g.AccessToken, g.AccessToken != "" && g.AccessToken != refused && now.Before(g.RenewAt)
}

// maxFile is how long the file of a grant may be, in octets.
const maxFile = 64 << 10

// readGrant reads the file of a grant. Its errors never repeat what is in it.
func readGrant(path string) (*grant, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: nobody has yet", ErrLoginNeeded)
	}
	if err != nil {
		return nil, fmt.Errorf("read the token file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read the token file: %w", err)
	}
	g := new(grant)
	if len(b) > maxFile || json.Unmarshal(b, g) != nil || g.RefreshToken == "" {
		return nil, fmt.Errorf("%w: %s is no token file, or a damaged one", ErrLoginNeeded, path)
	}
	return g, nil
}

// A draft is a new file for a grant, with room for it, before it takes the old
// one's place. It is made before a refresh token is spent, so that a full disk
// or a missing permission is found while the old one is still good. The token
// file is locked meanwhile.
type draft struct {
	file *os.File
	path string
}

func newDraft(path string) (*draft, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the token file: %w", err)
	}
	return draftIn(path)
}

// draftIn makes a draft in a directory that is there.
func draftIn(path string) (*draft, error) {
	sweep(path)
	f, err := os.CreateTemp(filepath.Dir(path), draftName(path)+"*") // with mode 0600
	if err != nil {
		return nil, fmt.Errorf("make a new token file: %w", err)
	}
	d := &draft{f, path}
	_, err = f.Write(make([]byte, maxFile))
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		d.discard()
		return nil, fmt.Errorf("make a new token file: %w", err)
	}
	return d, nil
}

func draftName(path string) string { return "." + filepath.Base(path) + ".new-" }

// sweep removes what a process that was killed left behind: there may be tokens
// in it. Whoever has the lock is the only one with a draft.
func sweep(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), draftName(path)) {
			os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// keep writes the grant and puts the file in its place. When it returns nil,
// the grant outlives a loss of power. The old one may be spent, so an error of
// the disk is not the end: there is another try, with a new file, unless the
// directory has gone, as that of a disk that was taken away.
func (d *draft) keep(g *grant) error {
	err := d.put(g)
	if err == nil {
		return nil
	}
	if another, failed := draftIn(d.path); failed == nil && another.put(g) == nil {
		return nil
	}
	return fmt.Errorf("keep the new tokens in %s: %w", d.path, err)
}

func (d *draft) put(g *grant) error {
	b, err := json.MarshalIndent(g, "", "  ")
	if err == nil && len(b) >= maxFile {
		err = errors.New("the tokens are too long")
	}
	if err == nil {
		_, err = d.file.WriteAt(append(b, '\n'), 0)
	}
	if err == nil {
		err = d.file.Truncate(int64(len(b) + 1))
	}
	if err == nil {
		err = d.file.Sync()
	}
	if err == nil {
		err = d.file.Close()
	}
	if err == nil {
		err = os.Rename(d.file.Name(), d.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(d.path))
	}
	if err != nil {
		d.discard()
	}
	return err
}

// discard removes a draft that was not kept.
func (d *draft) discard() {
	d.file.Close()
	os.Remove(d.file.Name()) // it is gone if it was kept
}

// syncDir makes a rename last. Windows has no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
