package site

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"filippo.io/age"
)

// Build builds restante, with flags of go build, and returns where the program
// is.
func (s *Site) Build(ctx context.Context, flags ...string) (string, error) {
	program := filepath.Join(s.Dir, "restante")
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build", "-o", program}, flags, []string{"restante/cmd/restante"})...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building restante: %w\n%s", err, out)
	}
	return program, nil
}

// Restante is the real program with a repository.
type Restante struct {
	Repository string // directory or URL
	Cache      string // directory

	site     *Site
	program  string
	config   string
	identity string
}

// NewRestante makes a repository. An identity opens it, since a passphrase
// would cost every start half a second.
func (s *Site) NewRestante(ctx context.Context, program, name, repository string) (*Restante, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Dir, name+".client")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	r := &Restante{
		Repository: repository, Cache: filepath.Join(dir, "cache"),
		site: s, program: program, config: filepath.Join(dir, "restante.toml"), identity: filepath.Join(dir, "identity"),
	}
	if err := os.WriteFile(r.config, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(r.identity, []byte(id.String()+"\n"), 0o600); err != nil {
		return nil, err
	}
	_, err = r.Do(ctx, "init", "--recipient", id.Recipient().String())
	return r, err
}

// With is the same repository with another cache, as another machine has it.
func (r *Restante) With(cache string) *Restante {
	other := *r
	other.Cache = cache
	return &other
}

// Remove removes the cache, and the repository if it is a directory.
func (r *Restante) Remove() error {
	if err := os.RemoveAll(filepath.Dir(r.config)); err != nil {
		return err
	}
	if !filepath.IsAbs(r.Repository) {
		return nil // a bucket goes with the testbed
	}
	return os.RemoveAll(r.Repository)
}

// Command is a run of restante.
func (r *Restante) Command(command string, args ...string) *exec.Cmd {
	all := []string{command, "--config", r.config, "--repository", r.Repository, "--cache-dir", r.Cache, "--identity", r.identity, "--quiet"}
	cmd := r.site.Command(r.program, append(all, args...)...)
	cmd.Env = append(cmd.Env, "RESTANTE_ACCOUNT_PASSWORD="+Password)
	return cmd
}

// Do runs restante and returns what it printed. Any exit code but 0 is an
// error.
func (r *Restante) Do(ctx context.Context, command string, args ...string) (string, error) {
	return r.site.Output(ctx, r.Command(command, args...))
}

// A Backup is what a run of restante backup --json says of itself.
type Backup struct {
	Account  string    `json:"account"`
	Snapshot *Snapshot `json:"snapshot"`
	Requests int64     `json:"store_requests"`
	Sent     int64     `json:"store_bytes_sent"`    // octets
	Fetched  int64     `json:"store_bytes_fetched"` // octets
}

// A Snapshot is what restante says of one.
type Snapshot struct {
	ID         string    `json:"id"`
	Account    string    `json:"account"`
	Started    time.Time `json:"started"`
	Messages   int64     `json:"messages"`
	New        int64     `json:"new"`
	Partial    bool      `json:"partial"`
	Incomplete bool      `json:"incomplete"`
}

// ParseBackup reads what a backup of one account printed.
func ParseBackup(out string) (*Backup, error) {
	var runs []Backup
	if err := json.Unmarshal([]byte(out), &runs); err != nil {
		return nil, fmt.Errorf("reading what restante backup --json printed: %w\n%s", err, out)
	}
	if len(runs) != 1 || runs[0].Snapshot == nil {
		return nil, fmt.Errorf("restante backup --json printed no snapshot:\n%s", out)
	}
	if s := runs[0].Snapshot; s.Incomplete || s.Partial {
		return nil, fmt.Errorf("the backup is not complete:\n%s", out)
	}
	return &runs[0], nil
}

// Snapshots lists the snapshots, those of one account in the order they were
// made.
func (r *Restante) Snapshots(ctx context.Context, account ...string) ([]Snapshot, error) {
	out, err := r.Do(ctx, "snapshots", append(account, "--json")...)
	if err != nil {
		return nil, err
	}
	var list []Snapshot
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("reading what restante snapshots --json printed: %w\n%s", err, out)
	}
	return list, nil
}

// Stored is how many octets the repository has in the store, all objects
// counted.
func (r *Restante) Stored(ctx context.Context) (int64, error) {
	if filepath.IsAbs(r.Repository) {
		return DirSize(r.Repository)
	}
	out, err := r.Do(ctx, "stats", "--json")
	if err != nil {
		return 0, err
	}
	var stats struct {
		Total struct {
			Bytes int64 `json:"bytes"`
		} `json:"total"`
	}
	if err := json.Unmarshal([]byte(out), &stats); err != nil {
		return 0, fmt.Errorf("reading what restante stats --json printed: %w\n%s", err, out)
	}
	return stats.Total.Bytes, nil
}

// DirSize is how many octets the files below a directory have.
func DirSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}
