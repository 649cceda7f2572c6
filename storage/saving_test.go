package storage

import (
	"bytes"
	"context"
	"testing"
	"time"
)

// saveMail saves messages, with UIDs from first on.
func saveMail(w *Writer, first uint32, mail [][]byte) (list []Message, err error) {
	for i, m := range mail {
		saved, err := w.SaveMessage(bytes.NewReader(m), int64(len(m)))
		if err != nil {
			return nil, err
		}
		list = append(list, Message{UID: first + uint32(i), Size: int64(len(m)), Recipe: saved.Recipe, Flags: []string{`\Seen`}})
	}
	return list, nil
}

// saveTree saves a draft with these messages as the one folder of a snapshot.
func saveTree(ctx context.Context, w *Writer, d *Draft, list []Message, s *Snapshot) error {
	if err := d.Add(list); err != nil {
		return err
	}
	folder, err := d.Save(ctx)
	if err != nil {
		return err
	}
	return w.SaveTree("test", []SavedFolder{folder}, s)
}

// saveNext saves the next snapshot of an account with one folder, and commits
// nothing: the messages get UIDs from first on, after those of the parent.
func saveNext(ctx context.Context, w *Writer, account string, first uint32, mail [][]byte) (Snapshot, error) {
	s := Snapshot{ID: NewID(), Account: account, Started: time.Now().Unix(), Finished: time.Now().Unix()}
	var parent *Folder
	if latest, ok := w.repo.Latest(account); ok {
		s.Parent = latest.ID
		tree, err := w.repo.OpenSnapshot(ctx, latest)
		if err != nil {
			return s, err
		}
		parent = tree.Folder([]string{"INBOX"})
	}
	d := w.Draft(parent)
	d.Describe(func(f *Folder) { f.Levels, f.UIDValidity = []string{"INBOX"}, 7 })
	list, err := saveMail(w, first, mail)
	if err != nil {
		return s, err
	}
	return s, saveTree(ctx, w, d, list, &s)
}

// saveAll saves messages, for UIDs from 1 up.
func saveAll(t *testing.T, w *Writer, mail [][]byte) []Message {
	t.Helper()
	list, err := saveMail(w, 1, mail)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// commitAll commits a snapshot of an account with one folder of these messages,
// and no parent.
func commitAll(t *testing.T, w *Writer, account string, list []Message) Snapshot {
	t.Helper()
	d := w.Draft(nil)
	d.Describe(func(f *Folder) { f.Levels, f.UIDValidity = []string{"INBOX"}, 8 })
	s := Snapshot{ID: NewID(), Account: account}
	if err := saveTree(t.Context(), w, d, list, &s); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustVault(t *testing.T, r *Repository) ID {
	t.Helper()
	id, err := r.VaultID(DefaultVault)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Flush makes all that was saved so far durable. It is in the repository only
// after a Commit.
func (w *Writer) Flush() error {
	w.gate.Lock()
	defer w.gate.Unlock()
	return w.flush()
}
