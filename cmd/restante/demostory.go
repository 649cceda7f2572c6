package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	point, err := d.firstBackup(ctx)
	if err != nil {
		return err
	}
	d.meddled("first backup")
	evening, err := d.aDay(ctx)
	if err != nil {
		return err
	}
	if err := d.secondBackup(ctx, point); err != nil {
		return err
	}
	if err := d.undelete(ctx, evening); err != nil {
		return err
	}
	return d.anyTime(ctx, point, before)
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
	d.say("A mail server of its own listens on %s. All files are in\n%s%s.\n", d.server.address, d.dir, map[bool]string{true: ", which goes away at the end"}[d.Keep == ""])
	d.heading("1  A mailbox")
	d.say(`Anna binds books. Her mailbox has %s in %s, %s: threads,
newsletters, invoices, pictures; a message with a broken header, one without a
body, and whatever else mail is made of.

The server notes what it has for the proof at the end: the SHA-256 of every
message, its flags, keywords and internal date, and all about the folders.
`, messages(sum), number(int64(len(before)), "folder"), octets(octets64))
	return before, nil
}

// firstBackup returns the id of the first snapshot.
func (d *demo) firstBackup(ctx context.Context) (point string, err error) {
	d.heading("2  The first backup")
	account := func(name string) string {
		return fmt.Sprintf("\n[account.%s]\nurl = \"imap+insecure://%s@%s\"\npassword-file = \"password\"\n", name, name, d.server.address)
	}
	config := "repository = \"repository\"\npassphrase-file = \"passphrase\"\n" + account("anna") + account("spare")
	for name, text := range map[string]string{"restante.toml": config, "passphrase": demoPassphrase + "\n", "password": demoPassword + "\n"} {
		if err := d.write(name, text); err != nil {
			return "", err
		}
	}
	d.command("cat restante.toml")
	d.say("%s\n", d.excerpt(config, 0, 0))
	if _, err := d.run(ctx, "restante init", 0, 0); err != nil {
		return "", err
	}
	if _, err := d.run(ctx, "restante backup anna", 0, 0); err != nil {
		return "", err
	}
	return d.latest(ctx)
}

// aDay is what happens between two backups. It returns what the server had
// just before the worst of it.
func (d *demo) aDay(ctx context.Context) (evening demoWitness, err error) {
	d.heading("3  A day goes by")
	read := 0
	err = d.login(ctx, func(c *imapclient.Client) error {
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			return err
		}
		found, err := c.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
		if err != nil {
			return err
		}
		unread := found.AllUIDs()
		read = len(unread)
		return errors.Join(
			mark(c, imap.UIDSetNum(unread...), imap.FlagSeen),
			mark(c, imap.UIDSetNum(unread[:2]...), imap.FlagFlagged, "call-back"),
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
	d.say("Anna reads %s, flags two of them, and files \"Clients/Observatory\" away\nas \"Archive/Observatory\". %s arrive.\n\n", messages(int64(read)), messages(int64(len(arrived))))

	evening = d.server.witness("anna")
	museum, trash := len(evening["Clients/Museum"].Messages), len(evening["Trash"].Messages)
	err = d.login(ctx, func(c *imapclient.Client) error {
		all := imap.UIDSet{{Start: 1}}
		return errors.Join(
			failed(c.Select("Clients/Museum", nil).Wait()),
			failed(c.Move(all, "Trash").Wait()),
			c.Unselect().Wait(),
			c.Delete("Clients/Museum").Wait(),
			c.Unsubscribe("Clients/Museum").Wait(),
			failed(c.Select("Trash", nil).Wait()),
			mark(c, all, imap.FlagDeleted),
			c.Expunge().Close(),
		)
	})
	d.say("Then somebody who knows her password moves the %d messages of \"Clients/Museum\"\nto the trash, deletes the folder, and empties the trash: %d messages in all.\n", museum, museum+trash)
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

// mark adds flags to messages.
func mark(c *imapclient.Client, uids imap.UIDSet, flags ...imap.Flag) error {
	return c.Store(uids, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: flags}, nil).Close()
}

// failed is the error of two results.
func failed[T any](_ T, err error) error { return err }

func (d *demo) secondBackup(ctx context.Context, point string) error {
	d.heading("4  The next backup")
	cost, err := d.run(ctx, "restante backup anna", 0, 0)
	if err != nil {
		return err
	}
	d.say("Only what is new was read: %s, %s, one of them to make sure that the\nrenamed folder is the old one. It took %s to the store.\n\n", messages(cost.read), octets(cost.readSize), number(cost.Requests, "request"))
	if _, err := d.run(ctx, "restante diff anna --from "+point, 5, 1); err != nil {
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
	d.say("Once more, to see that nothing is added twice:\n\n")
	if _, err := d.run(ctx, "restante restore anna --vanished", 0, 0); err != nil {
		return err
	}
	d.meddled("undelete")
	d.say("Is it all there? The server's own notes from just before the deletion, against\nwhat the account has now:\n\n")
	return d.prove("the account is what it was just before the deletion", "anna", evening)
}

// anyTime restores the first snapshot into an account of its own.
func (d *demo) anyTime(ctx context.Context, point string, before demoWitness) error {
	d.heading("6  Any point in time, anywhere")
	if _, err := d.run(ctx, "restante snapshots", 0, 0); err != nil {
		return err
	}
	if _, err := d.run(ctx, "restante restore anna --at "+point+" --to spare", 0, 0); err != nil {
		return err
	}
	d.meddled("restore")
	d.say("The server's notes from the first day, against what the other account has now:\n\n")
	if err := d.prove("the spare account is what Anna's was on the first day", "spare", before); err != nil {
		return err
	}
	d.say("\nAnd every octet of the repository, read and proved:\n\n")
	_, err := d.run(ctx, "restante check --read-data=100%", 0, 0)
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
		d.say("  cd %s        # restante.toml is found there; the passphrase is in the file passphrase\n", d.dir)
		d.say(`  restante snapshots
  restante ls anna
  restante ls anna Clients/Museum
  restante cat anna 'INBOX#3'
  restante stats
`)
	}
	d.heading("Your own mail")
	d.say(`  go install ./cmd/restante
  export AWS_ACCESS_KEY_ID=…  AWS_SECRET_ACCESS_KEY=…
  export RESTANTE_REPOSITORY='s3://BUCKET/restante?endpoint=https://S3.EXAMPLE.ORG&region=REGION'
  export RESTANTE_PASSPHRASE='a sentence that only you know, and keep somewhere else, too'
  restante init
  export RESTANTE_ACCOUNT_PASSWORD=…
  restante backup imaps://YOU@MAIL.EXAMPLE.ORG
  restante vanished imaps://YOU@MAIL.EXAMPLE.ORG --since 7d
  restante restore imaps://YOU@MAIL.EXAMPLE.ORG --vanished --since 7d --dry-run

Without a bucket, a directory will do: RESTANTE_REPOSITORY=/srv/mail-archive
A backup changes nothing in your account; a restore only adds what is missing.

Real servers to play with, Dovecot and S3, with sample mail, on this computer:

  go run ./cmd/testbed
`)
}
