package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"restante/backup/accounts"
	"restante/restore/imaptarget"
	"restante/storage"
)

// ServerSide is what can be put back beside the mail.
type ServerSide struct {
	Sieve    bool `help:"Put back the filter scripts (Sieve), and no mail."`
	Activate bool `help:"With --sieve: make the script active that was, even if another one is."`
	ACL      bool `name:"acl" help:"Put back rights on folders that others had (ACL), and no mail."`
}

func (s *ServerSide) given() bool { return s.Sieve || s.ACL || s.Activate }

// serverSideJSON is how that is printed for programs.
type serverSideJSON struct {
	DryRun  bool                 `json:"dry_run"`
	Scripts []scriptResult       `json:"scripts,omitempty"`
	Rights  []imaptarget.Granted `json:"rights,omitempty"`
}

// serverSide puts back what the server had beside the mail; alone says that
// nothing was said of mail.
func (c *restoreCmd) serverSide(ctx context.Context, a *app, alone bool) error {
	switch {
	case c.Activate && !c.Sieve:
		return wrongUsage(errors.New("--activate goes with --sieve"))
	case !alone:
		return wrongUsage(errors.New("--sieve and --acl put back no mail, so say nothing of folders and messages"))
	}
	destination, err := a.account(ctx, cmp.Or(c.To, c.Account), "", &c.AccountAccess)
	if err != nil {
		return err
	}
	d, err := destination.dialer(a)
	if err != nil {
		return wrongUsage(fmt.Errorf("account %q: --sieve and --acl are for accounts on an IMAP server: %w", destination.name, err))
	}
	repo, tree, err := a.openAt(ctx, c.Account, "--at", c.At)
	if err != nil {
		return err
	}
	defer repo.Close()
	details, err := tree.Details(ctx)
	if err != nil {
		return err
	}
	if details == nil {
		details = new(storage.Details)
	}
	out := serverSideJSON{DryRun: c.DryRun}
	var errs []error
	if c.Sieve {
		out.Scripts, err = c.putScripts(ctx, destination, d, details.Scripts)
		errs = append(errs, err)
	}
	if c.ACL {
		if destination.name != c.Account {
			details.Folders = a.withoutOwner(ctx, c.Account, details.Folders)
		}
		target := destination.server(a, d)
		out.Rights, err = target.Grant(ctx, details.Folders, c.DryRun)
		target.Close()
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	if a.JSON {
		if printErr := a.printJSON(out); printErr != nil {
			return printErr
		}
	} else {
		c.printServerSide(a, &out, len(details.Scripts) == 0)
	}
	if err == nil && !out.complete() {
		err = errIncomplete
	}
	return err
}

// withoutOwner leaves out what the owner of an account may do in its folders:
// where these are put into another account, that is no reason to let the owner in.
func (a *app) withoutOwner(ctx context.Context, owner string, folders []storage.FolderDetails) (list []storage.FolderDetails) {
	own, err := a.account(ctx, owner, "", &AccountAccess{})
	for _, f := range folders {
		f.ACL = slices.DeleteFunc(slices.Clone(f.ACL), func(g storage.Grant) bool {
			local, _, _ := strings.Cut(g.Identifier, "@")
			return err == nil && (strings.EqualFold(g.Identifier, own.address.User) || strings.EqualFold(local, own.address.User)) ||
				err != nil && g.Rights == f.Rights // nobody knows who it was
		})
		list = append(list, f)
	}
	return list
}

func (c *restoreCmd) putScripts(ctx context.Context, acct *account, d *accounts.Dialer, want []storage.Script) ([]scriptResult, error) {
	if len(want) == 0 {
		return nil, nil
	}
	conn, err := acct.openScripts(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("filter scripts of account %q: %w", acct.name, err)
	}
	defer conn.Close()
	results, err := putScripts(conn, want, c.Activate, c.DryRun)
	if err != nil {
		err = fmt.Errorf("filter scripts of account %q: %w", acct.name, err)
	}
	return results, err
}

func (j *serverSideJSON) complete() bool {
	for _, s := range j.Scripts {
		if s.Refused != "" {
			return false
		}
	}
	for _, g := range j.Rights {
		if g.Refused != "" {
			return false
		}
	}
	return true
}

func (c *restoreCmd) printServerSide(a *app, j *serverSideJSON, noScripts bool) {
	would := ""
	if j.DryRun {
		would = "would be "
	}
	if c.Sieve && noScripts {
		fmt.Fprintln(a.out, "the snapshot has no filter scripts")
	}
	for _, s := range j.Scripts {
		fmt.Fprintf(a.out, "filter script %q: ", s.Name)
		switch {
		case s.Refused != "":
			fmt.Fprintf(a.out, "not restored: %s", oneLine(s.Refused))
		case s.There:
			fmt.Fprint(a.out, "there already")
		default:
			fmt.Fprint(a.out, would+"restored")
		}
		if s.As != "" {
			fmt.Fprintf(a.out, " as %q", s.As)
		}
		if s.Activated {
			fmt.Fprintf(a.out, ", %sactivated", would)
		}
		fmt.Fprintln(a.out)
	}
	if c.ACL && len(j.Rights) == 0 {
		fmt.Fprintln(a.out, "no right is missing")
	}
	for _, g := range j.Rights {
		fmt.Fprintf(a.out, "%s: ", oneLine(g.Folder))
		switch {
		case g.Identifier == "":
			fmt.Fprintf(a.out, "not restored: %s\n", oneLine(g.Refused))
		case g.Refused != "":
			fmt.Fprintf(a.out, "%q is not given %s: %s\n", g.Identifier, oneLine(g.Rights), oneLine(g.Refused))
		default:
			fmt.Fprintf(a.out, "%q %sgiven %s\n", g.Identifier, would, oneLine(g.Rights))
		}
	}
}
