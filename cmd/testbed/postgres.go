package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// postgres is the database that several machines share.
var postgres = service{
	name:     "postgresql",
	packages: []string{"postgresql"},
	version:  postgresInstalled,
	start:    startPostgres,
}

const (
	postgresUser     = "testbed"
	postgresPassword = "testbed"
)

// findPostgres finds one of PostgreSQL's programs. Debian keeps those of the
// server in a directory of each version.
func findPostgres(name string) (string, error) {
	if path, err := findProgram(name); err == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return "", errors.New("PostgreSQL's " + name + " is not installed")
	}
	return found[len(found)-1], nil
}

func postgresInstalled() (string, error) {
	if _, err := findPostgres("initdb"); err != nil {
		return "", err
	}
	program, err := findPostgres("postgres")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking PostgreSQL for its version: %w", err)
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), ") ")
	return "PostgreSQL " + version, nil
}

func startPostgres(ctx context.Context, b *bed) error {
	r, err := serverRole()
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "postgresql")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(postgresPassword+"\n"), 0o644); err != nil {
		return err
	}
	if r.other {
		if err := os.Lchown(dir, int(r.UID), int(r.GID)); err != nil {
			return err
		}
	}
	if err := makeCluster(ctx, dir, password, r); err != nil {
		return err
	}
	program, err := findPostgres("postgres")
	if err != nil {
		return err
	}
	for range startTries {
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		cmd := exec.Command(program, "-D", filepath.Join(dir, "data"), "-h", "127.0.0.1", "-p", fmt.Sprint(ports[0]), "-k", dir,
			"-c", "fsync=off", "-c", "max_connections=300", "-c", "log_timezone=UTC", "-c", "timezone=UTC")
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
		runAs(cmd, r)
		d, err := b.spawn("postgresql", cmd)
		if err != nil {
			return err
		}
		url := fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", postgresUser, postgresPassword, loopback(ports[0]))
		if err = d.await(ctx, b.postgresAnswers(url)); err == nil {
			b.set("TESTBED_POSTGRES", url)
			return nil
		}
		d.stop()
		if ctx.Err() != nil {
			return err
		}
	}
	return errors.New("PostgreSQL did not start; its log is postgresql.log")
}

// postgresAnswers returns nil if this very PostgreSQL answers: another testbed's,
// which may have been quicker to take the port, has the same user and password.
func (b *bed) postgresAnswers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		var its string
		if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&its); err != nil {
			return err
		}
		if its != filepath.Join(b.dir, "postgresql", "data") {
			return fmt.Errorf("somebody else's server, with its files in %s", its)
		}
		return nil
	}
}

// makeCluster makes the files of a new PostgreSQL server.
func makeCluster(ctx context.Context, dir, password string, r role) error {
	program, err := findPostgres("initdb")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "-D", filepath.Join(dir, "data"), "-U", postgresUser, "-A", "scram-sha-256", "--pwfile", password,
		"-E", "UTF8", "--locale", "C", "--no-sync")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	runAs(cmd, r)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making PostgreSQL's files: %w\n%s", err, out)
	}
	return nil
}
