package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// story is the demonstration from beginning to end.
func (d *demo) story(ctx context.Context) error {
	before, err := d.mailbox()
	if err != nil {
		return err
	}
	if err := d.firstBackup(ctx, before); err != nil {
		return err
	}
	d.meddled("first backup")
	evening, err := d.aDay(ctx, before)
	if err != nil {
		return err
	}
	if err := d.secondBackup(ctx); err != nil {
		return err
	}
	if err := d.undelete(ctx, evening); err != nil {
		return err
	}
	return d.anyTime(ctx, before)
}

func (d *demo) meddled(after string) {
	if d.meddle != nil {
		d.meddle(after, d.server)
	}
}

// mailbox fills the server, and takes down what it has.
func (d *demo) mailbox() (before demoWitness, err error) {
	if d.writer, err = newDemoWriter(); err != nil {
		return nil, err
	}
	d.server.addAccount("anna", demoPassword)
	d.server.addAccount("spare", demoPassword)
	d.server.furnish("anna")
	d.server.deliver("anna", d.writer.mail)
	before = d.server.witness("anna")
	sum, octets64 := before.total()
	goes := ", which goes away at the end"
	if d.Keep != "" {
		goes = ""
	}
	d.tell("A mail server in this process listens on %s. All files are in %s%s.", d.server.address, d.dir, goes)
	d.heading("1  A mailbox")
	d.tell("Anna binds books. Her mailbox has %s in %s, %s: threads, newsletters, invoices, pictures, and what breaks programs: a broken header, no body, octets in no charset, a folder that is called \"Rechnungen/März\".", messages(sum), number(int64(len(before)), "folder"), octets(octets64))
	d.tell("The server notes for itself what it has: the SHA-256 of each message, its flags, keywords and internal date, and all about the folders. What Restante restores will have to agree with these notes.")
	return before, nil
}

func (d *demo) firstBackup(ctx context.Context, before demoWitness) (err error) {
	d.heading("2  The first backup")
	account := func(name string) string {
		return fmt.Sprintf("\n[account.%s]\nurl = \"imap+insecure://%s@%s\"\npassword-file = \"password\"\nsieve = \"none\"\n", name, name, d.server.address)
	}
	config := "repository = \"repository\"\npassphrase-file = \"passphrase\"\n" + account("anna") + account("spare")
	for name, text := range map[string]string{"restante.toml": config, "passphrase": demoPassphrase + "\n", "password": demoPassword + "\n"} {
		if err := d.write(name, text); err != nil {
			return err
		}
	}
	d.show("cat restante.toml", d.excerpt(config, 0, 0))
	if _, err := d.run(ctx, "restante init", 0, 0); err != nil {
		return err
	}
	if _, err := d.run(ctx, "restante backup anna", 0, 0); err != nil {
		return err
	}
	if err := d.prove("the backup has changed nothing", "anna", before); err != nil {
		return err
	}
	d.point, err = d.latest(ctx)
	return err
}

// aDay is what happens between two backups. It returns what the account should
// hold just before the worst of it: what it held before, and what was done
// since, whatever the server made of that.
func (d *demo) aDay(ctx context.Context, before demoWitness) (evening demoWitness, err error) {
	d.heading("3  A day goes by")
	evening = maps.Clone(before)
	inbox := evening["INBOX"]
	inbox.Messages = slices.Clone(inbox.Messages)
	read := 0
	for i, m := range inbox.Messages {
		if strings.Contains(m.Flags, `\Seen`) {
			continue
		}
		flags := append(strings.Fields(m.Flags), `\Seen`)
		if read++; read <= 2 {
			flags = append(flags, `\Flagged`, "call-back")
		}
		inbox.Messages[i].Flags = sortedWords(flags)
	}
	evening["INBOX"] = inbox
	evening["Archive/Observatory"] = evening["Clients/Observatory"]
	delete(evening, "Clients/Observatory")
	err = d.login(ctx, func(c *imapclient.Client) error {
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			return err
		}
		found, err := c.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
		if err != nil {
			return err
		}
		unread := found.AllUIDs()
		if len(unread) != read {
			return fmt.Errorf("the server says that %d messages are unread, where there should be %d", len(unread), read)
		}
		return errors.Join(
			addFlags(c, imap.UIDSetNum(unread...), imap.FlagSeen),
			addFlags(c, imap.UIDSetNum(unread[:2]...), imap.FlagFlagged, "call-back"),
			c.Rename("Clients/Observatory", "Archive/Observatory", nil).Wait(),
			c.Unsubscribe("Clients/Observatory").Wait(),
			c.Subscribe("Archive/Observatory").Wait(),
		)
	})
	if err != nil {
		return nil, err
	}
	arrived := d.writer.arrivals()
	d.server.deliver("anna", arrived)
	for _, m := range arrived {
		folder := evening[m.folder]
		folder.Messages = append(slices.Clip(folder.Messages), newDemoMark(m.octets, m.flags, m.date))
		evening[m.folder] = folder
	}
	d.tell("Anna reads %s, flags two of them, and files \"Clients/Observatory\" away as \"Archive/Observatory\". %s arrive.", messages(int64(read)), messages(int64(len(arrived))))

	museum, trash := len(evening["Clients/Museum"].Messages), len(evening["Trash"].Messages)
	err = d.login(ctx, func(c *imapclient.Client) error {
		all := imap.UIDSet{{Start: 1}}
		return errors.Join(
			errorOf(c.Select("Clients/Museum", nil).Wait()),
			errorOf(c.Move(all, "Trash").Wait()),
			c.Unselect().Wait(),
			c.Delete("Clients/Museum").Wait(),
			c.Unsubscribe("Clients/Museum").Wait(),
			errorOf(c.Select("Trash", nil).Wait()),
			addFlags(c, all, imap.FlagDeleted),
			c.Expunge().Close(),
		)
	})
	d.tell("Then somebody who knows her password moves the %d messages of \"Clients/Museum\" to the trash, deletes the folder, and empties the trash: %d messages in all.", museum, museum+trash)
	return evening, err
}

