// Package restore puts mail out of a repository back to where people read it:
// choose what with a [Selection], then [Run] finds out what the [Target] does
// not have yet, and adds only that. Nothing in the target is ever changed or
// deleted, but for labels at Gmail: a message that lacks some gets them.
package restore

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"restante/storage"
)

// A Target is where mail is written: a server account, or a directory.
type Target interface {
	// Location says where that is, for people.
	Location() string

	// Folders lists the folders that are there.
	Folders(ctx context.Context) ([]Folder, error)

	// Place says what the target calls a folder with these levels. Notes are
	// sentences about what the name loses on the way. Raw are the octets of the
	// name on the server that it came from, where the levels do not give them,
	// and delimiter is what that server puts between levels.
	Place(levels []string, raw []byte, delimiter string) (place string, notes []string, err error)

	// Create makes a folder at a place, with its special use and subscription.
	// That it is there already is no error. Notes are sentences about what could
	// not be had.
	Create(ctx context.Context, place string, f Folder) (notes []string, err error)

	// Subscribe subscribes to a folder that is there. Notes as for Create.
	Subscribe(ctx context.Context, place string) (notes []string, err error)

	// Open opens a folder to look into and to add to. Up to Parallel may be
	// open at once.
	Open(ctx context.Context, place string) (Box, error)

	// Parallel is how many folders may be open at once.
	Parallel() int

	// Room is how many octets may still be added; known says whether the target
	// told.
	Room(ctx context.Context) (octets int64, known bool, err error)

	Close() error
}

// A Folder is a folder of a target.
type Folder struct {
	Place      string // what the target calls it
	SpecialUse []string
	Subscribed bool
}

// A Box is an open folder of a target.
type Box interface {
	// Epoch and Present.ID together name a message for as long as the folder
	// exists: a UIDVALIDITY; 0 if there is no such thing.
	Epoch() uint32

	// Present tells of every message in the folder.
	Present(ctx context.Context, each func(Present) error) error

	// Read reads messages whole. Those that are gone are left out. Octets are
	// nil where a message is there and the target does not give it.
	Read(ctx context.Context, ids []string, each func(id string, size int64, octets io.Reader) error) error

	// Limits says what may be added.
	Limits() Limits

	// Append adds messages, in order, and tells of each what became of it as
	// soon as that is certain: nil and the message's ID if the target told, or
	// an error that wraps ErrNotTaken. It tells of one at a time. An error of
	// Append itself means that the Box is of no more use, and that nobody knows
	// about the messages it did not tell of: they may be there.
	Append(ctx context.Context, list []Outgoing, done func(i int, id string, err error)) error

	Close() error
}

// A GrowingBox is a Box that tells whether anybody has added to the folder since
// it was open before.
type GrowingBox interface {
	Box
	// Grown is how far the folder had come when it was opened, another number once
	// a message was added, such as the UIDNEXT; 0: not known.
	Grown() uint32
}

// grown is what a Box says of that, or 0.
func grown(box Box) uint32 {
	if b, ok := box.(GrowingBox); ok {
		return b.Grown()
	}
	return 0
}

// A LimitedTarget is a Target that knows of all its folders, those that are not
// there yet too, what one message may have at most.
type LimitedTarget interface {
	Target
	// SizeLimit is in octets; 0: not known. It may be asked for after Folders.
	SizeLimit() int64
}

// A FinishingTarget is a Target that nobody sees anything of before it is
// finished.
type FinishingTarget interface {
	Target
	// Finish is called when all that could be added was.
	Finish(ctx context.Context) error
}

// A DeliveringTarget is a Target that messages are handed over to as new mail.
// It cannot be looked into, and its boxes are RememberingBoxes.
type DeliveringTarget interface {
	Target
	// Losses are sentences about what messages lose there beside their flags.
	Losses() []string
}

// A RememberingBox is a Box that cannot be looked into, and remembers itself
// what was added to it, from one restore to the next.
type RememberingBox interface {
	Box
	// Forget forgets what became of these messages, so that they can be added
	// once more. With onlyHere it does for as long as the Box is open.
	Forget(list iter.Seq[Known], onlyHere bool) error
	// Remembered tells of the messages that were added, by the IDs that Present
	// tells.
	Remembered(known func(id string, k Known))
	// Withheld are the messages, and how many of each, of which nobody knows
	// whether they were added: they are not to be tried again.
	Withheld() (list map[storage.BlobID]int, reason string)
}

// A LabellingBox is a Box that may know labels as Gmail has them.
type LabellingBox interface {
	Box
	// Labelling says whether it does.
	Labelling() bool
	// Labels tells of the labels of all messages, of which it may leave some out.
	// An error that wraps ErrNotTaken says that the target does not tell them.
	Labels(ctx context.Context, each func(id string, labels []string)) error
	// Label gives labels to messages, which keep those they have. An error that
	// wraps ErrNotTaken says that some of them did not get all.
	Label(ctx context.Context, ids, labels []string) error
}

// A ChangingBox is a Box whose messages do not stay as they were added: mail
// programs write into the header of a message in an mbox that it was read.
type ChangingBox interface {
	Box
	// Lasting passes on to w what of the message that is written to it nobody
	// changes. Two messages of which that is the same are one.
	Lasting(w io.Writer) io.WriteCloser
}

// Present is a message in a target.
type Present struct {
	ID string
	// Size is what the target says, which need not be right.
	Size int64
	// MessageID is the value of the Message-ID field, empty if there is none.
	MessageID string
	// Untold says that the target has the message, and tells no more of it than
	// its ID.
	Untold bool
}

// Limits say what a folder takes.
type Limits struct {
	// Flag says whether a flag or keyword is kept. Nil: all are.
	Flag func(flag string) bool
	// Size is the most octets of one message; 0: not known.
	Size int64
}

// Outgoing is a message to be added.
type Outgoing struct {
	Size         int64
	Flags        []string // all of which the folder keeps
	InternalDate time.Time
	// Known tells it from others.
	Known Known
	// Labels are Gmail's. A target that knows none leaves them: each is a folder
	// in the archive as well, but for a few of Gmail's own.
	Labels []string
	// Write writes the Size octets. It may be called more than once.
	Write func(ctx context.Context, w io.Writer) error
	// NotKept is to be told by Append, before it is done with the message, of
	// flags that could not be kept after all.
	NotKept func(flags []string)
}

// What errors of a Target say.
var (
	// ErrNotTaken: the target refused this message, and would again.
	ErrNotTaken = errors.New("the target does not take it")
	// ErrBusy: the target asks to come back later.
	ErrBusy = errors.New("the target is busy")
	// ErrFolder: the target does not let us have this folder, and would not if
	// asked again. Others may do better.
	ErrFolder = errors.New("the target does not give access to the folder")
	// ErrAccess: whoever asks may not do this; asking again is of no use.
	ErrAccess = errors.New("access denied")
	// ErrNotes: what the target cannot tell has to be noted on this computer, and
	// cannot be; asking the target again is of no use.
	ErrNotes = errors.New("what is restored cannot be noted here")
)
