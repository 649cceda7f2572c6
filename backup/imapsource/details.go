package imapsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup"
	"restante/storage"
)

const (
	// foldersAhead is of how many folders the details are asked for at once, in
	// one flight.
	foldersAhead = 64
	// mostDetails is how many octets of details are kept of one account.
	mostDetails = 2 << 20
)

// Details asks for rights (RFC 4314), quotas (RFC 9208) and METADATA (RFC 5464),
// where the server announces them, and for the scripts of Options.
func (s *Source) Details(ctx context.Context, folders []backup.Listed, known *storage.Details) (*storage.Details, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(c)
	defer c.Bind(ctx)()
	caps := c.Caps()
	a := &asking{c: c, acl: caps.Has(imap.CapACL), quota: caps.Has(imap.CapQuota), metadata: caps.Has(imap.CapMetadata),
		quotas: map[string]storage.Quota{}, roots: map[string]bool{}, refused: map[string]int{}, reason: map[string]error{}}
	folders = slices.DeleteFunc(slices.Clone(folders), func(f backup.Listed) bool { return f.NoSelect })
	if a.acl || a.quota || a.metadata {
		for part := range slices.Chunk(folders, foldersAhead) {
			if err := a.folders(part, s.libraryNames(part)); err != nil {
				return nil, err
			}
			// Dovecot may add up what is in all folders for each answer, and so take
			// minutes to say the same of thousands. What 64 have, all have.
			a.quota = a.quota && len(a.roots) > 1
		}
	}
	if a.metadata || caps.Has(imap.CapMetadataServer) {
		if err := a.server(); err != nil {
			return nil, err
		}
	}
	for _, root := range slices.Sorted(maps.Keys(a.quotas)) {
		a.found.Quotas = append(a.found.Quotas, a.quotas[root])
	}
	notes := a.notes()
	if s.o.Scripts != nil {
		a.found.Scripts, err = s.o.Scripts(ctx)
		// That nobody is where nobody was said to be is worth a word only if somebody
		// was there before.
		if err != nil && (!errors.Is(err, ErrNoScripts) || len(known.Scripts) > 0) {
			notes = append(notes, fmt.Sprintf("filter scripts: %v", err))
		}
		if err != nil {
			a.found.Scripts = known.Scripts
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, notes...)
	return &a.found, nil
}

// libraryNames are what the library calls folders.
func (s *Source) libraryNames(folders []backup.Listed) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range folders {
		names = append(names, s.names[storage.FolderName(f.Levels)])
	}
	return names
}

// asking is one Details.
type asking struct {
	c                    *connection
	acl, quota, metadata bool
	found                storage.Details
	quotas               map[string]storage.Quota
	roots                map[string]bool // what quota roots folders have, each list as one string
	octets               int             // kept so far
	refused              map[string]int  // folders, by what was asked
	reason               map[string]error
	serverRefused        error // its own METADATA
}

// A question is what is asked of one folder, and not answered yet.
type question struct {
	rights   *imapclient.MyRightsCommand
	acl      *imapclient.GetACLCommand
	roots    *imapclient.GetQuotaRootCommand
	metadata *imapclient.GetMetadataCommand
}

// Everything below both kinds of names (RFC 5464 section 3).
var allEntries, ofAllDepths = []string{"/private", "/shared"}, &imapclient.GetMetadataOptions{Depth: imapclient.GetMetadataDepthInfinity}

// folders asks of folders, whose names the library knows as names.
func (a *asking) folders(folders []backup.Listed, names []string) error {
	questions := make([]question, len(names))
	for i, name := range names {
		q := &questions[i]
		if a.acl {
			q.rights, q.acl = a.c.MyRights(name), a.c.GetACL(name)
		}
		if a.quota {
			q.roots = a.c.GetQuotaRoot(name)
		}
		if a.metadata {
			q.metadata = a.c.GetMetadata(name, allEntries, ofAllDepths)
		}
	}
	for i, q := range questions {
		f := storage.FolderDetails{Levels: folders[i].Levels}
		if a.acl {
			// GETACL is for those who may change the list (RFC 4314 section 3.3), so
			// that a no says nothing.
			if data, err := q.acl.Wait(); err == nil && sameFolder(data.Mailbox, names[i]) {
				f.ACL = grants(data.Rights)
			}
			data, err := q.rights.Wait()
			if a.refusal("the rights", err); err == nil && sameFolder(data.Mailbox, names[i]) {
				f.Rights = string(data.Rights)
			}
		}
		if a.quota {
			data, err := q.roots.Wait()
			a.refusal("the quota", err)
			for _, root := range data {
				f.Quotas = append(f.Quotas, root.Root)
				a.quotas[root.Root] = quota(root)
			}
			slices.Sort(f.Quotas)
			a.roots[fmt.Sprintf("%q", f.Quotas)] = true
		}
		if a.metadata {
			data, err := q.metadata.Wait()
			if a.refusal("METADATA", err); err == nil {
				f.Metadata = annotations(data)
			}
		}
		if err := a.c.Err(); err != nil {
			return a.c.explain("rights, quotas and METADATA", err)
		}
		a.keep(f)
	}
	return nil
}

