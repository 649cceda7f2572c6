package backup

import (
	"context"
	"time"

	"restante/storage"
	"restante/storage/ledger"
)

// A Detailer is a Source that can tell more of an account than its mail.
type Detailer interface {
	Source
	// Details asks for it: of the account, and of these folders. What cannot be
	// had just now stays as it is known; what is refused is left out, which Notes
	// may tell. It is called at most once, when all folders have been read.
	Details(ctx context.Context, folders []Listed, known *storage.Details) (*storage.Details, error)
}

// details are those of the next snapshot. That they could not be had is worth a
// note, and no reason to fail.
func (r *run) details(ctx context.Context) (storage.SavedDetails, error) {
	d, ok := r.src.(Detailer)
	if !ok || !r.detailsDue() {
		return r.knownDetails(), nil
	}
	var known *storage.Details
	var err error
	if r.parent != nil {
		if known, err = r.parent.Details(ctx); err != nil {
			return storage.SavedDetails{}, err
		}
	}
	if known == nil {
		known = new(storage.Details)
	}
	var folders []Listed
	for _, j := range r.jobs {
		if j.saved.Valid() {
			folders = append(folders, j.listed)
		}
	}
	found, err := d.Details(ctx, folders, known)
	if ctx.Err() != nil {
		return storage.SavedDetails{}, context.Cause(ctx)
	}
	if err != nil {
		r.note("rights, quotas and the like are as in the last snapshot: %v", err)
		return r.knownDetails(), nil
	}
	return r.w.SaveDetails(found, r.parent)
}

// knownDetails are those of the last snapshot.
func (r *run) knownDetails() (none storage.SavedDetails) {
	if r.parent == nil || r.parent.Kind != r.src.Kind() {
		return none
	}
	return r.parent.KeepDetails()
}

// detailsDue says whether the details are asked for: by the first run of a day
// in UTC, as far as snapshots tell, so that one that finds nothing changed costs
// no more than the list of the folders.
func (r *run) detailsDue() bool {
	if r.parent == nil || r.o.Full || r.parent.Kind != r.src.Kind() || r.parent.Snapshot.Marks.Has(ledger.Partial) {
		return true
	}
	const day = time.DateOnly
	return r.parent.Snapshot.StartedAt().UTC().Format(day) != r.started.UTC().Format(day)
}
