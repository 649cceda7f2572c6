package imaptarget

import (
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn"
	"restante/storage"
)

// Granted are rights that somebody was given on a folder, or would be.
type Granted struct {
	Folder     string `json:"folder"`
	Identifier string `json:"identifier,omitempty"` // empty: the folder is refused
	Rights     string `json:"rights,omitempty"`     // those that were missing
	Refused    string `json:"refused,omitempty"`    // why they were not given
}

// Grant gives the rights that are in want and not on the server (RFC 4314). It
// takes none away, and so leaves out identifiers that begin with '-', whose
// rights are taken away.
func (t *Target) Grant(ctx context.Context, want []storage.FolderDetails, dryRun bool) (done []Granted, err error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer t.release(c)
	defer c.Bind(ctx)()
	names, err := folderNames(c)
	if err != nil {
		return nil, err
	}
	for _, f := range want {
		if len(f.ACL) == 0 {
			continue
		}
		folder := storage.FolderName(f.Levels)
		name, ok := names[folder]
		switch {
		case !c.Caps().Has(imap.CapACL):
			done = append(done, Granted{Folder: folder, Refused: "the server has no access control lists"})
			continue
		case !ok:
			done = append(done, Granted{Folder: folder, Refused: "the folder is not there"})
			continue
		}
		there, err := c.GetACL(name).Wait()
		if c.Err() != nil {
			return done, explain(c, "GETACL", err)
		}
		if err != nil {
			done = append(done, Granted{Folder: folder, Refused: c.Explain(err).Error()})
			continue
		}
		for _, g := range f.ACL {
			missing := imap.RightSet(g.Rights).Remove(there.Rights[imap.RightsIdentifier(g.Identifier)])
			if len(missing) == 0 || strings.HasPrefix(g.Identifier, "-") {
				continue
			}
			result := Granted{Folder: folder, Identifier: g.Identifier, Rights: string(missing)}
			if !dryRun {
				err := c.SetACL(name, imap.RightsIdentifier(g.Identifier), imap.RightModificationAdd, missing).Wait()
				if c.Err() != nil {
					return done, explain(c, "SETACL", err)
				}
				if err != nil {
					result.Refused = c.Explain(err).Error()
				}
			}
			done = append(done, result)
		}
	}
	return done, nil
}

// folderNames are what the library calls the server's folders, by the names that
// people know.
func folderNames(c *imapconn.Conn) (map[string]string, error) {
	spaces, err := c.Namespaces()
	if err != nil {
		return nil, classify(err)
	}
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		return nil, explain(c, "LIST", err)
	}
	names := map[string]string{}
	for _, d := range list {
		levels, _ := spaces.Levels(d.Mailbox, d.Delim)
		names[storage.FolderName(levels)] = d.Mailbox
	}
	return names, nil
}
