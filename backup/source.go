// Package backup brings mail into a repository: [Run] takes an account's
// folders as they are now, reads what the last snapshot does not have, and
// commits the next one. Where the mail comes from is a [Source].
package backup

import (
	"context"
	"errors"
	"io"
	"time"
)

// A Source is where the mail of one account is read. It can change nothing
// there.
type Source interface {
	// Kind is the sort of source, as snapshots name it: "imap", "maildir".
	Kind() string

	// List tells of all folders, with their states where that costs little. With
	// an error that wraps ErrEnumeration the list is good as far as it goes: a
	// folder that it leaves out is not taken for gone.
	List(ctx context.Context) ([]Listed, error)

	// Open opens a folder to be read. Known is what the last snapshot has of
	// it. Up to Parallel folders, or the same one several times, are open at
	// once. An error that wraps ErrAccess or ErrGone is final; ErrBusy asks for
	// fewer at once; any other may pass.
	Open(ctx context.Context, f Listed, known Known) (Mailbox, error)

	// Parallel is how many Mailboxes may be open at once.
	Parallel() int

	Close() error
}

// What errors of a Source say.
var (
	// ErrAccess: whoever asks may not read this, and will not be let in by
	// asking again.
	ErrAccess = errors.New("access denied")
	// ErrGone: the folder is no longer there.
	ErrGone = errors.New("the folder is gone")
	// ErrBusy: there are too many connections.
	ErrBusy = errors.New("the server is busy")
	// ErrRefused: the server said no to what was asked, and the connection is
	// well. Less may be asked at once.
	ErrRefused = errors.New("the server refused")
	// ErrEnumeration: it is not certain which messages, or folders, there are, so
	// that one that is left out cannot be taken for gone, or what their flags are.
	// The server contradicts itself, or a directory did not hold still.
	ErrEnumeration = errors.New("it is not certain what there is")
)

// A LocalError is not the source's fault: a full disk, the repository. It ends
// the run.
type LocalError struct{ Err error }

func (e *LocalError) Error() string { return e.Err.Error() }
func (e *LocalError) Unwrap() error { return e.Err }

// A SharingSource is a Source in whose folders the same message may be many
// times, and whose server tells of each which it is: Gmail, where a label is a
// folder. Its Mailboxes are SharingMailboxes.
type SharingSource interface {
	Source
	// Sharing says whether the server does. It may be asked for after List.
	Sharing() bool
}

// Listed is a folder as a Source lists it.
type Listed struct {
	Levels     []string // of its name, UTF-8
	Raw        []byte   // the server's octets for the name, where Levels do not give them
	Delimiter  string
	Attributes []string // without special use
	SpecialUse []string
	Subscribed bool
	// NoSelect says that the folder cannot hold messages.
	NoSelect bool
	// Status is nil where the listing does not tell it.
	Status *Status
}

// Status is the state of a folder.
type Status struct {
	UIDValidity, UIDNext uint32
	HighestModSeq        uint64 // 0: none (RFC 7162)
	Messages             uint32
}

// A Noter is a Source that has something to tell people about a run, such as
// what it found and left alone.
type Noter interface {
	Source
	// Notes returns sentences for the snapshot's notes. It is called once, when
	// all folders have been read.
	Notes() []string
}

// Known is what the last snapshot has of a folder. A Source that gives the
// UIDs itself goes on from there: a key that is known keeps its UID, and new
// ones get UIDs from UIDNext on.
type Known struct {
	UIDValidity, UIDNext uint32
	// Keys tells, for a Source that knows messages by keys and not by UIDs,
	// which UID each key has. It may read a lot; nil if there is no parent.
	Keys func() (map[string]uint32, error)
}

// A Mailbox is an open folder.
type Mailbox interface {
	// Status is the state at the time of opening, or before.
	Status() Status

	// UIDs returns the UIDs of all messages, ascending.
	UIDs(ctx context.Context) ([]uint32, error)

	// Flags tells the flags of every message that changed after since, a
	// HIGHESTMODSEQ, or of all where since is 0. It may tell of more. With an
	// error that wraps ErrEnumeration, what it told is good as far as it goes.
	Flags(ctx context.Context, since uint64, each func(uid uint32, flags []string)) error

	// Fetch reads messages and hands each to each, which is done with it when
	// it returns. Only what was read whole is handed over, and it counts only
	// if Fetch returns nil; messages may be left out all the same, and each may
	// be told of any UID once at most. An error of each ends the Fetch.
	Fetch(ctx context.Context, uids []uint32, each func(*Fetched) error) error

	Close() error
}

// A ConfirmingMailbox can be asked twice whether messages are gone.
type ConfirmingMailbox interface {
	Mailbox
	// Still returns those of the messages that are there when they are asked for,
	// whatever UIDs says.
	Still(ctx context.Context, uids []uint32) ([]uint32, error)
}

// Fetched is a message that was read.
type Fetched struct {
	UID uint32
	// Key is what the Source knows the message by, where that is no UID; of a
	// SharingSource, what it is known by in all folders. Empty: there is none.
	Key   string
	Flags []string // without \Recent
	// FlagsUnknown says that the source did not tell them.
	FlagsUnknown bool
	// InternalDate is zero where the Source has none.
	InternalDate time.Time
	// Body holds Size octets, until each returns.
	Body io.ReaderAt
	Size int64
	// Sum is that of Body as it came; nil where the Source itself can be read
	// again, as a file.
	Sum *Sum
}

// A Header is what a message can be recognised by without reading all of it.
type Header struct {
	UID          uint32
	Key          string // as that of a Fetched
	InternalDate time.Time
	// Size is what the server says, which may be wrong.
	Size   int64
	Octets []byte // header block, with the empty line behind it
}

// A HeaderMailbox can read headers alone, so that messages which the archive
// has from another place, or under another UIDVALIDITY, need not be read whole.
type HeaderMailbox interface {
	Mailbox
	Headers(ctx context.Context, uids []uint32, each func(*Header) error) error
}

// An Outline is what a message is known by that is in another folder, too. The
// Octets of its header have the fields From, To, Subject, Date and Message-ID,
// and may lack all others.
type Outline struct {
	Header
	Flags []string // without \Recent
}

// A SharingMailbox can tell what a message is without reading it.
type SharingMailbox interface {
	Mailbox
	// Outlines leaves out what it cannot tell all of.
	Outlines(ctx context.Context, uids []uint32, each func(*Outline) error) error
}

// A KeyMailbox is a Mailbox that may know messages of the last snapshot by
// other keys now. Their UIDs and contents are the same.
type KeyMailbox interface {
	Mailbox
	// Keys returns the new keys by UID.
	Keys() map[uint32]string
}
