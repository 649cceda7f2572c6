package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"restante/storage"
)

// A Group is messages of one folder that are to be restored into one folder.
type Group struct {
	Folder   *storage.Folder
	Vault    storage.ID
	Messages iter.Seq2[storage.Message, error]
	// Picked says that single messages are meant and not the folder: it is not
	// made without any, nor subscribed to where it is there.
	Picked bool
	// Reference names the n-th of Messages; nil: they are in Folder.
	Reference func(n int) string
}

// A Selection says which messages of a snapshot are meant. The zero value
// means all of them, and all folders, those without messages too.
type Selection struct {
	// Folders are patterns of folder names, as path.Match has them, level by
	// level; "**" at the end means all below. Any of them will do.
	Folders []string
	// References are single messages, as FOLDER#UID.
	References []string
	// From, To and Subject must be contained, whatever the case.
	From, To, Subject string
	// Since and Before limit the Date header's instant, or the internal date
	// where there is none: Since ≤ date < Before. Zero: no limit.
	Since, Before time.Time
}

// Whole says that nothing is left out.
func (s *Selection) Whole() bool { return len(s.Folders) == 0 && !s.picks() }

// picks says that single messages are chosen, so that folders without any are
// of no interest.
func (s *Selection) picks() bool {
	return len(s.References) > 0 || s.From != "" || s.To != "" || s.Subject != "" || !s.Since.IsZero() || !s.Before.IsZero()
}

// Validate says what is wrong with references. A pattern that is not well
// written may still be a folder's name.
func (s *Selection) Validate() error {
	for _, r := range s.References {
		if _, _, err := ParseReference(r); err != nil {
			return err
		}
	}
	return nil
}

// Reference names a message of a snapshot.
func Reference(folder string, uid uint32) string {
	return folder + "#" + strconv.FormatUint(uint64(uid), 10)
}

// ParseReference is the reverse of Reference.
func ParseReference(r string) (folder string, uid uint32, err error) {
	i := strings.LastIndexByte(r, '#')
	if i >= 0 {
		n, err := strconv.ParseUint(r[i+1:], 10, 32)
		if err == nil && n > 0 {
			return r[:i], uint32(n), nil
		}
	}
	return "", 0, fmt.Errorf("%q names no message; write FOLDER#UID, as ls shows it: INBOX#123", r)
}

// ErrNotFound says that a snapshot has no folder or no message that was asked
// for by name.
var ErrNotFound = errors.New("not found")

// notFound is an error of that kind, in words of its own.
type notFound string

func (e notFound) Error() string { return string(e) }

func (e notFound) Is(target error) bool { return target == ErrNotFound }

// Groups goes through what the selection means of a snapshot. Folders that
// cannot hold messages are left out. Each pattern has to mean some folder, and
// each reference a message: who names something wants to know that it is not
// there (ErrNotFound).
func (s *Selection) Groups(ctx context.Context, t *storage.Tree) ([]Group, error) {
	wanted := map[string]map[uint32]bool{}
	for _, r := range s.References {
		folder, uid, err := ParseReference(r)
		if err != nil {
			return nil, err
		}
		if wanted[folder] == nil {
			wanted[folder] = map[uint32]bool{}
		}
		wanted[folder][uid] = true
	}
	var groups []Group
	for _, p := range s.Folders {
		if !slices.ContainsFunc(t.Folders, func(f *storage.Folder) bool { return MatchFolder(p, f.Name()) }) {
			return nil, notFound(fmt.Sprintf("the snapshot has no folder that is like %q", p))
		}
	}
	for _, f := range t.Folders {
		name := f.Name()
		uids := wanted[name]
		delete(wanted, name)
		for uid := range uids {
			switch _, found, err := f.Message(ctx, uid); {
			case err != nil:
				return nil, err
			case !found:
				return nil, notFound(fmt.Sprintf("the snapshot has no message %q", Reference(name, uid)))
			}
		}
		if f.UIDValidity == 0 && f.Messages == 0 || !s.folder(name) || len(s.References) > 0 && uids == nil {
			continue
		}
		groups = append(groups, Group{Folder: f, Vault: t.Snapshot.Vault, Messages: s.filter(f.All(ctx), uids), Picked: s.picks()})
	}
	for folder := range wanted {
		return nil, notFound(fmt.Sprintf("the snapshot has no folder %q", folder))
	}
	return groups, nil
}

