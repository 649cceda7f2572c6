package scale

import (
	"bytes"
	"os"
	"testing"

	"restante/cmd/testbed/bench"
	"restante/cmd/testbed/servers"
	"restante/cmd/testbed/site"
)

// TestMain makes this test program one that runs can be measured through.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == bench.PartFlag {
		os.Exit(bench.Part(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestASmallShare is a small share of what testbed scale does, with all its
// limits but those of time.
func TestASmallShare(t *testing.T) {
	t.Parallel()
	servers.IMAP(t) // or skip
	s, err := site.New(t.TempDir(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	s.Say = t.Logf
	program, err := s.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), s, program, Options{Messages: 500, Folders: 60, Large: 16 << 20, Maildir: true, Untimed: true, Self: os.Args[0]})
	t.Logf("\n%v", report)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Broken(); err != nil {
		t.Error(err)
	}
	if len(report.Steps) < 18 {
		t.Errorf("there are %d runs", len(report.Steps))
	}
}

func TestALargeMessageIsAsLargeAsAskedFor(t *testing.T) {
	t.Parallel()
	for octets := int64(1000); octets < 1200; octets++ {
		var b bytes.Buffer
		if err := writeLarge(&b, octets); err != nil || int64(b.Len()) != octets {
			t.Fatalf("%d octets, asked for %d: %v", b.Len(), octets, err)
		}
	}
}

func TestALimitThatDoesNotHoldIsTold(t *testing.T) {
	t.Parallel()
	r := &Report{Steps: []*Step{
		{Trial: fewer, What: first, Usage: bench.Usage{Peak: 60 << 20}},
		{Trial: many, What: first, Usage: bench.Usage{Peak: 120 << 20}},
	}}
	r.compareMemory()
	if r.Broken() == nil || len(r.Steps[1].Broken) != 1 || len(r.Steps[0].Broken) != 0 {
		t.Errorf("%v", r)
	}
	r.Steps[0].atMost("requests", 3, 3)
	r.Steps[0].atMost("requests", 4, 3)
	if len(r.Steps[0].Broken) != 1 {
		t.Errorf("%v", r)
	}
}
