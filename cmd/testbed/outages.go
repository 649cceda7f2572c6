package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"restante/cmd/testbed/bench"
	"restante/cmd/testbed/nights"
)

const outagesUsage = `usage: testbed outages [flags]

Outages has restante serve back accounts up again and again, kills PostgreSQL
with a kill -9 and starts it again after a while, then shuts the way to the S3
server, and then has Dovecot refuse half of the logins. It says who was told
what, and proves in the end that all mail is in the repository.

flags:
`

// runOutages is the subcommand.
func runOutages(ctx context.Context, o options, args []string) error {
	var oo nights.OutageOptions
	flags := subcommandFlags("outages", outagesUsage)
	flags.IntVar(&oo.Accounts, "accounts", 20, "so many accounts")
	flags.DurationVar(&oo.Killed, "killed", 10*time.Minute, "how long the database is dead; 0: it is not killed")
	flags.DurationVar(&oo.Away, "away", 10*time.Minute, "how long the S3 server is away; 0: it is not")
	flags.DurationVar(&oo.Half, "half", 10*time.Minute, "how long the mail server refuses every second account; 0: it does not")
	flags.DurationVar(&oo.Every, "every", 20*time.Second, "back each account up so often")
	flags.Uint64Var(&oo.Seed, "seed", rand.Uint64()>>16, "what is random is made of it")
	if err := flags.Parse(args); err != nil {
		return said(flags, err)
	}
	if flags.NArg() > 0 || oo.Accounts < 1 {
		return errors.New("outages takes flags only, and numbers above 0")
	}
	for m, err := range bench.MadeUp(2000).Messages() {
		if err != nil {
			return err
		}
		if nights.Faithful(m) {
			oo.Mail = append(oo.Mail, m)
		}
	}
	bouncer, err := newBouncer()
	if err != nil {
		return err
	}
	defer bouncer.close()
	o.policy = bouncer.url()
	b, s, err := startSite(ctx, o, "outages")
	if err != nil {
		return err
	}
	defer b.close()
	oo.Database, oo.Refuse = b.env["TESTBED_POSTGRES"], bouncer.refuse
	oo.Kill = func() { b.daemon("postgresql").stop() }
	oo.Revive = func() error { return b.again(ctx, b.daemon("postgresql"), b.postgresAnswers(oo.Database)) }
	program, err := s.Build(ctx)
	if err != nil {
		return err
	}
	list, err := nights.Outages(ctx, s, program, oo)
	for _, out := range list {
		fmt.Println(out)
	}
	if err == nil {
		fmt.Printf("outages: every message of %d accounts is there in the end\n", oo.Accounts)
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	kept, keepErr := b.leave()
	return errors.Join(err, fmt.Errorf("everything is left in %s", kept), keepErr)
}

// A bouncer tells Dovecot whether to let somebody in: Dovecot asks it before it
// looks at the password (its setting auth_policy_server_url). Who logs in as a
// master user is refused every second mailbox; the others are the testbed itself.
type bouncer struct {
	l        net.Listener
	mu       sync.Mutex // guards what follows
	half     bool
	refusals int64
}

func newBouncer() (*bouncer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a port for Dovecot to ask at: %w", err)
	}
	b := &bouncer{l: l}
	go http.Serve(l, b)
	return b, nil
}

func (b *bouncer) url() string { return "http://" + b.l.Addr().String() + "/" }

func (b *bouncer) close() { b.l.Close() }

// refuse has logins to the mailboxes with an odd number refused from now on, or
// none.
func (b *bouncer) refuse(half bool) (refused int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.half = half
	return b.refusals
}

func (b *bouncer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var question struct{ Login, Mailbox string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&question); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	answer := map[string]int{"status": 0}
	if b.half && question.Login == nights.Master && strings.ContainsAny(question.Mailbox[max(0, len(question.Mailbox)-1):], "13579") {
		b.refusals++
		answer["status"] = -1
	}
	json.NewEncoder(w).Encode(answer)
}