func (s *Selection) folder(name string) bool {
	return len(s.Folders) == 0 || slices.ContainsFunc(s.Folders, func(p string) bool { return MatchFolder(p, name) })
}

// MatchFolder says whether a folder's name is like a pattern.
func MatchFolder(pattern, name string) bool {
	if pattern == "**" {
		return true
	}
	if above, all := strings.CutSuffix(pattern, "/**"); all {
		for n := name; n != "." && n != ""; n = path.Dir(n) {
			if ok, _ := path.Match(above, n); ok {
				return true
			}
		}
		return false
	}
	if strings.EqualFold(pattern, "inbox") && name == "INBOX" {
		return true
	}
	ok, _ := path.Match(pattern, name)
	return ok || pattern == name // names may hold what patterns mean something by
}

// filter leaves out what is not meant. That there is no message with one of the
// UIDs is an error at the end.
func (s *Selection) filter(all iter.Seq2[storage.Message, error], uids map[uint32]bool) iter.Seq2[storage.Message, error] {
	if !s.picks() {
		return all
	}
	return func(yield func(storage.Message, error) bool) {
		for m, err := range all {
			if err == nil && (uids != nil && !uids[m.UID] || !s.Match(&m)) {
				continue
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// Matches says whether a message in a folder is meant, but for References.
func (s *Selection) Matches(folder string, m *storage.Message) bool {
	return s.folder(folder) && s.Match(m)
}

// Match says whether a message has what is searched for.
func (s *Selection) Match(m *storage.Message) bool {
	at := m.Date
	if at.IsZero() {
		at = m.InternalDate
	}
	return contains(m.From, s.From) && contains(m.To, s.To) && contains(m.Subject, s.Subject) &&
		(s.Since.IsZero() || !at.Before(s.Since)) && (s.Before.IsZero() || at.Before(s.Before))
}

func contains(text, part string) bool {
	return part == "" || strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// VanishedGroups makes groups of messages that vanished, one for each folder
// they go back to: where they were before they were thrown away. A message
// that was marked to be deleted loses that mark, or it would be gone again
// with the next expunge.
func VanishedGroups(list []storage.Vanished, s *Selection) []Group {
	byFolder := map[string][]storage.Vanished{}
	first := map[string]storage.Vanished{}
	var order []string
	for _, v := range list {
		name := v.Origin.Name()
		if !s.Matches(name, &v.Message) {
			continue
		}
		if _, known := first[name]; !known {
			first[name] = v
			order = append(order, name)
		}
		v.Message.Flags = slices.DeleteFunc(slices.Clone(v.Message.Flags), func(f string) bool { return strings.EqualFold(f, `\Deleted`) })
		byFolder[name] = append(byFolder[name], v)
	}
	slices.Sort(order)
	var groups []Group
	for _, name := range order {
		vanished := byFolder[name]
		slices.SortStableFunc(vanished, func(a, b storage.Vanished) int {
			return a.Message.InternalDate.Compare(b.Message.InternalDate)
		})
		groups = append(groups, Group{Folder: first[name].Origin, Vault: first[name].Seen.Vault, Picked: true,
			Messages: func(yield func(storage.Message, error) bool) {
				for i := range vanished {
					if !yield(vanished[i].Message, nil) {
						return
					}
				}
			},
			// Its UID is that of the folder where it was last.
			Reference: func(n int) string { return Reference(vanished[n].Folder.Name(), vanished[n].Message.UID) },
		})
	}
	return groups
}
