package storage

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"restante/storage/objects"
)

// TestOctetsThatAreNoTextAreReadAsTheyWereWritten: names of files, of quota roots
// and of accounts may be no UTF-8. Encoding takes them; a decoder that refuses
// them would lock the repository for good.
func TestOctetsThatAreNoTextAreReadAsTheyWereWritten(t *testing.T) {
	const odd = "caf\xe9"
	for _, record := range []any{
		root{Kind: odd, Folders: []folderRef{{Levels: []string{odd}}}},
		Folder{Levels: []string{odd}, Delimiter: odd, Attributes: []string{odd}, SpecialUse: []string{odd}, Missing: []Missing{{UID: 1, Reason: odd}}},
		Details{Quotas: []Quota{{Root: odd, Resources: []Resource{{Name: odd}}}}, Folders: []FolderDetails{{Levels: []string{odd}, Rights: odd, ACL: []Grant{{Identifier: odd, Rights: odd}}, Quotas: []string{odd}}},
			Metadata: []Annotation{{Entry: odd}}, Scripts: []Script{{Name: odd}}},
		vaultPlain{Name: odd},
	} {
		b, err := canonical.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		read := reflect.New(reflect.TypeOf(record))
		if err := decode.Unmarshal(b, read.Interface()); err != nil {
			t.Errorf("%T: %v", record, err)
			continue
		}
		again, err := canonical.Marshal(read.Interface())
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%T is %x, and read and written anew %x, %v", record, b, again, err)
		}
	}
}

// TestLongListsAreRead: a folder may have more messages that could not be had, and
// a server more to tell, than a decoder takes that nobody has told otherwise.
func TestLongListsAreRead(t *testing.T) {
	const many = 300_000
	f := Folder{Levels: []string{"INBOX"}}
	for i := range many {
		f.Missing = append(f.Missing, Missing{UID: uint32(i + 1), Tries: 3})
	}
	d := Details{}
	for i := range many {
		d.Metadata = append(d.Metadata, Annotation{Entry: fmt.Sprint(i)})
	}
	for _, record := range []any{&f, &d} {
		b, err := canonical.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		if err := decode.Unmarshal(b, reflect.New(reflect.TypeOf(record).Elem()).Interface()); err != nil {
			t.Errorf("%T: %v", record, err)
		}
	}
}

// TestTheLedgerTakesAnyText: an entry with a text that is no UTF-8 locks nobody out
// of the repository.
func TestTheLedgerTakesAnyText(t *testing.T) {
	store := objects.NewMemory()
	r := newRepository(t, store, "")
	const name = "maildir:/home/caf\xe9"
	if _, err := r.AddKey(t.Context(), Lock{Passphrase: "another", Label: name, WorkFactor: 1}); err != nil {
		t.Fatal(err)
	}
	r.Close()
	again, err := Open(t.Context(), store, Passphrase("another"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	slots, _ := again.Keys()
	if len(slots) != 2 || slots[0].Label != name && slots[1].Label != name {
		t.Errorf("%+v", slots)
	}
}
