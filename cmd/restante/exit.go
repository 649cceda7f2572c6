package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/peer"
	"restante/backup/accounts/pop3conn"
	"restante/restore"
	"restante/storage"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// Exit codes. They are part of what the program promises.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitIncomplete   = 3
	exitNoRepository = 10
	exitWrongKey     = 11
	exitRefused      = 12
)

const exitCodes = "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but incomplete; 10 no repository; 11 wrong key; 12 the store refused."

var (
	// errIncomplete: it is done, but for what was reported.
	errIncomplete = errors.New("done, but incomplete")
	// errReported: it failed, and that was said already.
	errReported    = errors.New("failed")
	errInterrupted = errors.New("interrupted")
	errUsage       = errors.New("wrong usage")
)

// A marked error is told apart as another one is, and does not say so.
type marked struct {
	error
	as error
}

func (m *marked) Unwrap() error { return m.error }

func (m *marked) Is(target error) bool { return target == m.as }

// wrongUsage marks what whoever typed the command can put right.
func wrongUsage(err error) error { return &marked{err, errUsage} }

// withHint says what to do about an error.
func withHint(err error, format string, a ...any) error {
	return peer.WithHint(err, fmt.Sprintf(format, a...))
}

// errorJSON is how errors are printed for programs, on standard error and in
// one line each.
type errorJSON struct {
	Error string `json:"error"`
	Hint  string `json:"hint"` // empty: there is none
	Code  int    `json:"code"` // the exit code, had it been the only one
}

// report prints an error with its hint on the next line, and returns the exit
// code.
func (a *app) report(err error) int {
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	if errors.Is(err, errIncomplete) || errors.Is(err, errReported) {
		return code
	}
	hint := hintFor(err)
	a.screen.clear()
	if a.JSON {
		writeJSON(a.err, errorJSON{err.Error(), hint, code}, "")
		return code
	}
	fmt.Fprintf(a.err, "restante: %s\n", oneLine(strings.ReplaceAll(err.Error(), "\n", "; ")))
	before := "  hint: "
	for line := range strings.SplitSeq(hint, "\n") {
		if hint != "" {
			fmt.Fprintf(a.err, "%s%s\n", before, oneLine(line))
		}
		before = "        "
	}
	return code
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, errIncomplete):
		return exitIncomplete
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, storage.ErrNoRepository):
		return exitNoRepository
	case errors.Is(err, storage.ErrWrongKey):
		return exitWrongKey
	case errors.Is(err, objects.ErrRefused), errors.Is(err, objects.ErrBroken), errors.Is(err, objects.ErrFull):
		return exitRefused
	}
	return exitFailed
}

// failedAlike is the error of a run over several accounts whose failures were
// reported one by one: it has their exit code if it is the same one.
func failedAlike(failed []error) error {
	kind := failed[0]
	for _, err := range failed {
		if exitCode(err) != exitCode(kind) {
			return errReported
		}
	}
	return &marked{kind, errReported}
}

// hintFor says what can be done about an error.
func hintFor(err error) string {
	if hint := peer.Hint(err); hint != "" {
		return hint
	}
	_, dns := errors.AsType[*net.DNSError](err)
	_, op := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, errInterrupted):
		return "nothing was lost; it can be run again"
	case errors.Is(err, storage.ErrNoRepository):
		return "make one with: restante init --repository WHERE"
	case errors.Is(err, storage.ErrExists):
		return "use it as it is, or give another --repository"
	case errors.Is(err, storage.ErrWrongKey):
		return "the passphrase comes from RESTANTE_PASSPHRASE, --passphrase-file, --passphrase-command, the configuration, or the prompt; identities from --identity"
	case errors.Is(err, objects.ErrFull):
		return "make room and run again; what was committed before is untouched, and nothing half-written counts"
	case errors.Is(err, objects.ErrBroken):
		return "this store would lose mail when two programs write at the same time; use another one, or a version of it that honours conditional writes (If-None-Match)"
	case errors.Is(err, objects.ErrRefused):
		return "check the permissions and credentials (for S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the bucket's name and policy; for a directory: whose it is)"
	case errors.Is(err, ledger.ErrShorter):
		return "something put the store back to an older state. If that was meant, delete the local cache of it (restante stats shows where) and run again"
	case errors.Is(err, ledger.ErrNewer):
		return "install a newer version of restante"
	case errors.Is(err, ledger.ErrUnknown):
		return "run the same again when the store answers; nothing is stored twice"
	case errors.Is(err, storage.ErrImplausible):
		return "restante check --read-data names everything that is damaged. Nothing is removed until it is mended (restante repair), or the snapshots that need it are forgotten"
	case errors.Is(err, ledger.ErrChain), errors.Is(err, ledger.ErrHole), errors.Is(err, storage.ErrDamaged), errors.Is(err, storage.ErrMissing):
		return "restante check --read-data names everything that is damaged; a copy or an older version of the object in the store mends it, and if there is none, restante repair says what can be saved"
	case errors.Is(err, storage.ErrNoSnapshot):
		return "restante snapshots lists what there is"
	case errors.Is(err, storage.ErrHeld):
		return "restante hold list shows the holds; what is under one stays until it is released"
	case errors.Is(err, storage.ErrNoHold):
		return "restante hold list lists them"
	case errors.Is(err, restore.ErrNotFound):
		return "restante ls ACCOUNT lists the folders, and restante ls ACCOUNT FOLDER the messages of one"
	case errors.Is(err, storage.ErrPruned):
		return "run it again"
	case errors.Is(err, imapconn.ErrLogin):
		return "check the user name and password; many providers want an app password for IMAP, or have IMAP switched off until it is allowed"
	case errors.Is(err, imapconn.ErrTLS):
		return "a server with its own authority needs ?ca=FILE in its URL; imap:// is for STARTTLS, imaps:// for TLS from the start"
	case errors.Is(err, pop3conn.ErrLogin):
		return "check the user name and password; many providers want an app password for POP3, or have POP3 switched off until it is allowed"
	case errors.Is(err, pop3conn.ErrTLS):
		return "a server with its own authority needs ?ca=FILE in its URL; pop3:// is for STLS, pop3s:// for TLS from the start"
	case errors.Is(err, pop3conn.ErrBusy):
		return "a maildrop is open to one session at a time, and another mail program has it; try again later"
	case errors.Is(err, imapconn.ErrBusy), errors.Is(err, backup.ErrBusy):
		return "the server has too many connections or asks for patience; try again later, or with --connections 1"
	case errors.Is(err, restore.ErrRoom):
		return "restore less with --folder or --message, or have the quota raised"
	case errors.Is(err, imapconn.ErrTimeout), errors.Is(err, pop3conn.ErrTimeout):
		return "check the host name, the port and the network; a port for TLS from the start (993, 995) says nothing to imap:// and pop3://, and wants imaps:// or pop3s://"
	case dns, op:
		return "check the host name, the port and the network"
	case spooled(err):
		return "large messages are kept there for a moment: set TMPDIR to a directory that can be written to and has room"
	case errors.Is(err, syscall.ENOSPC):
		return "make room there and run it again; the local cache can be elsewhere (--cache-dir)"
	case errors.Is(err, fs.ErrNotExist):
		return "check the path; what restante.toml says is looked for beside that file"
	case errors.Is(err, fs.ErrPermission):
		return "check whose file it is, and who may read it"
	}
	return ""
}

// spooled tells an error about a temporary file with a message.
func spooled(err error) bool {
	path, ok := errors.AsType[*fs.PathError](err)
	return ok && strings.HasPrefix(filepath.Base(path.Path), "restante-message-")
}
