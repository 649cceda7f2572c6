package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sync/errgroup"

	"restante/backup"
	"restante/backup/accounts"
	"restante/restore"
	"restante/storage"
)

type accountsCmd struct {
	List accountsListCmd `cmd:"" help:"List the accounts of the configuration."`
	Test accountsTestCmd `cmd:"" help:"Log in to accounts, and tell what would be backed up and what is wrong."`

	Discover accountsDiscoverCmd `cmd:"" help:"Find out which server an e-mail address is on."`
}

type accountsListCmd struct{}

func (*accountsListCmd) Help() string {
	return `Lists the accounts that restante backup means, those of groups too, and reads the groups' lists for it. It connects to none of them.

Example:

  restante accounts list
  restante accounts list --json`
}

type accountJSON struct {
	Account string `json:"account"`
	URL     string `json:"url"`
	Group   string `json:"group,omitempty"`
	Vault   string `json:"vault"`
	Skipped bool   `json:"skipped"`
}

func (*accountsListCmd) Run(ctx context.Context, a *app) error {
	c, err := a.expanded(ctx)
	if err != nil {
		return err
	}
	list := []accountJSON{}
	for _, name := range c.accountNames() {
		acct, err := a.account(ctx, name, "", new(AccountAccess))
		if err != nil {
			return err
		}
		list = append(list, accountJSON{name, acct.address.String(), c.Accounts[name].group, acct.vault, c.Accounts[name].Skip})
	}
	if a.JSON {
		return a.printJSON(list)
	}
	return a.table(func(row func(...any)) {
		row("ACCOUNT", "URL", "GROUP", "")
		for _, j := range list {
			note := ""
			if j.Skipped {
				note = "skipped"
			}
			row(j.Account, j.URL, j.Group, note)
		}
	})
}

type accountsTestCmd struct {
	Accounts []string `arg:"" optional:"" name:"account" help:"Accounts: names from the configuration, or URLs. Without any: all of the configuration."`
	AccountAccess
}

func (*accountsTestCmd) Help() string {
	return `Logs in to each account, lists its folders and counts messages. It changes nothing, reads no message and needs no repository.

Exit code 1 says that an account cannot be backed up.

Example:

  restante accounts test
  restante accounts test imaps://alice@mail.example.org`
}

// testedJSON is what was found out about an account.
type testedJSON struct {
	Account  string   `json:"account"`
	Folders  int      `json:"folders"`
	Messages int64    `json:"messages"`
	Excluded []string `json:"excluded,omitempty"` // folders
	// Quota in octets, where the server tells; a limit of 0: it does not.
	Used  int64 `json:"quota_used,omitempty"`
	Limit int64 `json:"quota_limit,omitempty"`
	// Uses are the server's extensions that make a difference.
	Uses  []string `json:"uses,omitempty"`
	Notes []string `json:"notes,omitempty"` // what is slower or less than it could be
	Error string   `json:"error,omitempty"`
	Hint  string   `json:"hint,omitempty"`
}

// testedAtOnce is how many accounts are tested at the same time.
const testedAtOnce = 8

