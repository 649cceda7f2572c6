package imapconn

import (
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// go-imap closes the connection over a flag that it cannot write, after the
// command has begun. The commands below look first.

// CheckFlags returns an error that wraps [ErrKeyword] for the first flag that
// no IMAP command can carry.
func CheckFlags(flags []imap.Flag) error {
	for _, f := range flags {
		if !isFlag([]byte(f)) {
			return fmt.Errorf("%w: %q", ErrKeyword, f)
		}
	}
	return nil
}

// Append is go-imap's Append. Where an error is returned, nothing was sent.
//
// Several goroutines may append at the same time; with LITERAL+ none of them
// waits for the server's answer to another. The server's NO, [OVERQUOTA] or
// [TOOBIG] for instance, comes from the command's Wait, and the connection
// stays usable, whenever the server says it.
func (c *Conn) Append(folder string, size int64, options *imap.AppendOptions) (*imapclient.AppendCommand, error) {
	if options != nil {
		if err := CheckFlags(options.Flags); err != nil {
			return nil, err
		}
	}
	if size < 0 {
		return nil, fmt.Errorf("append a message of %d octets", size)
	}
	return c.Client.Append(folder, size, options), nil
}

// Store is go-imap's Store. Where an error is returned, nothing was sent.
func (c *Conn) Store(set imap.NumSet, store *imap.StoreFlags, options *imap.StoreOptions) (*imapclient.FetchCommand, error) {
	if err := CheckFlags(store.Flags); err != nil {
		return nil, err
	}
	return c.Client.Store(set, store, options), nil
}

// Create is go-imap's Create. Where an error is returned, nothing was sent.
func (c *Conn) Create(folder string, options *imap.CreateOptions) (*imapclient.Command, error) {
	if options != nil {
		for _, use := range options.SpecialUse {
			if len(use) < 2 || use[0] != '\\' || !isAtom([]byte(use[1:])) {
				return nil, fmt.Errorf("create %q: %q is no special use", folder, use)
			}
		}
	}
	return c.Client.Create(folder, options), nil
}
