package restore

import (
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

// accounted fails the test unless every message that was selected is in the
// report, once.
func accounted(t *testing.T, r *Report) {
	t.Helper()
	for _, f := range r.Folders {
		if f.Selected != f.Present+f.Appended+int64(len(f.Refused)) {
			t.Errorf("%s: %d selected, %d present, %d appended, %d refused", f.Folder, f.Selected, f.Present, f.Appended, len(f.Refused))
		}
	}
}

func TestEqualMessagesThatAreRefusedAreNamedEach(t *testing.T) {
	t.Parallel()
	letters := someLetters("INBOX", 200)
	virus := letter{"Message-ID: <v@x>\r\n\r\nVIRUS\r\n", nil, time.Unix(1_600_000_000, 0).UTC()}
	letters = slices.Insert(letters, 150, virus)
	letters = slices.Insert(letters, 7, virus, virus)
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": letters})
	for _, cuts := range []bool{false, true} {
		r := rand.New(rand.NewPCG(1, 1))
		target := newTarget()
		target.refuse = func(octets string) bool { return strings.Contains(octets, "VIRUS") }
		target.cut = func() (bool, bool) { return cuts && r.IntN(20) == 0, r.IntN(2) == 0 }
		report := restoreAll(t, repo, tree, target, options())
		accounted(t, report)
		var got []string
		for _, m := range report.Folders[0].Refused {
			got = append(got, m.Reference)
		}
		if slices.Sort(got); fmt.Sprint(got) != "[INBOX#153 INBOX#8 INBOX#9]" || report.Complete() {
			t.Errorf("cuts %v: refused %v", cuts, got)
		}
		wantLetters(t, target, "INBOX", slices.DeleteFunc(slices.Clone(letters), func(l letter) bool { return l.octets == virus.octets }))
	}
}

// A server that takes one of two equal messages and refuses the other has one,
// and the report says so.
func TestEqualMessagesOfWhichOneIsRefused(t *testing.T) {
	t.Parallel()
	twin := letter{"Message-ID: <t@x>\r\n\r\ntwin\r\n", nil, time.Unix(1_600_000_000, 0).UTC()}
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": {twin, twin}})
	target := newTarget()
	seen := 0
	target.refuse = func(string) bool { seen++; return seen > 1 }
	report := restoreAll(t, repo, tree, target, options())
	accounted(t, report)
	if f := report.Folders[0]; f.Appended != 1 || len(f.Refused) != 1 || f.Refused[0].UID != 2 {
		t.Errorf("%d appended, refused %v", f.Appended, f.Refused)
	}
}

// What arrived without an answer has lost its flags as well.
func TestFlagsLostByMessagesWithoutAnAnswerAreReported(t *testing.T) {
	t.Parallel()
	letters := someLetters("INBOX", 200)
	for i := range letters {
		letters[i].flags = []string{`\Seen`, "$Odd"}
	}
	letters = append(letters, letters[:20]...)
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": letters})
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 2))
		target := newTarget()
		target.noIDs = seed%2 == 0
		target.cut = func() (bool, bool) { return r.IntN(15) == 0, r.IntN(2) == 0 }
		o := options()
		o.Progress = new(Progress)
		report := restoreAll(t, repo, tree, target, o)
		accounted(t, report)
		if sum := report.Totals(); sum.Dropped["$Odd"] != 220 || len(sum.Dropped) != 1 {
			t.Errorf("seed %d: dropped %v", seed, sum.Dropped)
		}
		if p := o.Progress; p.MessagesDone.Load() != 220 || p.Messages.Load() != 220 || p.BytesDone.Load() != p.Bytes.Load() {
			t.Errorf("seed %d: the progress says %d of %d messages, %d of %d octets", seed, p.MessagesDone.Load(), p.Messages.Load(), p.BytesDone.Load(), p.Bytes.Load())
		}
	}
}

// A message that was there, and is gone when the restore looks again after a
// lost connection, is missing like the others, and counted so.
func TestWhatIsGoneWhenTheRestoreLooksAgainComesBack(t *testing.T) {
	t.Parallel()
	letters := someLetters("INBOX", 40)
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": letters})
	target := newTarget()
	restoreAll(t, repo, tree, target, options())
	box := target.folders["INBOX"]
	box.messages = box.messages[:20]
	arrived := 0
	target.cut = func() (bool, bool) {
		if arrived++; arrived != 5 {
			return false, true
		}
		box.messages = slices.Delete(box.messages, 3, 4)
		return true, true
	}
	report := restoreAll(t, repo, tree, target, options())
	accounted(t, report)
	if f := report.Folders[0]; f.Present != 19 || f.Appended != 21 || f.Missing != 21 {
		t.Errorf("%d present, %d appended", f.Present, f.Appended)
	}
	wantLetters(t, target, "INBOX", letters)
}

