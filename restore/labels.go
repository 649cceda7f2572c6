package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"restante/storage"
)

// labels are those among the flags.
func labels(flags []string) (list []string) {
	for _, flag := range flags {
		if label, is := storage.Label(flag); is {
			list = append(list, label)
		}
	}
	return list
}

// LabelsNotKept tells NotKept that the labels could not be kept.
func (o *Outgoing) LabelsNotKept() {
	for _, l := range o.Labels {
		o.NotKept([]string{storage.LabelFlag(l)})
	}
}

// unlabelled are messages that are there and lack the same labels.
type unlabelled struct{ ids, labels []string }

// findUnlabelled finds the messages that are there and lack labels, after a
// look into the folder, which told which is which.
func (f *folder) findUnlabelled(ctx context.Context, box Box) error {
	f.unlabelled, f.report.Labelled = nil, 0
	b, ok := box.(LabellingBox)
	if !ok || !b.Labelling() {
		return nil
	}
	want := make([][]string, len(f.selected.sets))
	some := false
	for i, flags := range f.selected.sets {
		want[i] = labels(flags)
		some = some || len(want[i]) > 0
	}
	if !some {
		return nil
	}
	there := countRecipes(f.selected.list)
	number := map[string]int{} // in f.unlabelled, by the labels
	err := b.Labels(ctx, func(id string, has []string) {
		s, ok := f.match.seen.get(id)
		if !ok || !s.known {
			return
		}
		i, ok := there.take(s.first)
		if !ok {
			return
		}
		var lacks []string
		for _, l := range want[f.selected.list[i].flags] {
			if !slices.Contains(has, l) {
				lacks = append(lacks, l)
			}
		}
		if len(lacks) == 0 {
			return
		}
		key := strings.Join(lacks, "\x00")
		n, ok := number[key]
		if !ok {
			n = len(f.unlabelled)
			number[key] = n
			f.unlabelled = append(f.unlabelled, unlabelled{labels: lacks})
		}
		f.unlabelled[n].ids = append(f.unlabelled[n].ids, id)
		f.report.Labelled++
	})
	if errors.Is(err, ErrNotTaken) {
		f.unlabelled, f.report.Labelled = nil, 0
		f.note(fmt.Sprintf("the labels of messages that are there could not be compared: %v", err))
		return nil
	}
	return err
}

// labelAgain gives labels to what came while the folder was being filled, and
// lacks them, since the connection was lost between a message and its labels.
// It is counted as appended already.
func (f *folder) labelAgain(ctx context.Context, box Box) error {
	before := f.report.Labelled
	err := f.findUnlabelled(ctx, box)
	f.report.Labelled = before
	for _, u := range f.unlabelled {
		if err != nil {
			break
		}
		if err = box.(LabellingBox).Label(ctx, u.ids, u.labels); errors.Is(err, ErrNotTaken) {
			f.note(fmt.Sprintf("some messages did not get the labels %q: %v", u.labels, err))
			err = nil
		}
	}
	f.unlabelled = nil
	return err
}

// label gives labels to what is there and lacks them.
func (f *folder) label(ctx context.Context) error {
	if len(f.unlabelled) == 0 {
		return nil
	}
	return f.with(ctx, func(ctx context.Context, box Box) error {
		b, ok := box.(LabellingBox)
		if !ok || box.Epoch() != f.epoch {
			// Another folder is in its place, with other messages.
			for _, u := range f.unlabelled {
				f.report.Labelled -= int64(len(u.ids))
			}
			f.unlabelled = nil
			return nil
		}
		for len(f.unlabelled) > 0 {
			u := f.unlabelled[0]
			err := b.Label(ctx, u.ids, u.labels)
			if errors.Is(err, ErrNotTaken) {
				n := int64(len(u.ids))
				f.report.Labelled -= n
				for _, l := range u.labels {
					f.drop([]string{storage.LabelFlag(l)}, n)
				}
				f.o.Log.Warn("labels were not restored", "folder", f.report.Place, "labels", u.labels, "error", err)
			} else if err != nil {
				return err
			}
			f.unlabelled = f.unlabelled[1:]
			f.steps++
		}
		return nil
	})
}
