package crash

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/site"
)

// An account is one that mail comes to while others look.
type account struct {
	site   *site.Site
	user   string
	maker  *site.Maker
	random *rand.Rand
	made   map[string]bool // folders

	// ever is what has ever been in it: folder and octets.
	ever map[place]bool
}

// A place is a message in a folder. Made-up letters are all different.
type place struct {
	folder string
	octets [sha256.Size]byte
}

// newAccount makes an account with letters in it.
func (t *trial) newAccount(ctx context.Context, kind string, letters int) (*account, error) {
	user := t.user(kind)
	seed := t.Seed<<16 + uint64(t.users)
	maker := site.NewMaker(seed)
	maker.Length = t.length
	a := &account{site: t.site, user: user, maker: maker, random: rand.New(rand.NewPCG(seed, 3)),
		made: map[string]bool{"INBOX": true}, ever: map[place]bool{}}
	return a, a.deliver(ctx, letters)
}

// deliver has new letters arrive.
func (a *account) deliver(ctx context.Context, letters int) error {
	list := make([]site.Letter, letters)
	for i := range list {
		list[i] = a.maker.Next()
	}
	return a.receive(ctx, list...)
}

// atOnce is how many letters arrive together.
const atOnce = 100

// receive has these letters arrive.
func (a *account) receive(ctx context.Context, letters ...site.Letter) error {
	c, err := a.site.Login(ctx, a.user)
	if err != nil {
		return err
	}
	defer c.Close()
	of := map[string][]rawimap.Outgoing{}
	for _, l := range letters {
		of[l.Folder] = append(of[l.Folder], rawimap.Outgoing{Flags: l.Flags, Date: l.Date, Octets: l.Octets})
		a.ever[place{l.Folder, sha256.Sum256(l.Octets)}] = true
	}
	for _, folder := range site.Folders() {
		if len(of[folder]) == 0 {
			continue
		}
		if !a.made[folder] {
			a.made[folder] = true
			_, err1 := c.Do("CREATE " + rawimap.Quote(folder))
			_, err2 := c.Do("SUBSCRIBE " + rawimap.Quote(folder))
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
		}
		for list := range slices.Chunk(of[folder], atOnce) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := c.AppendAll(folder, list); err != nil {
				return fmt.Errorf("delivering mail to %s: %w", a.user, err)
			}
		}
	}
	return nil
}

// change has letters arrive, and in some folders flags change and messages go.
func (a *account) change(ctx context.Context, letters int) error {
	if err := a.deliver(ctx, letters); err != nil {
		return err
	}
	c, err := a.site.Login(ctx, a.user)
	if err != nil {
		return err
	}
	defer c.Close()
	folders := site.Folders()
	for range 3 {
		folder := folders[a.random.IntN(len(folders))]
		if !a.made[folder] {
			continue
		}
		answer, err := c.Do("SELECT " + rawimap.Quote(folder))
		if err != nil {
			return err
		}
		n := exists(answer)
		if n < 10 {
			continue
		}
		at := func() int { return 1 + a.random.IntN(n) }
		flag := []string{`\Flagged`, `\Answered`, "$Forwarded", "odd-keyword"}[a.random.IntN(4)]
		for _, command := range []string{
			fmt.Sprintf("STORE %d,%d:%d +FLAGS.SILENT (%s)", at(), at(), at(), flag),
			fmt.Sprintf(`STORE %d -FLAGS.SILENT (\Seen)`, at()),
			fmt.Sprintf(`STORE %d,%d,%d +FLAGS.SILENT (\Deleted)`, at(), at(), at()),
			"EXPUNGE",
		} {
			if _, err := c.Do(command); err != nil {
				return err
			}
		}
	}
	return nil
}

// exists is how many messages the answer to a SELECT tells of.
func exists(answer []string) (n int) {
	for _, resp := range answer {
		if strings.HasSuffix(resp, " EXISTS") {
			fmt.Sscanf(resp, "* %d EXISTS", &n)
		}
	}
	return n
}

// places counts the messages of a mailbox.
func places(m rawimap.Mailbox) map[place]int {
	count := map[place]int{}
	for _, f := range m.Folders {
		for _, m := range f.Messages {
			count[place{f.Name, sha256.Sum256(m.Octets)}]++
		}
	}
	return count
}

// messages is how many there are in a mailbox.
func messages(m rawimap.Mailbox) (n int64) {
	for _, f := range m.Folders {
		n += int64(len(f.Messages))
	}
	return n
}