// keep keeps what was told of a folder, if anything was.
func (a *asking) keep(f storage.FolderDetails) {
	told := len(f.Rights)
	for _, g := range f.ACL {
		told += len(g.Identifier) + len(g.Rights)
	}
	for _, q := range f.Quotas {
		told += len(q)
	}
	for _, m := range f.Metadata {
		told += len(m.Entry) + len(m.Value)
	}
	if told == 0 && len(f.Quotas) == 0 {
		return
	}
	if a.octets += told + len(storage.FolderName(f.Levels)); a.octets > mostDetails {
		a.refusal("more details", fmt.Errorf("they have more than %d octets", mostDetails))
		return
	}
	a.found.Folders = append(a.found.Folders, f)
}

// server asks for the METADATA of the server.
func (a *asking) server() error {
	data, err := a.c.GetMetadata("", allEntries, ofAllDepths).Wait()
	if a.c.Err() != nil {
		return a.c.explain("GETMETADATA", err)
	}
	if err != nil {
		a.serverRefused = err
		return nil
	}
	a.found.Metadata = annotations(data)
	return nil
}

// refusal counts what the server did not tell.
func (a *asking) refusal(what string, err error) {
	if err == nil {
		return
	}
	if a.refused[what]++; a.reason[what] == nil {
		a.reason[what] = err
	}
}

func (a *asking) notes() (notes []string) {
	for _, what := range slices.Sorted(maps.Keys(a.refused)) {
		notes = append(notes, fmt.Sprintf("the server does not tell %s of %d folders: %v", what, a.refused[what], a.reason[what]))
	}
	if a.serverRefused != nil {
		notes = append(notes, fmt.Sprintf("the server does not tell its own METADATA: %v", a.serverRefused))
	}
	return notes
}

// sameFolder says whether an answer is about the folder that was asked about. The
// library gives answers to whoever asked first.
func sameFolder(told, name string) bool {
	return told == name || strings.EqualFold(told, "INBOX") && strings.EqualFold(name, "INBOX")
}

func grants(rights map[imap.RightsIdentifier]imap.RightSet) (list []storage.Grant) {
	for who, r := range rights {
		list = append(list, storage.Grant{Identifier: string(who), Rights: string(r)})
	}
	slices.SortFunc(list, func(a, b storage.Grant) int { return cmp.Compare(a.Identifier, b.Identifier) })
	return list
}

func quota(data imapclient.QuotaData) storage.Quota {
	q := storage.Quota{Root: data.Root}
	for name, r := range data.Resources {
		q.Resources = append(q.Resources, storage.Resource{Name: string(name), Usage: r.Usage, Limit: r.Limit})
	}
	slices.SortFunc(q.Resources, func(a, b storage.Resource) int { return cmp.Compare(a.Name, b.Name) })
	return q
}

// measured are the entries of Cyrus that nobody set: it counts and measures in
// them, so that they are others each day.
var measured = []string{"annotsize", "foldermodseq", "freespace", "hasalarms", "lastupdate", "size", "synccrcs", "usercounters", "usermodseq"}

func isMeasured(entry string) bool {
	_, name, ok := strings.Cut(strings.ToLower(entry), "/vendor/cmu/cyrus-imapd/")
	name, _, _ = strings.Cut(name, "/")
	return ok && slices.Contains(measured, name)
}

func annotations(data *imapclient.GetMetadataData) (list []storage.Annotation) {
	for entry, value := range data.Entries {
		if value != nil && !isMeasured(entry) {
			list = append(list, storage.Annotation{Entry: entry, Value: *value})
		}
	}
	slices.SortFunc(list, func(a, b storage.Annotation) int { return cmp.Compare(a.Entry, b.Entry) })
	return list
}
