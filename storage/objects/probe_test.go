package objects_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

func TestProbePassesAStoreThatKeepsItsWord(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]objects.ProbeOptions{"quick": {}, "thorough": objects.ThoroughProbe} {
		for _, store := range []objects.Store{objects.NewMemory(), createDir(t, t.TempDir())} {
			before := objects.Counted(store)
			report, err := objects.Probe(t.Context(), before, options)
			if err != nil {
				t.Fatalf("%s probe of %T: %v", name, store, err)
			}
			for _, check := range report.Checks {
				if check.Result != objects.PromiseKept || check.Detail != "" {
					t.Errorf("%s probe of %T: %s is %s: %s", name, store, check.Name, check.Result, check.Detail)
				}
			}
			if len(report.Checks) != 7 || report.Left != 0 {
				t.Errorf("%s probe of %T: %d checks, %d objects left", name, store, len(report.Checks), report.Left)
			}
			wantNothing(t, store)
			t.Logf("%s probe of %T: %s in %s", name, store, before.Snapshot(), report.Took)
		}
	}
}

// TestProbeOfAStoreThatCannotBeAsked shows that trouble is not taken for a
// broken promise, nor for a kept one.
func TestProbeOfAStoreThatCannotBeAsked(t *testing.T) {
	for _, test := range []struct {
		name string
		rule objectstest.Rule
		want error
	}{
		{"wrong credentials", objectstest.Rule{Fault: objectstest.Refuse}, objects.ErrRefused},
		{"no conditional writes", objectstest.Rule{Fault: objectstest.Refuse, On: objectstest.PutIfAbsent}, objects.ErrRefused},
		{"full", objectstest.Rule{Fault: objectstest.Full}, objects.ErrFull},
		{"down", objectstest.Rule{Fault: objectstest.FailBefore}, objectstest.ErrInjected},
		{"goes down", objectstest.Rule{Fault: objectstest.FailBefore, Skip: 40}, objectstest.ErrInjected},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := objects.Probe(t.Context(), objectstest.NewFaulty(objects.NewMemory(), 1, test.rule), objects.ProbeOptions{})
			if !errors.Is(err, test.want) || errors.Is(err, objects.ErrBroken) {
				t.Errorf("Probe: %v; want %v", err, test.want)
			}
			if last := report.Checks[len(report.Checks)-1]; last.Result != objects.PromiseUnknown || last.Detail == "" {
				t.Errorf("the last check is %+v", last)
			}
		})
	}
}

func TestProbeSurvivesTroubleInARace(t *testing.T) {
	below := objects.NewMemory()
	store := objectstest.NewFaulty(below, 1,
		objectstest.Rule{Fault: objectstest.FailBefore, On: objectstest.PutIfAbsent, Skip: 3, Times: 1},
		objectstest.Rule{Fault: objectstest.FailLate, On: objectstest.PutIfAbsent, Skip: 3, Times: 1})
	if report, err := objects.Probe(t.Context(), store, objects.ProbeOptions{}); err != nil {
		t.Errorf("%v\n%s", err, report)
	}
	store.Settle()
}

func TestProbeWithCredentialsThatMayNotDelete(t *testing.T) {
	below := objects.NewMemory()
	store := objectstest.NewFaulty(below, 1, objectstest.Rule{Fault: objectstest.Refuse, On: objectstest.Delete})
	report, err := objects.Probe(t.Context(), store, objects.ProbeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var unknown []string
	for _, check := range report.Checks {
		if check.Result == objects.PromiseUnknown {
			unknown = append(unknown, check.Name)
		}
	}
	if fmt.Sprint(unknown) != "[list delete]" || report.Left == 0 {
		t.Errorf("unknown: %v, left: %d", unknown, report.Left)
	}
	if !strings.Contains(report.String(), "may not delete") || !strings.Contains(report.String(), report.Folder) {
		t.Errorf("the report does not say so:\n%s", report)
	}
}

func TestProbeCleansUpWhenItIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	below := objects.NewMemory()
	store := objectstest.NewFaulty(below, 1)
	var calls int
	var mu sync.Mutex
	store.Before(func(context.Context, objectstest.Op, string) {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls == 100 {
			cancel()
		}
	})
	if _, err := objects.Probe(ctx, store, objects.ProbeOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Probe: %v; want context.Canceled", err)
	}
	wantNothing(t, below)
}

func collect(list iter.Seq2[objects.Info, error]) (infos []objects.Info) {
	for info, err := range list {
		if err == nil {
			infos = append(infos, info)
		}
	}
	return infos
}

func seq(infos []objects.Info) iter.Seq2[objects.Info, error] {
	return func(yield func(objects.Info, error) bool) {
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func wantNothing(t *testing.T, store objects.Store) {
	t.Helper()
	for _, info := range collect(store.List(t.Context(), "", "")) {
		t.Errorf("%s was left behind", info.Name)
	}
}