func (c *accountsTestCmd) Run(ctx context.Context, a *app) error {
	list, err := a.accounts(ctx, c.Accounts, "", &c.AccountAccess)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return withHint(wrongUsage(errors.New("which account?")), "restante accounts test imaps://alice@mail.example.org, or write accounts into restante.toml")
	}
	results := make([]testedJSON, len(list))
	var mu sync.Mutex // guards what follows, and the output
	printed, failed := 0, 0
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(testedAtOnce)
	done := make([]bool, len(list))
	for i, acct := range list {
		g.Go(func() error {
			t := acct.test(gctx, a)
			if err := gctx.Err(); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			results[i], done[i] = t, true
			if t.Error != "" {
				failed++
			}
			for ; !a.JSON && printed < len(list) && done[printed]; printed++ {
				results[printed].print(a)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if a.JSON {
		if err := a.printJSON(results); err != nil {
			return err
		}
	} else if len(list) > 1 {
		fmt.Fprintf(a.out, "%s, %d of them cannot be backed up\n", number(int64(len(list)), "account"), failed)
	}
	if failed > 0 {
		return errReported
	}
	return nil
}

// test finds out what a backup of the account would find.
func (acct *account) test(ctx context.Context, a *app) testedJSON {
	t := testedJSON{Account: acct.name}
	err := acct.explore(ctx, a, &t)
	if err != nil {
		t.Error, t.Hint = err.Error(), hintFor(err)
	}
	return t
}

func (acct *account) explore(ctx context.Context, a *app, t *testedJSON) error {
	src, err := acct.source(a)
	if err != nil {
		return err
	}
	defer src.Close()
	listed, err := src.List(ctx)
	if errors.Is(err, backup.ErrEnumeration) {
		t.Notes, err = append(t.Notes, err.Error()), nil
	}
	if err != nil {
		return fmt.Errorf("list folders: %w", err)
	}
	for _, l := range listed {
		name := storage.FolderName(l.Levels)
		excluded := slices.ContainsFunc(acct.exclude, func(p string) bool { return restore.MatchFolder(p, name) })
		switch {
		case excluded:
			t.Excluded = append(t.Excluded, name)
			continue
		case l.NoSelect:
			continue
		}
		t.Folders++
		n, err := countMessages(ctx, src, l)
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			t.Notes = append(t.Notes, fmt.Sprintf("folder %q cannot be opened: %v", name, err))
		}
		t.Messages += n
	}
	if acct.address.Scheme.Local() || acct.address.Scheme.Maildrop() {
		return nil
	}
	return acct.ask(ctx, a, t)
}

// countMessages counts the messages of a folder, and opens it if the list does
// not tell.
func countMessages(ctx context.Context, src backup.Source, l backup.Listed) (int64, error) {
	if l.Status != nil {
		return int64(l.Status.Messages), nil
	}
	m, err := src.Open(ctx, l, backup.Known{})
	if err != nil {
		return 0, err
	}
	defer m.Close()
	uids, err := m.UIDs(ctx)
	if errors.Is(err, backup.ErrEnumeration) {
		err = nil
	}
	return int64(len(uids)), err
}

// ask asks the server what it can do and how full the account is.
func (acct *account) ask(ctx context.Context, a *app, t *testedJSON) error {
	d, err := acct.dialer(a)
	if err != nil {
		return err
	}
	conn, err := d.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Logout(ctx)
	defer conn.Bind(ctx)()
	caps := conn.Caps()
	for _, extension := range []imap.Cap{imap.CapListExtended, imap.CapListStatus, imap.CapSpecialUse, imap.CapCondStore, imap.CapESearch, imap.CapNamespace, imap.CapUIDPlus} {
		if caps.Has(extension) {
			t.Uses = append(t.Uses, string(extension))
		}
	}
	if !caps.Has(imap.CapCondStore) {
		t.Notes = append(t.Notes, "the server has no CONDSTORE: each run opens every folder and reads the flags of all messages")
	}
	if acct.address.Scheme == accounts.IMAPInsecure {
		t.Notes = append(t.Notes, "the password and the mail go in clear text")
	}
	if !caps.Has(imap.CapQuota) {
		return nil
	}
	roots, err := conn.GetQuotaRoot("INBOX").Wait()
	if err != nil && conn.Err() != nil {
		return conn.Explain(err)
	}
	for _, root := range roots { // after a NO there are none
		if s, ok := root.Resources[imap.QuotaResourceStorage]; ok && t.Limit == 0 {
			t.Used, t.Limit = s.Usage*1024, s.Limit*1024 // RFC 9208 section 5.1
		}
	}
	if t.Limit > 0 && t.Used > t.Limit-t.Limit/20 {
		t.Notes = append(t.Notes, "the quota is nearly used up: soon no mail will arrive")
	}
	return nil
}

func (t *testedJSON) print(a *app) {
	if t.Error != "" {
		fmt.Fprintf(a.out, "%s: cannot be backed up: %s\n", oneLine(t.Account), oneLine(t.Error))
		if t.Hint != "" {
			fmt.Fprintf(a.out, "  hint: %s\n", strings.ReplaceAll(t.Hint, "\n", "\n        "))
		}
		return
	}
	fmt.Fprintf(a.out, "%s: %s in %s", oneLine(t.Account), messages(t.Messages), number(int64(t.Folders), "folder"))
	if len(t.Excluded) > 0 {
		fmt.Fprintf(a.out, ", %s left out", number(int64(len(t.Excluded)), "folder"))
	}
	if t.Limit > 0 {
		fmt.Fprintf(a.out, ", quota %s of %s", octets(t.Used), octets(t.Limit))
	}
	fmt.Fprintln(a.out)
	if len(t.Uses) > 0 {
		fmt.Fprintf(a.out, "  uses %s\n", strings.Join(t.Uses, ", "))
	}
	for _, n := range t.Notes {
		fmt.Fprintf(a.out, "  note: %s\n", oneLine(n))
	}
}

type accountsDiscoverCmd struct {
	Email string `arg:"" help:"E-mail address."`
}

func (*accountsDiscoverCmd) Help() string {
	return `Asks the domain of an e-mail address where its mail is: by the SRV records of RFC 6186, then by the file that mail programs look for there. It logs in nowhere. Nobody proves that DNS tells the truth, so look at the names before you give a password.

Exit code 1 says that the domain tells nothing.

Example:

  restante accounts discover alice@example.org`
}

type discoveredJSON struct {
	URL  string `json:"url"`
	From string `json:"from"`
}

func (c *accountsDiscoverCmd) Run(ctx context.Context, a *app) error {
	found, err := accounts.Discovery{}.Discover(ctx, c.Email)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return withHint(errors.New("the domain does not tell where its mail is"), "ask who runs it, or try a name that is customary: restante accounts test imaps://%s@mail.%s", c.Email, c.Email[strings.LastIndexByte(c.Email, '@')+1:])
	}
	list := []discoveredJSON{}
	for _, f := range found {
		list = append(list, discoveredJSON{f.Address.String(), f.From})
	}
	if a.JSON {
		return a.printJSON(list)
	}
	if err := a.table(func(row func(...any)) {
		for _, j := range list {
			row(j.URL, j.From)
		}
	}); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Try it with: restante accounts test %s\n", list[0].URL)
	return nil
}
