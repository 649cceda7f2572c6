// Command restante keeps every mailbox until you call for it: it backs mail
// accounts up into an encrypted, deduplicated repository, and puts any point
// in time back.
//
// Each command has a file of its own; open.go is where they get repositories,
// accounts and targets from.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"restante/backup/accounts/peer"
	"restante/storage"
	"restante/storage/objects"
)

// cli is all commands and what can be said to each of them.
type cli struct {
	Globals

	Init      initCmd      `cmd:"" help:"Make a repository."`
	Backup    backupCmd    `cmd:"" help:"Back up accounts."`
	Login     loginCmd     `cmd:"" help:"Let Restante into an account whose server takes tokens, not passwords."`
	Snapshots snapshotsCmd `cmd:"" help:"List snapshots: the points in time there are."`
	Ls        lsCmd        `cmd:"" help:"List an account's folders, or the messages of a folder."`
	Cat       catCmd       `cmd:"" help:"Write out one message, octet for octet."`
	Diff      diffCmd      `cmd:"" help:"Tell what changed between two points in time."`
	Vanished  vanishedCmd  `cmd:"" help:"List messages that were in an account and are not any more."`
	Restore   restoreCmd   `cmd:"" help:"Put messages back: to a server, a Maildir or an mbox directory."`
	Forget    forgetCmd    `cmd:"" help:"Forget snapshots that no keep rule keeps."`
	Prune     pruneCmd     `cmd:"" help:"Remove what no snapshot needs from the repository."`
	Hold      holdCmd      `cmd:"" help:"Keep snapshots from being forgotten, whatever the rules say."`
	Check     checkCmd     `cmd:"" help:"Prove that the repository is whole."`
	Repair    repairCmd    `cmd:"" help:"Save what can be saved of a damaged repository, and say what is lost."`
	Rehearse  rehearseCmd  `cmd:"" help:"Prove that an account can be restored, by restoring it for the time being."`
	Probe     probeCmd     `cmd:"" help:"Prove that a store can hold a repository."`
	Stats     statsCmd     `cmd:"" help:"Tell how much is stored, and of what."`
	Serve     serveCmd     `cmd:"" help:"Do what the schedules say, until it is stopped."`
	Status    statusCmd    `cmd:"" help:"Tell whether every account is backed up, or what is wrong."`
	Runs      runsCmd      `cmd:"" help:"List what was done, when, and what came of it."`
	Run       runCmd       `cmd:"" help:"Have accounts backed up now, by a machine that serves."`
	Alerts    alertsCmd    `cmd:"" help:"List what is wrong and not over; try the ways to tell people."`
	Schedule  scheduleCmd  `cmd:"" help:"List what is due when."`
	Accounts  accountsCmd  `cmd:"" help:"List and test the accounts of the configuration."`
	Key       keyCmd       `cmd:"" help:"List, add and remove what opens the repository."`
	Demo      demoCmd      `cmd:"" help:"Show the main job on a mail server of its own, touching nothing else."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// Globals can be said to every command.
type Globals struct {
	Config            string `short:"c" placeholder:"FILE" env:"RESTANTE_CONFIG" help:"Configuration file (default: restante.toml in ., the user's configuration directory, /etc/restante)."`
	Repository        string `short:"r" placeholder:"WHERE" env:"RESTANTE_REPOSITORY" help:"A directory, or s3://bucket/prefix?endpoint=https://host:port&region=…"`
	PassphraseFile    string `placeholder:"FILE" help:"File with the repository's passphrase (or set RESTANTE_PASSPHRASE)."`
	PassphraseCommand string `placeholder:"COMMAND" help:"Command that prints the repository's passphrase."`
	Identity          string `placeholder:"FILE" env:"RESTANTE_IDENTITY" help:"File with age identities that open the repository."`
	CacheDir          string `placeholder:"DIR" env:"RESTANTE_CACHE_DIR" help:"Local cache; may be deleted at any time."`
	JSON              bool   `help:"Print one JSON document; errors, too, are JSON, on standard error: error, hint, code."`
	Quiet             bool   `short:"q" help:"No progress."`
	Verbose           bool   `short:"v" help:"Say more about what happens, on standard error."`
}

const description = "Restante keeps every mailbox until you call for it.\n\n" + exitCodes

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// app is what a command works with.
type app struct {
	*Globals
	in       io.Reader
	out, err io.Writer
	screen   *screen // err, for what comes while there is a display
	log      *slog.Logger
	serves   bool                                                       // log has all there is to tell: nobody is at a terminal
	ask      func(ctx context.Context, question string) (string, error) // for secrets
	file     *config                                                    // nil until configuration is read
	store    *objects.Counter                                           // what was opened last
	unlocks  *storage.Unlock                                            // nil until it is needed
	// groupsRead says that file has the accounts of all groups.
	groupsRead bool

	// certificate is told when a mail server's certificate expires; or nil.
	certificate func(host string, expires time.Time)

	env        func(name string) (string, bool) // a variable of the environment that is set to something
	workFactor int                              // of new passphrases; 0 for what is safe
}

// run runs the program and returns its exit code.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	// What is not mail in flight is small. Without a limit the collector lets
	// twice as much lie about.
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(200 << 20)
	}
	c := new(cli)
	exited := -1
	parser, err := kong.New(c, kong.Name("restante"), kong.Description(description),
		kong.Writers(out, errOut), kong.Vars{"since": sinceUsually}, kong.UsageOnError(), kong.Exit(func(code int) { exited = code }),
		kong.Help(printHelp), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		fmt.Fprintln(errOut, "restante:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited // help was printed
	}
	s := &screen{w: errOut}
	least := slog.LevelError
	if c.Verbose {
		least = slog.LevelDebug
	}
	printed := &output{w: out}
	a := &app{Globals: &c.Globals, in: in, out: printed, err: errOut, screen: s, log: newLog(s, least), env: lookupEnv}
	if err != nil {
		a.JSON = slices.Contains(args, "--json") // it may not have come that far
		hint := "restante --help lists the commands"
		if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context != nil && p.Context.Command() != "" {
			hint = "restante " + p.Context.Command() + " --help shows how, with an example"
		}
		return a.report(withHint(wrongUsage(err), "%s", hint))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever cannot wait presses ^C once more
	a.ask = a.prompt
	k.BindTo(ctx, (*context.Context)(nil))
	k.Bind(a)
	if err = interrupted(ctx, k.Run()); err == nil && printed.err != nil {
		err = fmt.Errorf("print the result: %w", printed.err)
	}
	return a.report(err)
}

// printHelp is kong's help, which of commands ends with their exit codes.
func printHelp(o kong.HelpOptions, k *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, k); err != nil || k.Selected() == nil {
		return err
	}
	_, err := fmt.Fprintln(k.Stdout, "\n"+strings.Join(fitLine(exitCodes, proseWidth, ""), "\n"))
	return err
}

// interrupted is what becomes of an error once somebody pressed ^C. The hint
// of whoever knows what was done until then is kept.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	return peer.WithHint(errInterrupted, peer.Hint(err))
}
