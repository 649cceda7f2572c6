package localsource

import (
	"bytes"
	"context"
	"io"
	"strings"

	"restante/storage/mailfiles"
)

// mostHeader is how much of a message is looked at for its flags. Thunderbird
// writes them before all that comes with the message.
const mostHeader = 64 << 10

// headerFlags reads the flags of a message in a Maildir of Thunderbird.
func headerFlags(ctx context.Context, dir *mailfiles.MaildirFolder, m mailfiles.MaildirMessage) ([]string, error) {
	file, err := dir.Open(ctx, m.Key)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return withHeaderFlags(m.Flags, file)
}

// withHeaderFlags adds the flags that the header of a message tells.
func withHeaderFlags(flags []string, message io.Reader) ([]string, error) {
	var head []byte
	for want := 2 << 10; want <= mostHeader; want *= 4 {
		more, err := io.ReadAll(io.LimitReader(message, int64(want-len(head))))
		head = append(head, more...)
		if err != nil {
			return nil, err
		}
		if len(head) < want || bytes.Contains(head, []byte("\n\n")) || bytes.Contains(head, []byte("\n\r\n")) {
			break
		}
	}
	found, _ := mailfiles.HeaderFlags(head)
	for _, f := range found {
		if !hasFlag(flags, f) {
			flags = append(flags, f)
		}
	}
	return flags, nil
}

func hasFlag(flags []string, flag string) bool {
	for _, f := range flags {
		if strings.EqualFold(f, flag) {
			return true
		}
	}
	return false
}
