package storage

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A mutant breaks a rule of the protocol. The program has no switch for it: the
// sources are built once more with these texts in place of others ("go test
// -overlay"), and only in that build can it be switched on.
type mutant struct {
	name  string
	edits []edit
	kind  simKind // of the schedules that are to notice it
}

// An edit puts one text in a file in place of another, which must be there
// once. In new, ON says whether the mutant is switched on.
type edit struct{ file, old, new string }

// mutants are what must not go unnoticed.
var mutants = []mutant{
	// Appending.
	{"an unclear put counts as done", []edit{{"ledger/ledger.go", "\t\tdefault:\n\t\t\tunclear = true\n", `		default:
			if ON {
				_, err := l.take(n, box)
				return err == nil, err
			}
			unclear = true
`}}, simAny},
	{"an unclear put counts as failed, and is tried in the next slot", []edit{{"ledger/ledger.go", "return e.Nonce == nonce, nil", "if ON && unclear {\n\t\t\t\treturn false, nil\n\t\t\t}\n\t\t\treturn e.Nonce == nonce, nil"}}, simAny},
	{"412 is ignored", []edit{{"ledger/ledger.go", "\t\t\t// Somebody's, or our own from an unanswered try.\n", `			if ON {
				_, err := l.take(n, box)
				return err == nil, err
			}
`}}, simAny},
	{"whatever stands in the slot counts as ours", []edit{{"ledger/ledger.go", "return e.Nonce == nonce, nil", "if ON {\n\t\t\t\treturn true, nil\n\t\t\t}\n\t\t\treturn e.Nonce == nonce, nil"}}, simAny},
	{"a slot is skipped", []edit{{"ledger/ledger.go", "\tunclear := false //", "\tif ON && n%4 == 3 {\n\t\tn++\n\t}\n\tunclear := false //"}}, simAny},
	{"a slot is overwritten", []edit{{"ledger/ledger.go", "err := l.store.PutIfAbsent(ctx, Slot(n), box)", "err := l.store.PutIfAbsent(ctx, Slot(n), box)\n\t\tif ON && errors.Is(err, objects.ErrExists) {\n\t\t\terr = l.store.Put(ctx, Slot(n), box)\n\t\t}"}}, simAny},
	{"an entry is not judged again when others were faster", []edit{{"ledger/ledger.go", "\t\tbody, err := propose(l.state)\n", `		if !ON || body == nil {
			body, err = propose(l.state)
		}
`}, {"ledger/ledger.go", "\tfor { // once per slot\n", "\tvar body Body\n\tvar err error\n\tfor { // once per slot\n"}}, simAny},
	{"the ledger is truncated after a checkpoint", []edit{{"ledger/checkpoint.go", "\tl.due = due{Size: int64(len(box))}\n\tnames,", `	for k := uint64(1); ON && k < n; k++ {
		l.store.Delete(ctx, Slot(k))
	}
	l.due = due{Size: int64(len(box))}
	names,`}}, simAny},
	{"a condemned pack stays among the packs", []edit{{"ledger/state.go", "\t\t\tdelete(s.Packs, c.Pack)\n", "\t\t\tif !ON {\n\t\t\t\tdelete(s.Packs, c.Pack)\n\t\t\t}\n"}}, simAny},
	{"what was condemned is forgotten", []edit{{"ledger/state.go", "\t\t\ts.Condemned[c.Pack] = c.Relocated\n", "\t\t\tif !ON {\n\t\t\t\ts.Condemned[c.Pack] = c.Relocated\n\t\t\t}\n"}}, simAny},

	// Writers.
	{"a commit is not validated", []edit{{"commit.go", "return c, check(s, c, bases, used)", "if ON {\n\t\t\treturn c, nil\n\t\t}\n\t\treturn c, check(s, c, bases, used)"}}, simAny},
	{"a commit does not ask whether its own packs were condemned", []edit{{"group.go", "\t\t\tw.used[p.ID] = struct{}{}\n", "\t\t\tif !ON {\n\t\t\t\tw.used[p.ID] = struct{}{}\n\t\t\t}\n"}}, simAny},
	{"a commit does not ask whether its parent is there", []edit{{"commit.go", "\tif len(bases) > 0 {\n", "\tif len(bases) > 0 && !ON {\n"}}, simParents},
	{"a commit does not ask for the packs of what it did not store again", []edit{{"save.go", "\t\tm.used[where.Pack] = struct{}{}\n", "\t\tif !ON {\n\t\t\tm.used[where.Pack] = struct{}{}\n\t\t}\n"}}, simAny},
	{"a commit does not wait for its packs", []edit{{"save.go", `		if err := w.write(last); err != nil {
			return err
		}
		w.inFlight.Wait()
`, `		if ON {
			octets, dir, err := last.Finish()
			w.mu.Lock()
			w.written = append(w.written, index.Pack{ID: last.ID(), Size: int64(len(octets)), Directory: dir})
			w.mu.Unlock()
			w.inFlight.Go(func() { w.repo.put(w.ctx, packName(last.ID()), octets) })
			return err
		}
		if err := w.write(last); err != nil {
			return err
		}
		w.inFlight.Wait()
`}}, simAny},
	{"a pack that could not be written is committed", []edit{{"save.go", "packName(b.ID()), octets); err != nil {", "packName(b.ID()), octets); err != nil && !ON {"}}, simAny},
	{"a pack gets a name that was used before", []edit{{"save.go", "\trand.Read(id[6:])\n", "\tif !ON {\n\t\trand.Read(id[6:])\n\t}\n"}}, simAny},
	{"dropped indexes are removed before the entry", []edit{{"commit.go", "\terr := w.repo.ledger.Append(ctx,", "\tfor _, id := range c.Dropped {\n\t\tif ON {\n\t\t\tw.repo.store.Delete(ctx, indexName(id))\n\t\t}\n\t}\n\terr := w.repo.ledger.Append(ctx,"}}, simAny},

	// Readers.
	{"a reader does not look again when something is gone", []edit{{"load.go", "if err == nil || i == mostMoves ||", "if err == nil || ON || i == mostMoves ||"}}, simAny},

	{"a leap goes over entries that nobody repeats", []edit{
		{"ledger/repeats.go", "if first <= l.state.Next {", "if first <= l.state.Next || ON {"},
		{"ledger/repeats.go", "\tif first > next || next > e.N {\n\t\treturn errRepeats\n\t}\n\tall = all[next-first:]\n\tif !bytes.Equal(all[0].Prev, l.state.Head[:prevLength]) {\n", `	if ON {
		first, next, all = e.N, e.N, all[len(all)-1:]
	}
	if first > next || next > e.N {
		return errRepeats
	}
	all = all[next-first:]
	if !bytes.Equal(all[0].Prev, l.state.Head[:prevLength]) && !ON {
`}}, simAny},

	// Pruners.
	{"packs are condemned without reading what came since", []edit{{"condemn.go", "\t\t\tif s.Next != p.upTo {\n", "\t\t\tif ON {\n\t\t\t\tp.upTo = s.Next\n\t\t\t}\n\t\t\tif s.Next != p.upTo {\n"}}, simAny},
	{"what came since is read and not gone through", []edit{{"condemn.go", "\treturn p.takeIn(ctx)\n", "\tif ON {\n\t\tp.upTo = p.repo.ledger.Entries()\n\t\treturn nil\n\t}\n\treturn p.takeIn(ctx)\n"}}, simAny},
	{"what came since spares no pack", []edit{{"condemn.go", "\t\t\tp.spared[pack] = true\n", "\t\t\tp.spared[pack] = !ON\n"}}, simAny},
	{"packs are condemned though they were spared", []edit{{"condemn.go", "if !p.spared[id] {", "if !p.spared[id] || ON {"}}, simAny},
	{"what another prune moved is counted on", []edit{{"condemn.go", "if p.countsOn(id) {", "if p.countsOn(id) && !ON {"}}, simPrunes},
	{"a pack that another prune took for a stray is named", []edit{{"condemn.go", "if p.unnamed[id] {", "if p.unnamed[id] && !ON {"}}, simPrunes},
	{"packs are removed before they are condemned", []edit{{"condemn.go", "\tfor part := range slices.Chunk(all, perCondemn) {\n", "\tif ON {\n\t\tp.remove(ctx, all, &p.result.Unneeded)\n\t}\n\tfor part := range slices.Chunk(all, perCondemn) {\n"}}, simAny},
	{"packs are removed though nobody knows that they are condemned", []edit{{"condemn.go", "\t\t\tif err != nil {\n\t\t\t\treturn err\n\t\t\t}\n\t\t\tcontinue\n", "\t\t\tif err != nil {\n\t\t\t\tif ON {\n\t\t\t\t\tp.remove(ctx, part, &p.result.Unneeded)\n\t\t\t\t}\n\t\t\t\treturn err\n\t\t\t}\n\t\t\tcontinue\n"}}, simPrunes},
	{"stray packs are removed without an entry", []edit{{"prune.go", "p.remove(ctx, p.leftovers,", "p.remove(ctx, append(p.leftovers, map[bool][]ulid.ULID{true: p.strays}[ON]...),"}}, simAny},
	{"a prune goes by the ledger that its machine knows", []edit{
		{"prune.go", "\tif err := p.repo.ledger.Complete(ctx); err != nil {\n\t\treturn err\n\t}\n\tnow :=", "\tif known, _ := r.ledger.Export(); ON {\n\t\tp.repo.ledger.Import(known)\n\t} else if err := p.repo.ledger.Complete(ctx); err != nil {\n\t\treturn err\n\t}\n\tnow :="},
		{"condemn.go", "\t\t\tif s.Next != p.upTo {\n", "\t\t\tif ON {\n\t\t\t\tp.upTo = s.Next\n\t\t\t}\n\t\t\tif s.Next != p.upTo {\n"}}, simAny},
	{"only the latest snapshots are gone through", []edit{{"prune.go", "\t\t\t\tif !p.walked[snap.ID] {\n", "\t\t\t\tlist := s.Snapshots[account]\n\t\t\t\tif !p.walked[snap.ID] && !(ON && snap.ID != list[len(list)-1].ID) {\n"}}, simAny},
	{"pages of flags are not marked", []edit{{"reach.go", "\t\t_, err := r.need(id, structureDomain)\n\t\treturn err\n", "\t\tif ON {\n\t\t\treturn nil\n\t\t}\n\t\t_, err := r.need(id, structureDomain)\n\t\treturn err\n"}}, simAny},
	{"what is rewritten is not read back, and may not be there", []edit{
		{"repack.go", "octets, _, err := b.pack.Finish()", "octets, made, err := b.pack.Finish()"},
		{"repack.go", "if err := b.p.repo.put(ctx, packName(id), octets); err != nil {", "if err := b.p.repo.put(ctx, packName(id), octets); err != nil && !ON {"},
		{"repack.go", "\tdir, err := b.p.repo.prove(ctx, b.v.v, id, size)\n", "\tdir := made\n\tif !ON {\n\t\tdir, err = b.p.repo.prove(ctx, b.v.v, id, size)\n\t}\n"}}, simRough},
	{"old packs are removed before the entry that names the new ones", []edit{{"repack.go", "\tbody, err := b.p.condemn(ctx, b.entry)\n", "\tfor id := range b.from {\n\t\tif ON {\n\t\t\tb.p.delete(ctx, packName(id))\n\t\t}\n\t}\n\tbody, err := b.p.condemn(ctx, b.entry)\n"}}, simAny},
}

