package delivery

import (
	"context"
	"slices"
	"strings"
	"testing"

	"restante/backup/accounts/smtpconn"
	"restante/backup/accounts/smtpconn/smtptest"
	"restante/cmd/testbed/servers"
	"restante/restore"
)

// TestDovecotGetsTheOctets delivers by LMTP. Dovecot knows no BINARYMIME, and puts
// Return-Path, Delivered-To and Received in front.
func TestDovecotGetsTheOctets(t *testing.T) {
	t.Parallel()
	address, imap, user := servers.LMTP(t), servers.IMAP(t), servers.NewUser(t)
	all := append(letters(20), "Subject: \xe4\r\n\r\n.\r\n..\r\n\r\n.\r\n \r\n", "Subject: "+strings.Repeat("x", 989)+"\r\n\r\n")
	refused := []string{"Subject: x\r\n\r\nnul\x00\r\n", "Subject: x\n\n", "Subject: x\r\n\r\n" + strings.Repeat("y", 2000) + "\r\n"}
	d := newDesk(t, &smtptest.Server{}, append(slices.Clone(all), refused...)...)
	run := func() restore.FolderReport {
		t.Helper()
		target := New(Options{Location: "dovecot", To: []string{user}, JournalDir: d.journal, Pause: noPause, Dial: func(ctx context.Context) (*smtpconn.Conn, error) {
			return smtpconn.Dial(ctx, smtpconn.Options{Address: address, Security: smtpconn.Insecure, LMTP: true})
		}})
		defer target.Close()
		groups, err := new(restore.Selection).Groups(t.Context(), d.tree)
		if err != nil {
			t.Fatal(err)
		}
		report, err := restore.Run(t.Context(), d.repo, groups, target, restore.Options{Pause: noPause})
		if err != nil {
			t.Fatal(err)
		}
		return report.Totals()
	}
	if sum := run(); int(sum.Appended) != len(all) || len(sum.Refused) != len(refused) {
		t.Errorf("%+v", sum)
	}
	if sum := run(); int(sum.Present) != len(all) || sum.Appended != 0 {
		t.Errorf("again: %+v", sum)
	}
	got := servers.Dump(t, imap, user).Folder("INBOX").Messages
	if len(got) != len(all) {
		t.Fatalf("%d messages arrived, want %d", len(got), len(all))
	}
	for i, m := range got {
		before, whole := strings.CutSuffix(string(m.Octets), all[i])
		if !whole || before != "" && !strings.HasSuffix(before, "\r\n") || strings.Contains(before, "Subject") {
			t.Errorf("message %d became %q", i, m.Octets)
		}
	}
}
