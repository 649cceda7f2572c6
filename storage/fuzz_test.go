package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"filippo.io/age"

	"restante/storage/ledger"
	"restante/storage/objects"
)

// octetsOf gives each object of the repository of format 1 in testdata.
func octetsOf(f *testing.F, prefix string, each func(name string, octets []byte)) {
	f.Helper()
	store, err := objects.OpenDir("testdata/format1/repository")
	if err != nil {
		f.Fatal(err)
	}
	for info, err := range store.List(f.Context(), prefix, "") {
		if err != nil {
			f.Fatal(err)
		}
		octets, err := store.Get(f.Context(), info.Name, 0, -1)
		if err != nil {
			f.Fatal(err)
		}
		each(info.Name, octets)
	}
}

// harmless fails the test where an error has characters that do more on a
// screen than to be seen.
func harmless(t *testing.T, err error) {
	t.Helper()
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
		t.Errorf("shown as %q", err)
	}
}

// FuzzConfig: what is read of a repository's config can be worked with, and
// written anew it reads the same.
func FuzzConfig(f *testing.F) {
	octetsOf(f, configName, func(_ string, octets []byte) { f.Add(octets) })
	f.Add([]byte(`{"restante":"repository","format":2,"id":"00"}`))
	f.Add([]byte(`{"restante":"repository","format":1,"id":"00112233445566778899aabbccddeeff","segment":-1,"pack":1e9}`))
	f.Fuzz(func(t *testing.T, octets []byte) {
		c, id, err := parseConfig(octets)
		if err != nil {
			harmless(t, err)
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ledger.ErrNewer) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if again, sameID, err := parseConfig(written); err != nil || again != c || sameID != id {
			t.Errorf("%+v, and written anew %+v, %v", c, again, err)
		}
		if c.Segment <= 0 || c.Pack <= 0 || int64(c.Segment) > c.Pack*1024 {
			t.Errorf("%+v", c)
		}
	})
}

// FuzzKeySlot: whatever stands in the place of a key slot opens nothing, and is
// told from a slot that is for others.
func FuzzKeySlot(f *testing.F) {
	octetsOf(f, keysPrefix, func(_ string, octets []byte) { f.Add(octets, false) })
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		f.Fatal(err)
	}
	sealed := func(plain []byte) []byte {
		var b bytes.Buffer
		w, err := age.Encrypt(&b, identity.Recipient())
		if err != nil {
			f.Fatal(err)
		}
		w.Write(plain)
		w.Close()
		return b.Bytes()
	}
	plain := []byte(`{"restante":"key","repository":"00","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`)
	f.Add(sealed(plain), false)
	f.Add(plain, true) // what is in the box is for the fuzzer, too
	f.Add([]byte(`{"restante":"key","repository":"00","key":"AAAA"}`), true)
	scrypt, err := age.NewScryptIdentity("passphrase")
	if err != nil {
		f.Fatal(err)
	}
	scrypt.SetMaxWorkFactor(1) // what takes long is not what is looked for
	f.Fuzz(func(t *testing.T, octets []byte, inside bool) {
		if inside {
			octets = sealed(octets)
		}
		r := &Repository{config: config{ID: "00"}}
		err := r.trySlot("000102030405060708090a0b0c0d0e0f", octets, []age.Identity{identity, scrypt})
		switch {
		case err == nil && !inside && !bytes.Contains(octets, []byte("X25519")):
			t.Error("it opens")
		case err == nil && r.slot != ID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}:
			t.Errorf("slot %s", r.slot)
		case err != nil && !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrDamaged):
			t.Errorf("an error of no kind: %v", err)
		case err != nil && r.key != [32]byte{}:
			t.Error("a key is left of what did not open")
		}
	})
}

// FuzzRecords: the records of a tree, of a vault and of details. What can be read
// is written in a form that reads the same.
func FuzzRecords(f *testing.F) {
	id := BlobID{1, 2, 3}
	for _, record := range []any{
		root{Kind: "imap", Folders: []folderRef{{Levels: []string{"INBOX"}, ID: id}, {Levels: []string{"a", "b"}, ID: id, Record: []byte{0xa0}}}, Details: []BlobID{id}},
		Folder{Levels: []string{"INBOX"}, Raw: []byte("caf\xe9"), Delimiter: "/", UIDValidity: 1, MailList: pageList{refs: []page{{1, 9, 4, id}, {10, 10, 1, id}}},
			FlagList: pageList{lists: true, refs: []page{{1, 1 << 31, 4, id}}}, Missing: []Missing{{UID: 3, Tries: 2, Reason: "NO"}}},
		vaultPlain{ID: ID{1}, Name: "default"},
		Details{Quotas: []Quota{{Root: "", Resources: []Resource{{Name: "STORAGE", Usage: 1, Limit: 2}}}}, Folders: []FolderDetails{{Levels: []string{"x"}, ACL: []Grant{{Identifier: "-bob", Rights: "lr"}}}},
			Metadata: []Annotation{{Entry: "/shared/comment", Value: []byte("x")}}, Scripts: []Script{{Name: "main", Octets: []byte("keep;")}}},
	} {
		b, err := canonical.Marshal(record)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) // an array of 2^63-1
	f.Fuzz(func(t *testing.T, octets []byte) {
		for _, kind := range []any{root{}, Folder{}, vaultPlain{}, Details{}} {
			read := reflect.New(reflect.TypeOf(kind))
			if decode.Unmarshal(octets, read.Interface()) != nil {
				continue
			}
			written, err := canonical.Marshal(read.Interface())
			if err != nil {
				t.Fatalf("%T cannot be written: %v", kind, err)
			}
			again := reflect.New(reflect.TypeOf(kind))
			if err := decode.Unmarshal(written, again.Interface()); err != nil {
				t.Fatalf("%T written anew: %v", kind, err)
			}
			twice, err := canonical.Marshal(again.Interface())
			if err != nil || !bytes.Equal(twice, written) {
				t.Errorf("%T %x is written as %x, and that as %x, %v", kind, octets, written, twice, err)
			}
			if folder, ok := read.Interface().(*Folder); ok {
				for _, list := range []pageList{folder.MailList, folder.FlagList} {
					for i, p := range list.refs {
						if p.First > p.Last || i > 0 && p.First <= list.refs[i-1].Last {
							t.Errorf("pages %+v", list.refs)
						}
					}
				}
			}
		}
	})
}

