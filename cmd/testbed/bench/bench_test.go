package bench

import (
	"os"
	"strings"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
	"restante/cmd/testbed/site"
)

// TestMain makes this test program one that the benchmark can run parts of
// itself in.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == PartFlag {
		os.Exit(Part(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func TestABenchmarkOfAFewMessages(t *testing.T) {
	t.Parallel()
	servers.IMAP(t) // or skip
	s, err := site.New(t.TempDir(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	s.Say = t.Logf
	const messages = 300
	report, err := Run(t.Context(), s, Options{
		Corpora: []Corpus{MadeUp(messages)}, Rounds: 1, Connections: 2, Cold: true, Self: os.Args[0],
		ServerCPU: func() (time.Duration, bool) { return 0, false },
	})
	if err != nil {
		t.Fatal(err)
	}
	c := report.Corpora[0]
	if c.Messages != messages || c.Raw < c.Files || c.LeftOut != 0 {
		t.Errorf("the corpus is %d messages, %d octets raw, %d as files", c.Messages, c.Raw, c.Files)
	}
	for _, who := range []string{inDirectory, inBucket, bareName(2), bareAlone, mbsyncName, "restic auto", "borg zstd,9"} {
		row := c.row(who, firstRun)
		if row == nil {
			if !strings.Contains(strings.Join(report.Remarks, "\n"), strings.Fields(who)[0]) {
				t.Errorf("%s is missing, and nothing says why", who)
			}
			continue
		}
		if m := row.Median; m.Wall <= 0 || m.Peak < 1<<20 || m.Stored <= 0 && !strings.HasPrefix(who, "bare") {
			t.Errorf("%s took %+v", who, m)
		}
	}
	if m := c.row(inDirectory, oneLetter).Median; m.Requests == 0 || m.Sent == 0 {
		t.Errorf("one new message cost %+v", m)
	}
	if x := c.Ratios; x.Raw <= 0 || x.Raw >= 1 || x.BareAlone <= 0 {
		t.Errorf("the ratios are %+v", x)
	}
	text, markdown := report.Text(), report.Markdown()
	for _, want := range []string{"made up", inDirectory, nothing, "mail server"} {
		if !strings.Contains(text, want) || !strings.Contains(markdown, want) {
			t.Errorf("%q is not in the tables:\n%s\n%s", want, text, markdown)
		}
	}
}

func TestTheMedianIsNobodysOutlier(t *testing.T) {
	t.Parallel()
	r := new(CorpusReport)
	for _, wall := range []float64{9, 1, 2} {
		r.record("x", "first", Sample{Wall: wall, Stored: int64(10 - wall)})
	}
	if m := r.row("x", "first").Median; m.Wall != 2 || m.Stored != 8 {
		t.Errorf("the median is %+v", m)
	}
}
