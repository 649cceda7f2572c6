package storage

import (
	"context"
	"fmt"
	"slices"
)

// Details are what a server says of an account beside its mail. A snapshot may
// have none. FORMAT.md section 7.
type Details struct {
	Quotas   []Quota         `cbor:"1,keyasint,omitempty" json:"quotas,omitempty"`
	Folders  []FolderDetails `cbor:"2,keyasint,omitempty" json:"folders,omitempty"`
	Metadata []Annotation    `cbor:"3,keyasint,omitempty" json:"metadata,omitempty"` // of the server
	Scripts  []Script        `cbor:"4,keyasint,omitempty" json:"scripts,omitempty"`
}

// A Quota is a quota root and what is limited in it (RFC 9208).
type Quota struct {
	Root      string     `cbor:"1,keyasint" json:"root"`
	Resources []Resource `cbor:"2,keyasint,omitempty" json:"resources,omitempty"`
}

// A Resource is one that a quota limits. STORAGE is in units of 1024 octets.
type Resource struct {
	_     struct{} `cbor:",toarray"`
	Name  string   `json:"name"`
	Usage int64    `json:"usage"`
	Limit int64    `json:"limit"`
}

// FolderDetails are the details of one folder.
type FolderDetails struct {
	Levels   []string     `cbor:"1,keyasint" json:"levels"`
	Rights   string       `cbor:"2,keyasint,omitempty" json:"rights,omitempty"` // the account's own (RFC 4314)
	ACL      []Grant      `cbor:"3,keyasint,omitempty" json:"acl,omitempty"`
	Quotas   []string     `cbor:"4,keyasint,omitempty" json:"quotas,omitempty"` // names of quota roots; of many folders that all have the same, only some tell
	Metadata []Annotation `cbor:"5,keyasint,omitempty" json:"metadata,omitempty"`
}

// A Grant is an entry of an access control list. The rights of an identifier
// that begins with '-' are taken away.
type Grant struct {
	_          struct{} `cbor:",toarray"`
	Identifier string   `json:"identifier"`
	Rights     string   `json:"rights"`
}

// An Annotation is an entry of METADATA (RFC 5464).
type Annotation struct {
	_     struct{} `cbor:",toarray"`
	Entry string   `json:"entry"`
	Value []byte   `json:"value"`
}

// A Script is a filter script (RFC 5804).
type Script struct {
	Name   string `cbor:"1,keyasint" json:"name"`
	Octets []byte `cbor:"2,keyasint" json:"octets"`
	Active bool   `cbor:"3,keyasint,omitempty" json:"active"`
}

// Folder finds the details of a folder by its levels; nil if there are none.
func (d *Details) Folder(levels []string) *FolderDetails {
	for i := range d.Folders {
		if slices.Equal(d.Folders[i].Levels, levels) {
			return &d.Folders[i]
		}
	}
	return nil
}

// pieces are details cut by how often they change: what a quota counts changes
// with the mail, the rest hardly ever.
func (d *Details) pieces() (list []Details) {
	for _, p := range []Details{{Quotas: d.Quotas}, {Folders: d.Folders}, {Metadata: d.Metadata}, {Scripts: d.Scripts}} {
		if len(p.Quotas)+len(p.Folders)+len(p.Metadata)+len(p.Scripts) > 0 {
			list = append(list, p)
		}
	}
	return list
}

// add puts what a piece says behind what is known.
func (d *Details) add(p *Details) {
	d.Quotas, d.Folders = append(d.Quotas, p.Quotas...), append(d.Folders, p.Folders...)
	d.Metadata, d.Scripts = append(d.Metadata, p.Metadata...), append(d.Scripts, p.Scripts...)
}

// SavedDetails are details that SaveDetails or KeepDetails gave, for
// SaveTreeWith. The zero value is none.
type SavedDetails struct {
	pieces []BlobID
	octets [][]byte // of each; nothing where they are not at hand
}

// Same says that nothing in the saved details differs from those of a snapshot.
func (s SavedDetails) Same(as *Tree) bool { return slices.Equal(s.pieces, as.details.pieces) }

// piece is the octets of a piece, where they are at hand.
func (s SavedDetails) piece(i int) []byte {
	if i < len(s.octets) {
		return s.octets[i]
	}
	return nil
}

// SaveDetails saves the details of the next snapshot. Those that did not change
// since the parent, which may be nil and must be in the Writer's vault, are the
// same blobs, and nothing is written.
func (w *Writer) SaveDetails(d *Details, parent *Tree) (s SavedDetails, err error) {
	for _, p := range d.pieces() {
		b, err := canonical.Marshal(p)
		if err != nil {
			return s, fmt.Errorf("details: %w", err)
		}
		id := w.v.blobID(structureDomain, b)
		if parent == nil || !slices.Contains(parent.details.pieces, id) {
			if id, err = w.saveStructure(b); err != nil {
				return s, err
			}
		}
		s.pieces, s.octets = append(s.pieces, id), append(s.octets, b)
	}
	return s, nil
}

// KeepDetails takes the details over into the next snapshot as they are. The
// tree must be in the Writer's vault.
func (t *Tree) KeepDetails() SavedDetails { return t.details }

// Details reads what the server said beside the mail; nil where the snapshot has
// nothing of it.
func (t *Tree) Details(ctx context.Context) (*Details, error) {
	if len(t.details.pieces) == 0 {
		return nil, nil
	}
	d := new(Details)
	for i, id := range t.details.pieces {
		b, err := t.copied(ctx, id, t.details.piece(i))
		if err != nil {
			return nil, fmt.Errorf("details: %w", err)
		}
		p := new(Details)
		if err := parseBlob(id, b, p); err != nil {
			return nil, fmt.Errorf("details: %w", err)
		}
		d.add(p)
	}
	return d, nil
}
