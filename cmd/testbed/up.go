package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// runUp keeps the servers up, with sample mail, until a signal comes.
func runUp(signals <-chan os.Signal, o options) int {
	served := false
	err := untilSignal(signals, func(ctx context.Context) error {
		if err := up(ctx, o); err != nil {
			return err
		}
		served = true
		return nil
	})
	if served {
		return 0 // a signal is how it ends
	}
	return result(err)
}

func up(ctx context.Context, o options) error {
	b, err := startBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	if imap := b.env["TESTBED_IMAP"]; imap != "" {
		n, err := loadSample(ctx, imap, "alice")
		if err != nil {
			return fmt.Errorf("loading sample mail: %w", err)
		}
		fmt.Printf("alice has %d messages, bob has none; every user's password is testbed.\n", n)
	}
	exports := filepath.Join(b.dir, "env")
	if err := os.WriteFile(exports, []byte(b.exports()), 0o644); err != nil {
		return err
	}
	fmt.Print(b.howTo(exports))
	<-ctx.Done()
	return nil
}

// exports is the command's environment as lines for a shell.
func (b *bed) exports() string {
	var lines strings.Builder
	for _, v := range b.environ() {
		name, value, _ := strings.Cut(v, "=")
		if _, ours := b.env[name]; ours {
			fmt.Fprintf(&lines, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
		}
	}
	return lines.String()
}

// howTo says how to try Restante on the servers. The lines can be copied into
// a shell.
func (b *bed) howTo(exports string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "\nIn another terminal, for the addresses and credentials of all servers:\n\n  . %s\n", exports)
	repository := b.env["TESTBED_S3"]
	if repository == "" {
		repository = filepath.Join(b.dir, "repository")
	}
	imap := b.env["TESTBED_IMAPS"]
	if imap != "" {
		url := func(user string) string {
			return fmt.Sprintf("imaps://%s@%s?ca=%s", user, imap, b.env["TESTBED_CA"])
		}
		fmt.Fprintf(&text, `
Then back alice up:

  export RESTANTE_REPOSITORY='%s' RESTANTE_PASSPHRASE='testbed'
  export RESTANTE_ACCOUNT_PASSWORD=testbed
  go run ./cmd/restante init
  go run ./cmd/restante backup '%s'

bob, with an empty mailbox, is '%s'.
`, repository, url("alice"), url("bob"))
	}
	text.WriteString("\nCtrl-C stops the servers and forgets all that is in them.\n")
	return text.String()
}
