package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"restante/backup/accounts"
	"restante/backup/accounts/sieveconn"
	"restante/backup/imapsource"
	"restante/storage"
)

const (
	sievePort = "4190" // RFC 5804 section 1.8
	noSieve   = "none"
	// sievePatience is how long a server of scripts that nobody has named is
	// waited for.
	sievePatience = 3 * time.Second
	// mostScripts is how many octets of scripts are kept of an account.
	mostScripts = 1 << 20
)

// openScripts connects to the account's filter scripts.
func (acct *account) openScripts(ctx context.Context, d *accounts.Dialer) (*sieveconn.Conn, error) {
	where := acct.sieve
	switch where {
	case noSieve:
		return nil, errors.New(`its sieve is "none" in the configuration`)
	case "":
		where = net.JoinHostPort(acct.address.Host, sievePort)
		probe, err := (&net.Dialer{Timeout: sievePatience}).DialContext(ctx, "tcp", where)
		if err != nil {
			return nil, fmt.Errorf("%w: nobody answers at %s (sieve in the configuration says where they are, or none)", imapsource.ErrNoScripts, where)
		}
		probe.Close()
	}
	return d.Sieve(ctx, where)
}

// scripts reads the account's filter scripts; nil where there are none to read.
func (acct *account) scripts(d *accounts.Dialer) func(context.Context) ([]storage.Script, error) {
	if acct.sieve == noSieve {
		return nil
	}
	return func(ctx context.Context) ([]storage.Script, error) {
		conn, err := acct.openScripts(ctx, d)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		list, err := conn.List()
		if err != nil {
			return nil, err
		}
		var found []storage.Script
		octets := 0
		for _, s := range list {
			b, err := conn.Get(s.Name)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", s.Name, err)
			}
			if octets += len(s.Name) + len(b); octets > mostScripts {
				return nil, fmt.Errorf("they have more than %d octets", mostScripts)
			}
			found = append(found, storage.Script{Name: s.Name, Octets: b, Active: s.Active})
		}
		// Servers list them in any order.
		slices.SortFunc(found, func(a, b storage.Script) int { return strings.Compare(a.Name, b.Name) })
		return found, nil
	}
}

// scriptResult is what became of a script in a restore.
type scriptResult struct {
	Name      string `json:"name"`              // in the snapshot
	As        string `json:"as,omitempty"`      // on the server, where that is another
	There     bool   `json:"there_already"`     // it was there before
	Activated bool   `json:"activated"`         // or would be
	Refused   string `json:"refused,omitempty"` // why it is not there
}

// putScripts puts scripts back. One of the same name that differs stays, and the
// script gets another name. The active one is activated where none is active, or
// if activate says so.
func putScripts(conn *sieveconn.Conn, want []storage.Script, activate, dryRun bool) ([]scriptResult, error) {
	list, err := conn.List()
	if err != nil {
		return nil, err
	}
	activate = activate || !slices.ContainsFunc(list, func(s sieveconn.Script) bool { return s.Active })
	var results []scriptResult
	for _, s := range want {
		name, there, err := placeFor(conn, list, &s)
		if err != nil {
			return results, err
		}
		r := scriptResult{Name: s.Name, There: there}
		if name != s.Name {
			r.As = name
		}
		active := slices.Contains(list, sieveconn.Script{Name: name, Active: true})
		r.Activated = s.Active && activate && !active
		if !dryRun {
			if !there {
				err = conn.Put(name, s.Octets)
			}
			if err == nil && r.Activated {
				err = conn.Activate(name)
			}
		}
		if errors.Is(err, sieveconn.ErrRefused) {
			r.Refused, r.Activated, err = err.Error(), false, nil
		}
		results = append(results, r)
		if err != nil {
			return results, fmt.Errorf("%q: %w", s.Name, err)
		}
		if !there {
			list = append(list, sieveconn.Script{Name: name})
		}
	}
	return results, nil
}

// placeFor finds the name that a script has on the server, or can have.
func placeFor(conn *sieveconn.Conn, list []sieveconn.Script, s *storage.Script) (name string, there bool, err error) {
	name = s.Name
	for n := 1; ; n++ {
		if !slices.ContainsFunc(list, func(l sieveconn.Script) bool { return l.Name == name }) {
			return name, false, nil
		}
		b, err := conn.Get(name)
		if err != nil {
			return name, false, fmt.Errorf("%q: %w", name, err)
		}
		if bytes.Equal(b, s.Octets) {
			return name, true, nil
		}
		if name = s.Name + " (restored)"; n > 1 {
			name = fmt.Sprintf("%s (restored %d)", s.Name, n)
		}
	}
}