// login lets somebody do something with Anna's password and any mail program.
func (d *demo) login(ctx context.Context, something func(*imapclient.Client) error) error {
	c, err := imapclient.DialInsecure(d.server.address, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.Login("anna", demoPassword).Wait(); err != nil {
		return err
	}
	return errors.Join(something(c), c.Logout().Wait())
}

// addFlags adds flags to messages.
func addFlags(c *imapclient.Client, uids imap.UIDSet, flags ...imap.Flag) error {
	return c.Store(uids, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: flags}, nil).Close()
}

// errorOf is the error of two results.
func errorOf[T any](_ T, err error) error { return err }

func (d *demo) secondBackup(ctx context.Context) error {
	d.heading("4  The next backup")
	cost, err := d.run(ctx, "restante backup anna", 0, 0)
	if err != nil {
		return err
	}
	d.tell("The server had to give out %s, %s: the new ones, and one to make sure that the renamed folder is the old one. The store was asked %s.",
		messages(cost.read), octets(cost.readSize), number(cost.Requests, "time"))
	if _, err := d.run(ctx, "restante diff anna --from "+d.point, 5, 1); err != nil {
		return err
	}
	_, err = d.run(ctx, "restante vanished anna", 4, 2)
	return err
}

// undelete brings back what vanished, and proves that it is all there.
func (d *demo) undelete(ctx context.Context, evening demoWitness) error {
	d.heading("5  Getting it back")
	if _, err := d.run(ctx, "restante restore anna --vanished", 0, 0); err != nil {
		return err
	}
	d.tell("Once more, to see that nothing is added twice:")
	if _, err := d.run(ctx, "restante restore anna --vanished", 0, 0); err != nil {
		return err
	}
	d.meddled("undelete")
	return d.prove("the account is again what it was just before the deletion", "anna", evening)
}

// anyTime restores the first snapshot into an account of its own.
func (d *demo) anyTime(ctx context.Context, before demoWitness) error {
	d.heading("6  Any point in time, anywhere")
	if _, err := d.run(ctx, "restante snapshots", 0, 0); err != nil {
		return err
	}
	if _, err := d.run(ctx, "restante restore anna --at "+d.point+" --to spare", 0, 0); err != nil {
		return err
	}
	d.meddled("restore")
	if err := d.prove("the spare account is what Anna's was at the first backup", "spare", before); err != nil {
		return err
	}
	_, err := d.run(ctx, "restante check --read-data", 0, 0)
	return err
}

// latest is the id of Anna's latest snapshot, as short as the commands take it.
func (d *demo) latest(ctx context.Context) (string, error) {
	out, _, err := d.exec(ctx, "restante snapshots anna --last 1", true)
	if err != nil {
		return "", err
	}
	var list []snapshotJSON
	if err := json.Unmarshal(out, &list); err != nil || len(list) != 1 {
		return "", fmt.Errorf("the list of snapshots is %s: %w", out, err)
	}
	short := list[0].ID[:8]
	if strings.Trim(short[:7], "0123456789") == "" {
		return list[0].ID, nil // "1234567d" would be an age
	}
	return short, nil
}

// next says what to type for mail that is real.
func (d *demo) next() {
	if d.Keep != "" {
		d.heading("What was kept")
		d.say("  go install ./cmd/restante\n  cd %s", d.dir)
		d.say(`  restante snapshots
  restante ls anna
  restante ls anna Clients/Museum --at %s
  restante cat anna 'Clients/Museum#3' --at %s
  restante stats`, d.point, d.point)
		d.tell("restante.toml is found there, the passphrase (%q) in a file beside it.", demoPassphrase)
	}
	d.heading("Your own mail")
	d.say(`  go install ./cmd/restante
  export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…
  export RESTANTE_REPOSITORY='s3://BUCKET/?endpoint=https://HOST&region=REGION'
  export RESTANTE_PASSPHRASE='a sentence that nobody else knows'
  restante init
  export RESTANTE_ACCOUNT_PASSWORD=…
  restante backup imaps://YOU@MAIL.EXAMPLE.ORG
  restante vanished imaps://YOU@MAIL.EXAMPLE.ORG --since 7d
  restante restore imaps://YOU@MAIL.EXAMPLE.ORG --vanished --since 7d --dry-run`)
	d.tell("Without a bucket a directory will do: RESTANTE_REPOSITORY=/srv/mail-archive")
	d.tell("Real servers to play with, Dovecot and S3, with sample mail, on this computer:")
	d.say("  go run ./cmd/testbed")
}
