package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWhatGoTestSaysOfFuzzing(t *testing.T) {
	const said = `fuzz: elapsed: 0s, gathering baseline coverage: 0/18 completed
fuzz: elapsed: 3s, execs: 42000 (14000/sec), new interesting: 9 (total: 27)
fuzz: elapsed: 6s, execs: 84150 (14024/sec), new interesting: 13 (total: 31)
PASS
`
	if f := readFuzz([]byte(said), nil); f.tried != "84150" || f.fresh != "13" || f.failed {
		t.Errorf("%+v", f)
	}
	const crashed = `fuzz: elapsed: 0s, execs: 7 (100/sec), new interesting: 0 (total: 1)
--- FAIL: FuzzX (0.02s)
    Failing input written to testdata/fuzz/FuzzX/0123456789abcdef
`
	f := readFuzz([]byte(crashed), errors.New("exit status 1"))
	if f.tried != "7" || !f.failed || !strings.Contains(f.output, "Failing input") || !strings.HasSuffix(f.String(), "FAILED") {
		t.Errorf("%+v", f)
	}
	if f := readFuzz([]byte("x.go:1: no"), errors.New("exit status 1")); f.tried != "0" || !f.failed {
		t.Errorf("%+v", f)
	}
}

func TestFuzzTargetsAreFoundInTheSources(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/x_test.go":          "package a\n\nfunc FuzzOne(f *testing.F) {}\nfunc TestTwo(t *testing.T) {}\nfunc (s) FuzzThree() {}\n",
		"a/x.go":               "package a\n\nfunc FuzzFour() {}\n",
		"b/c/y_test.go":        "package c\n\n// FuzzFive is only spoken of.\nfunc FuzzSix(f *testing.F) {}\n",
		"b/testdata/z_test.go": "package z\n\nfunc FuzzSeven(f *testing.F) {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	got, err := fuzzTargets(".")
	if want := []fuzzTarget{{"a", "FuzzOne"}, {"b/c", "FuzzSix"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
