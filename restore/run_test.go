package restore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/storage"
	"restante/storage/objects"
)

func TestRestoreAddsEverythingOnceAndNothingTwice(t *testing.T) {
	t.Parallel()
	folders := map[string][]letter{"INBOX": someLetters("INBOX", 300), "Lists/go": someLetters("go", 40), "Empty": nil}
	folders["INBOX"] = append(folders["INBOX"], folders["INBOX"][7], folders["INBOX"][10]) // twice the same
	repo, tree := archive(t, objects.NewMemory(), folders)
	for _, ids := range []bool{true, false} {
		target := newTarget()
		target.noIDs, target.lieAt = !ids, 3
		for range 2 {
			restoreAll(t, repo, tree, target, options())
			wantLetters(t, target, "INBOX", folders["INBOX"])
			wantLetters(t, target, "Lists.go", folders["Lists/go"])
			wantLetters(t, target, "Empty", nil)
		}
		if f := target.folders["Empty"].folder; !f.Subscribed || !slices.Equal(f.SpecialUse, []string{`\Archive`}) {
			t.Errorf("the folder was made as %+v", f)
		}
		target.folders["INBOX"].messages = slices.Delete(target.folders["INBOX"].messages, 5, 60)
		if sum := restoreAll(t, repo, tree, target, options()).Totals(); sum.Appended != 55 || sum.Present != 287 {
			t.Errorf("%d appended, %d present", sum.Appended, sum.Present)
		}
		wantLetters(t, target, "INBOX", folders["INBOX"])
	}
}

func TestLostConnectionsMakeNoDuplicateAndLoseNothing(t *testing.T) {
	t.Parallel()
	folders := map[string][]letter{"INBOX": someLetters("INBOX", 200), "Other": someLetters("Other", 200)}
	folders["INBOX"] = append(folders["INBOX"], folders["INBOX"][:20]...)
	repo, tree := archive(t, objects.NewMemory(), folders)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		target := newTarget()
		target.noIDs = seed%2 == 0
		target.cut = func() (bool, bool) { return r.IntN(25) == 0, r.IntN(2) == 0 }
		report := restoreAll(t, repo, tree, target, options())
		wantLetters(t, target, "INBOX", folders["INBOX"])
		wantLetters(t, target, "Other", folders["Other"])
		if sum := report.Totals(); sum.Appended != 420 {
			t.Errorf("seed %d: the report says %d were appended", seed, sum.Appended)
		}
	}
}

func TestMessagesThatAreAlikeAreToldApartByTheirOctets(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_600_000_000, 0).UTC()
	a := letter{"Message-ID: <same@x>\r\n\r\nbody A\r\n", nil, at}
	b := letter{"Message-ID: <same@x>\r\n\r\nbody B\r\n", nil, at}
	c := letter{"Subject: none\r\n\r\nbody C\r\n", nil, at}
	d := letter{"Subject: none\r\n\r\nbody D\r\n", nil, at}
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": {a, b, c, d}})
	target := newTarget()
	target.Create(t.Context(), "INBOX", Folder{Place: "INBOX"})
	target.folders["INBOX"].messages = []fakeMessage{{"90", b.octets, nil, at}, {"91", c.octets, nil, at}}
	if sum := restoreAll(t, repo, tree, target, options()).Totals(); sum.Present != 2 || sum.Appended != 2 {
		t.Errorf("%d present, %d appended", sum.Present, sum.Appended)
	}
	wantLetters(t, target, "INBOX", []letter{a, b, c, d})
}

func TestKnownMessagesAreNotRead(t *testing.T) {
	t.Parallel()
	folders := map[string][]letter{"INBOX": someLetters("INBOX", 50)}
	repo, tree := archive(t, objects.NewMemory(), folders)
	target := newTarget()
	restoreAll(t, repo, tree, target, options())
	o := options()
	o.Known = func(_ context.Context, levels []string, epoch uint32, known func(string, Known)) error {
		for m, err := range tree.Folder(levels).All(t.Context()) {
			if err != nil {
				return err
			}
			known(fmt.Sprint(m.UID), Known{m.Recipe, m.MessageID}) // the fake's ids are the UIDs, in order
		}
		return nil
	}
	target.reads = 0
	if sum := restoreAll(t, repo, tree, target, o).Totals(); sum.Present != 50 || target.reads != 0 {
		t.Errorf("%d present, %d read", sum.Present, target.reads)
	}
}

func TestRefusedMessagesAndDroppedFlagsAreReportedAndTheRestIsRestored(t *testing.T) {
	t.Parallel()
	letters := someLetters("INBOX", 30)
	letters[3].octets += "VIRUS"
	letters[4].flags = []string{`\Flagged`, "$Odd"}
	letters[5].octets += strings.Repeat("x", 50_000)
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": letters})
	target := newTarget()
	target.refuse = func(octets string) bool { return strings.Contains(octets, "VIRUS") }
	sum := restoreAll(t, repo, tree, target, options()).Totals()
	if sum.Appended != 28 || len(sum.Refused) != 2 || sum.Dropped["$Odd"] != 1 {
		t.Errorf("%+v", sum)
	}
	letters[4].flags = []string{`\Flagged`}
	wantLetters(t, target, "INBOX", slices.Delete(slices.Delete(slices.Clone(letters), 5, 6), 3, 4))
}

