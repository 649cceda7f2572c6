package storage

import "strings"

// labelPrefix begins the names of Gmail's labels among the flags of a message.
// No flag has a space in it (RFC 9051 section 9). FORMAT.md section 7.
const labelPrefix = "X-GM-LABELS "

// LabelFlag is what a label of Gmail is called among a message's flags.
func LabelFlag(label string) string { return labelPrefix + label }

// Label is the label of Gmail that a name among a message's flags stands for.
func Label(flag string) (label string, ok bool) { return strings.CutPrefix(flag, labelPrefix) }
