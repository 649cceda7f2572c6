package mailfiles

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// A message may come with fields of state from elsewhere. As long as nobody
// has changed it in the file, its flags are those that it was written with.
func TestStateOfAMarkedMessageIsTheMarks(t *testing.T) {
	t.Parallel()
	text := "Status: RO\nX-Status: F\nX-Mozilla-Status: 0009\nX-Keywords: urgent\nSubject: x\n\nbody\n"
	var file bytes.Buffer
	if _, err := NewMboxWriter(&file, "").Write(t.Context(), Delivery{Flags: []string{flagAnswered}}, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file string
		expunged   bool
		flags      []string
	}{
		{"as written", file.String(), false, []string{"urgent", flagAnswered}},
		{"changed by a mail program", strings.Replace(file.String(), "X-Status: F", "X-Status: D", 1), true, []string{flagSeen, flagDeleted, "urgent"}},
	} {
		for m, err := range ReadMbox(strings.NewReader(c.file), int64(len(c.file)), MboxOptions{}).Messages(t.Context()) {
			if err != nil || m.Expunged != c.expunged || !slices.Equal(m.Flags, c.flags) {
				t.Errorf("%s: %v, expunged %v, flags %q", c.name, err, m.Expunged, m.Flags)
			}
		}
	}
}