func TestServerThatChangesMessagesGetsThemOnce(t *testing.T) {
	t.Parallel()
	letters := someLetters("INBOX", 20)
	letters[2].octets += "bare\nLF and a NUL \x00 and\r"
	letters[10].octets += "no Message-ID, and ends with \r" // 0, 10 have none
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": letters})
	asDovecot := func(s string) string {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
		return strings.ReplaceAll(strings.TrimSuffix(s, "\r"), "\x00", "\x80")
	}
	asExchange := func(s string) string { return strings.Replace(s, "body", "<html>body", 1) }
	for name, c := range map[string]struct {
		mangle  func(string) string
		journal string
		noIDs   bool
	}{"line ends": {asDovecot, "", true}, "bodies, with a journal": {asExchange, t.TempDir(), false}} {
		target := newTarget()
		target.mangle, target.noIDs = c.mangle, c.noIDs
		o := options()
		o.JournalDir = c.journal
		for i := range 3 {
			sum := restoreAll(t, repo, tree, target, o).Totals()
			if want := int64([]int{20, 0, 0}[i]); sum.Appended != want {
				t.Errorf("%s: run %d appended %d", name, i, sum.Appended)
			}
		}
	}
}

// openKnown opens a journal and returns what it says.
func openKnown(dir, place string, epoch uint32) (*journal, map[string]Known) {
	known := map[string]Known{}
	return openJournal(dir, "t", place, epoch, func(id string, k Known) { known[id] = k }), known
}

func TestJournalOfAnotherEpochOrDamagedIsPassedOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, known := openKnown(dir, "INBOX", 7)
	if len(known) > 0 {
		t.Fatal("an empty journal knows something")
	}
	j.add(7, "1", Known{storage.BlobID{1}, [4]byte{2}})
	j.add(8, "1", Known{storage.BlobID{9}, [4]byte{9}})
	whole := journalLine(7, "2", Known{storage.BlobID{2}, [4]byte{}})
	j.file.WriteString(strings.Replace(whole, "02", "03", 1)) // an octet flipped
	j.file.WriteString(whole[1:])
	j.file.WriteString(strings.Repeat("x", 1<<20) + "\n7 1 \n\n\x00\n")
	for i := range len(whole) - 1 {
		j.file.WriteString("\n" + whole[:i])
	}
	j.close()
	// A second process writes while the first does.
	j, known = openKnown(dir, "INBOX", 7)
	second, _ := openKnown(dir, "INBOX", 7)
	j.add(7, "3", Known{storage.BlobID{3}, [4]byte{}})
	second.add(7, "4", Known{storage.BlobID{4}, [4]byte{}})
	j.add(7, "5", Known{storage.BlobID{5}, [4]byte{}})
	j.close()
	second.close()
	if len(known) != 1 || known["1"] != (Known{storage.BlobID{1}, [4]byte{2}}) {
		t.Errorf("%v", known)
	}
	if _, known = openKnown(dir, "INBOX", 7); len(known) != 4 || known["4"].Recipe != (storage.BlobID{4}) {
		t.Errorf("after a half line: %v", known)
	}
	if _, known = openKnown(dir, "other", 7); len(known) != 0 {
		t.Errorf("another folder: %v", known)
	}
}

func TestJournalTellsOfARestoreThatDidNotEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	step := func(what string, unended bool, do func(*journal)) {
		t.Helper()
		j, _ := openKnown(dir, "INBOX", 7)
		if j.unended() != unended {
			t.Errorf("%s: %v", what, j.unended())
		}
		do(j)
		j.close()
	}
	step("nothing was done", false, func(*journal) {})
	step("nothing was sent", false, func(j *journal) { j.end(7) })
	step("that, too", false, func(j *journal) { j.begin(7); j.end(7) })
	step("all was answered", false, func(j *journal) { j.begin(7); j.begin(7); j.add(7, "1", Known{}) })
	step("one was killed", true, func(j *journal) { j.end(7) })
	step("another one was, that had sent nothing", true, func(j *journal) { j.begin(8) })
	step("the folder is another one", true, func(j *journal) {
		if other, _ := openKnown(dir, "INBOX", 9); other.unended() {
			t.Error("it knows of the one before")
		}
		if j.begin(7); j.unended() {
			t.Error("it waits for itself")
		}
		j.end(7)
	})
	step("all that were killed are over", false, func(j *journal) { (&journal{}).begin(7); (&journal{}).end(7) })
}

func TestDryRunDoesNothingAndSaysWhatItWould(t *testing.T) {
	t.Parallel()
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": someLetters("INBOX", 30)})
	target := newTarget()
	o := options()
	o.DryRun = true
	sum := restoreAll(t, repo, tree, target, o).Totals()
	if sum.Missing != 30 || sum.Appended != 0 || len(target.folders) != 0 {
		t.Errorf("%+v, %d folders", sum, len(target.folders))
	}
}

