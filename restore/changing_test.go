package restore

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"restante/storage/objects"
)

// changingTarget is one whose mail programs note in messages what they did.
type changingTarget struct{ *fakeTarget }

func (c *changingTarget) Open(ctx context.Context, place string) (Box, error) {
	b, err := c.fakeTarget.Open(ctx, place)
	return &changingBox{b.(*openFake)}, err
}

type changingBox struct{ *openFake }

func (*changingBox) Lasting(w io.Writer) io.WriteCloser { return &withoutStatus{w: w} }

type withoutStatus struct {
	w   io.Writer
	all bytes.Buffer
}

func (s *withoutStatus) Write(p []byte) (int, error) { return s.all.Write(p) }

func (s *withoutStatus) Close() error {
	_, err := io.WriteString(s.w, strings.TrimPrefix(s.all.String(), "Status: RO\r\n"))
	return err
}

func TestMessageThatAMailProgramChangedIsNotAddedAgain(t *testing.T) {
	t.Parallel()
	letters := someLetters("INBOX", 30)
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": letters})
	target := newTarget()
	restoreAll(t, repo, tree, target, options())
	for i := range target.folders["INBOX"].messages[:20] {
		m := &target.folders["INBOX"].messages[i]
		m.octets = "Status: RO\r\n" + m.octets
	}
	if sum := restoreAll(t, repo, tree, &changingTarget{target}, options()).Totals(); sum.Appended != 0 || sum.Present != 30 {
		t.Errorf("%d appended, %d present", sum.Appended, sum.Present)
	}
	// Other targets do not change messages: what is different there is another.
	if sum := restoreAll(t, repo, tree, target, options()).Totals(); sum.Appended != 20 {
		t.Errorf("%d appended", sum.Appended)
	}
}

// forgetfulTarget finds out late that it cannot keep a flag.
type forgetfulTarget struct{ *fakeTarget }

func (f *forgetfulTarget) Open(ctx context.Context, place string) (Box, error) {
	b, err := f.fakeTarget.Open(ctx, place)
	return &forgetfulBox{b.(*openFake)}, err
}

type forgetfulBox struct{ *openFake }

func (b *forgetfulBox) Append(ctx context.Context, list []Outgoing, done func(int, string, error)) error {
	for _, o := range list {
		o.NotKept([]string{"$Late"})
	}
	return b.openFake.Append(ctx, list, done)
}

func TestFlagsThatAreNotKeptAfterAllAreReported(t *testing.T) {
	t.Parallel()
	letters := someLetters("INBOX", 3)
	for i := range letters {
		letters[i].flags = []string{"$Late", "$Odd"}
	}
	repo, tree := archive(t, objects.NewMemory(), map[string][]letter{"INBOX": letters})
	sum := restoreAll(t, repo, tree, &forgetfulTarget{newTarget()}, options()).Totals()
	if sum.Appended != 3 || sum.Dropped["$Late"] != 3 || sum.Dropped["$Odd"] != 3 {
		t.Errorf("%+v", sum)
	}
}