// switchMutant switches a mutant on, "" for none. It is set only in a build
// that has them.
var switchMutant func(name string)

// mostSchedules is how many schedules may pass before a mutant is noticed.
const mostSchedules = 1000

// TestMutants: the simulation can fail. Every mutant is noticed within 1,000
// schedules.
func TestMutants(t *testing.T) {
	if switchMutant == nil {
		buildMutants(t)
		return
	}
	images := simulate(t)
	caches := simCacheRoot(t)
	worst := uint64(0)
	for _, m := range mutants {
		seed := uint64(1)
		for ; seed <= mostSchedules; seed++ {
			switchMutant(m.name)
			w := playKind(t, images, *simFirst-1+seed, caches, nil, m.kind)
			switchMutant("")
			if w.wrong != nil {
				t.Logf("schedule %4d: %s: %v", seed, m.name, w.wrong)
				break
			}
		}
		if seed > mostSchedules {
			t.Errorf("%d schedules went by without anybody noticing: %s", mostSchedules, m.name)
		}
		worst = max(worst, seed)
	}
	t.Logf("%d mutants, all noticed after %d schedules at most", len(mutants), worst)
}

// buildMutants builds the package with all mutants in it, and runs this test
// there.
func buildMutants(t *testing.T) {
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, m := range mutants {
		for _, e := range m.edits {
			text, ok := sources[e.file]
			if !ok {
				b, err := os.ReadFile(e.file)
				if err != nil {
					t.Fatal(err)
				}
				text = strings.Replace(string(b), "import (\n", "import (\n\t\"restante/storage/internal/broken\"\n", 1)
			}
			sources[e.file] = m.put(t, text, e)
		}
	}
	sources["internal/broken/broken.go"] = "// Package broken says which mutant is switched on.\npackage broken\n\nvar On string\n"
	sources["mutantswitch_test.go"] = "package storage\n\nimport \"restante/storage/internal/broken\"\n\nfunc init() { switchMutant = func(name string) { broken.On = name } }\n"
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for file, text := range sources {
		path := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(here, filepath.FromSlash(file))] = path
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-overlay", path, "-vet=off", "-count=1", "-v", "-run", "^TestMutants$", ".", "-first", fmt.Sprint(*simFirst)).CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d mutants", len(mutants))) {
		t.Fatal(err)
	}
}

// put puts an edit into a text. Other mutants may have changed the same place:
// then each has its own condition in it.
func (m *mutant) put(t *testing.T, text string, e edit) string {
	if n := strings.Count(text, e.old); n != 1 {
		t.Fatalf("%s: %d places in %s are as the mutant knows them:\n%s", m.name, n, e.file, e.old)
	}
	return strings.Replace(text, e.old, strings.ReplaceAll(e.new, "ON", fmt.Sprintf("(broken.On == %q)", m.name)), 1)
}