// What is known of a message by a recipe that nobody asks for, as of another
// vault, says nothing about its octets.
func TestMessagesKnownByOtherRecipesAreCompared(t *testing.T) {
	t.Parallel()
	folders := map[string][]letter{"INBOX": someLetters("INBOX", 50)}
	dir := t.TempDir()
	o := options()
	o.JournalDir = dir
	other, otherTree := archive(t, objects.NewMemory(), folders) // another repository, with other keys
	repo, tree := archive(t, objects.NewMemory(), folders)
	target := newTarget()
	restoreAll(t, other, otherTree, target, o)
	for range 2 {
		if sum := restoreAll(t, repo, tree, target, o).Totals(); sum.Appended != 0 || sum.Present != 50 {
			t.Errorf("%d appended, %d present", sum.Appended, sum.Present)
		}
	}
	// What a look has proven need not be read again.
	target.reads = 0
	restoreAll(t, repo, tree, target, o)
	if target.reads > 0 {
		t.Errorf("%d messages were read again", target.reads)
	}
}

// Where messages are picked, folders without any are of no interest, and those
// that are there stay as they are.
func TestPickedMessagesTouchNoOtherFolder(t *testing.T) {
	t.Parallel()
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": someLetters("INBOX", 10), "Other": someLetters("Other", 10), "Empty": nil})
	for _, s := range []Selection{{References: []string{"INBOX#3"}}, {References: []string{"INBOX#3", "Other#4"}, Since: time.Unix(1, 0), Before: time.Unix(1_600_000_003, 0)}} {
		target := newTarget()
		target.Create(t.Context(), "INBOX", Folder{Place: "INBOX"})
		groups, err := s.Groups(t.Context(), tree)
		if err != nil {
			t.Fatal(err)
		}
		report, err := Run(t.Context(), repo, groups, target, options())
		if err != nil {
			t.Fatal(err)
		}
		if sum := report.Totals(); sum.Appended != 1 || len(report.Folders) != 1 {
			t.Errorf("%v: %d appended, %d folders in the report", s.References, sum.Appended, len(report.Folders))
		}
		if len(target.folders) != 1 || target.folders["INBOX"].folder.Subscribed {
			t.Errorf("%v: the target has %d folders, INBOX is %+v", s.References, len(target.folders), target.folders["INBOX"].folder)
		}
	}
}

func TestMessageThatIsNotInTheSnapshotIsAnError(t *testing.T) {
	t.Parallel()
	_, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": someLetters("INBOX", 10)})
	s := Selection{References: []string{"INBOX#3", "INBOX#99"}}
	if groups, err := s.Groups(t.Context(), tree); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "INBOX#99") || groups != nil {
		t.Errorf("%v, %d groups", err, len(groups))
	}
}

// A vanished message that is refused is named by where it was last.
func TestVanishedMessagesAreNamedByWhereTheyWere(t *testing.T) {
	t.Parallel()
	folders := map[string][]letter{"INBOX": someLetters("INBOX", 3), "Trash": someLetters("Trash", 4)}
	folders["Trash"][2].octets += "VIRUS"
	repo, tree := archive(t, objects.NewMemory(), folders)
	inbox, trash := tree.Folder([]string{"INBOX"}), tree.Folder([]string{"Trash"})
	var list []storage.Vanished
	for m, err := range trash.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		m.Flags = append(m.Flags, `\Deleted`)
		list = append(list, storage.Vanished{Message: m, Folder: trash, Origin: inbox, Seen: tree.Snapshot})
	}
	target := newTarget()
	target.Create(t.Context(), "INBOX", Folder{Place: "INBOX"})
	target.refuse = func(octets string) bool { return strings.Contains(octets, "VIRUS") }
	report, err := Run(t.Context(), repo, VanishedGroups(list, new(Selection)), target, options())
	if err != nil {
		t.Fatal(err)
	}
	accounted(t, report)
	if f := report.Folders[0]; f.Folder != "INBOX" || f.Appended != 3 || len(f.Refused) != 1 || f.Refused[0].Reference != "Trash#3" {
		t.Errorf("%+v", f)
	}
	if target.folders["INBOX"].folder.Subscribed {
		t.Error("the folder was subscribed to")
	}
	for _, m := range target.folders["INBOX"].messages {
		if slices.Contains(m.flags, `\Deleted`) {
			t.Error("a message is marked to be deleted again")
		}
	}
}