func TestIntoPutsEverythingBelowOneFolder(t *testing.T) {
	t.Parallel()
	folders := map[string][]letter{"INBOX": someLetters("INBOX", 3), "Lists/go": someLetters("go", 4)}
	repo, tree := archive(t, objects.NewMemory(), folders)
	target := newTarget()
	o := options()
	o.Into = []string{"Restored"}
	restoreAll(t, repo, tree, target, o)
	wantLetters(t, target, "Restored.INBOX", folders["INBOX"])
	wantLetters(t, target, "Restored.Lists.go", folders["Lists/go"])
}

func TestNotEnoughRoomIsFoundBeforeAnythingIsAdded(t *testing.T) {
	t.Parallel()
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": someLetters("INBOX", 30)})
	target := newTarget()
	target.room = 100
	groups, _ := new(Selection).Groups(t.Context(), tree)
	if _, err := Run(t.Context(), repo, groups, target, options()); !errors.Is(err, ErrRoom) || len(target.folders) != 0 {
		t.Errorf("%v, %d folders", err, len(target.folders))
	}
}

func TestMessageThatTheArchiveHasLostIsNamedAndTheRestIsRestored(t *testing.T) {
	t.Parallel()
	store := objects.NewMemory()
	letters := someLetters("INBOX", 5)
	big := func(c string) string { // incompressible enough to fill segments of their own
		r := rand.New(rand.NewPCG(uint64(c[0]), 1))
		b := make([]byte, 9<<20)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return "Message-ID: <big-" + c + "@x>\r\nContent-Type: application/octet-stream\r\n\r\n" + string(b)
	}
	for _, c := range []string{"a", "b", "c"} {
		letters = append(letters, letter{big(c), nil, time.Unix(1_600_000_000, 0).UTC()})
	}
	repo, tree := archive(t, store, map[string][]letter{"INBOX": letters})
	repo.Close()
	var first string
	for info := range store.List(t.Context(), "packs/", "") {
		if first == "" {
			first = info.Name
		}
	}
	b, _ := store.Get(t.Context(), first, 0, -1)
	b[1<<20] ^= 1
	store.Put(t.Context(), first, b)
	repo, err := storage.Open(t.Context(), store, storage.Passphrase("x"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	if tree, err = repo.OpenSnapshot(t.Context(), tree.Snapshot); err != nil {
		t.Fatal(err)
	}
	target := &unlimited{newTarget()}
	groups, _ := new(Selection).Groups(t.Context(), tree)
	report, err := Run(t.Context(), repo, groups, target, options())
	if err != nil {
		t.Fatal(err)
	}
	sum := report.Totals()
	if len(sum.Refused) != 1 || sum.Appended != 7 || !strings.Contains(sum.Refused[0].Reason, "archive") {
		t.Errorf("%d appended, refused %+v", sum.Appended, sum.Refused)
	}
}

// unlimited takes messages of any size.
type unlimited struct{ *fakeTarget }

func (u *unlimited) Open(ctx context.Context, place string) (Box, error) {
	b, err := u.fakeTarget.Open(ctx, place)
	return &unlimitedBox{b.(*openFake)}, err
}

type unlimitedBox struct{ *openFake }

func (*unlimitedBox) Limits() Limits { return Limits{} }

func TestSelectionPicksFoldersMessagesAndWhatIsSearchedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"INBOX", "INBOX", true}, {"inbox", "INBOX", true}, {"Lists/*", "Lists/go", true}, {"Lists/*", "Lists/go/dev", false},
		{"Lists/**", "Lists/go/dev", true}, {"Lists/**", "Lists", true}, {"Lists/**", "Listsx", false}, {"*", "a/b", false}, {"**", "a/b", true}, {"[x]", "[x]", true}, {"[x", "[x", true},
	} {
		if got := MatchFolder(c.pattern, c.name); got != c.want {
			t.Errorf("%q is like %q: %v", c.name, c.pattern, got)
		}
	}
	m := storage.Message{From: "Ann <ann@example.org>", Subject: "Grüße", Date: time.Unix(1000, 0)}
	for _, c := range []struct {
		s    Selection
		want bool
	}{
		{Selection{}, true}, {Selection{From: "ANN@"}, true}, {Selection{Subject: "grüß"}, true}, {Selection{To: "ann"}, false},
		{Selection{Since: time.Unix(1000, 0)}, true}, {Selection{Before: time.Unix(1000, 0)}, false}, {Selection{Since: time.Unix(1001, 0)}, false},
	} {
		if got := c.s.Match(&m); got != c.want {
			t.Errorf("%+v matches: %v", c.s, got)
		}
	}
	for _, r := range []string{"INBOX", "INBOX#", "INBOX#0", "INBOX#x", "#", ""} {
		if _, _, err := ParseReference(r); err == nil {
			t.Errorf("%q was taken for a message", r)
		}
	}
	if f, uid, err := ParseReference(Reference("a#b", 7)); f != "a#b" || uid != 7 || err != nil {
		t.Errorf("%q %d %v", f, uid, err)
	}
}