// FuzzPageList: lists of pages are in ascending order, and are written as they
// were read.
func FuzzPageList(f *testing.F) {
	f.Add(appendPages(nil, []page{{1, 5, 5, BlobID{1}}, {6, 6, 1, BlobID{2}}, {1 << 31, 1<<32 - 1, 9, BlobID{3}}}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, octets []byte) {
		pages, err := parsePages(octets)
		if err != nil {
			return
		}
		if len(pages)*16 > len(octets) {
			t.Errorf("%d pages of %d octets", len(pages), len(octets))
		}
		again, err := parsePages(appendPages(nil, pages))
		if err != nil || !slices.Equal(again, pages) {
			t.Errorf("%+v, and written anew %+v, %v", pages, again, err)
		}
	})
}

// FuzzPoint: a point in time is refused by name, or is one, and ages lie behind.
func FuzzPoint(f *testing.F) {
	for _, s := range []string{"latest", "", "2026-11-20", "2026-11-20 14:00", "2026-11-20T14:00:05+02:00", "90m", "12h", "3d", "2w", "6mo", "1y", "99999y", "deadbeef", "0d", "-1d", "9999-12-31", "0000-01-01", "1d ", "２d"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.FixedZone("", 3600))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePoint(text, now)
		if err != nil {
			harmless(t, err)
			return
		}
		kinds := 0
		for _, is := range []bool{p.latest, p.id != "", !p.before.IsZero()} {
			if is {
				kinds++
			}
		}
		if kinds > 1 || p.id != strings.ToLower(p.id) {
			t.Errorf("%q is %+v", text, p)
		}
		if at, ok := parseAge(strings.TrimSpace(text), now); ok && at.After(now) {
			t.Errorf("%q is %v, which is to come", text, at)
		}
		if before := strings.TrimSpace(text); p.id != "" && (len(p.id) < 4 || !strings.EqualFold(p.id, before)) {
			t.Errorf("%q is the id %q", text, p.id)
		}
	})
}

// FuzzFolderName: the levels of a name make that name.
func FuzzFolderName(f *testing.F) {
	for _, s := range []string{"INBOX", "a/b", `a\/b/c`, `\\`, "/", "", "x\xffy", `\`, `a\b`} {
		f.Add(s, "second")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if utf8.ValidString(first) && utf8.ValidString(second) {
			levels := []string{first, second}
			if again := FolderLevels(FolderName(levels)); !slices.Equal(again, levels) {
				t.Errorf("%q is %q, which is %q", levels, FolderName(levels), again)
			}
		}
		name := FolderName(FolderLevels(first))
		if again := FolderName(FolderLevels(name)); again != name {
			t.Errorf("%q is %q, and that %q", first, name, again)
		}
	})
}

// FuzzWritten: whatever a server or a file calls things, what is written of it in
// a snapshot is read as it was.
func FuzzWritten(f *testing.F) {
	f.Add("INBOX", []byte("keep;"), uint32(1), int64(1))
	f.Add("caf\xe9", []byte{0xff, 0}, uint32(1<<32-1), int64(-1))
	f.Fuzz(func(t *testing.T, text string, octets []byte, n uint32, long int64) {
		for _, record := range []any{
			&Folder{Levels: []string{text, "x"}, Raw: octets, Delimiter: text, Attributes: []string{text}, SpecialUse: []string{text}, UIDValidity: n, UIDNext: n, Counted: long, Missing: []Missing{{UID: n, Tries: int(n), Reason: text}}},
			&Details{Quotas: []Quota{{Root: text, Resources: []Resource{{Name: text, Usage: long, Limit: -long}}}}, Folders: []FolderDetails{{Levels: []string{text}, Rights: text, ACL: []Grant{{Identifier: text, Rights: text}}, Quotas: []string{text}}},
				Metadata: []Annotation{{Entry: text, Value: octets}}, Scripts: []Script{{Name: text, Octets: octets}}},
			&root{Kind: text, Folders: []folderRef{{Levels: []string{text}}}},
		} {
			b, err := canonical.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			read := reflect.New(reflect.TypeOf(record).Elem()).Interface()
			if err := decode.Unmarshal(b, read); err != nil {
				t.Fatalf("%T cannot be read: %v", record, err)
			}
			if again, err := canonical.Marshal(read); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%T is written as %x, and read and written anew %x, %v", record, b, again, err)
			}
		}
		list := []Message{{UID: max(n, 1), Size: max(long, 0) >> 2, From: text, To: text, Subject: text, Key: text}}
		if again, err := parseMessagePage(appendMessagePage(nil, list)); err != nil || len(again) != 1 || !sameMessage(again[0], list[0]) {
			t.Errorf("%+v is read as %+v, %v", list, again, err)
		}
		sets := new(flagSets)
		page := appendFlagPage(nil, []flagItem{{max(n, 1), sets.number([]string{text, "x"})}}, sets)
		if again, err := parseFlagPage(page, sets); err != nil || len(again) != 1 || text != "x" && len(sets.sets[again[0].set]) != 2 {
			t.Errorf("the flag %q is read as %+v, %v", text, again, err)
		}
	})
}
