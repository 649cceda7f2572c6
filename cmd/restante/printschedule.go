package main

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"

	"restante/backup/accounts"
)

// printSchedule prints how to run a backup every hour, by cron or by systemd.
// It changes nothing on the computer.
func (c *backupCmd) printSchedule(a *app) error {
	words, missing, err := c.unattended(a)
	if err != nil {
		return err
	}
	for _, m := range missing {
		fmt.Fprintln(a.out, "# Missing: "+m)
	}
	fmt.Fprintf(a.out, `# This runs every hour. Take one of the two.

# cron: add this line with crontab -e
%s

# systemd: a file ~/.config/systemd/user/restante-backup.service
[Unit]
Description=Back mail up with Restante

[Service]
Type=oneshot
ExecStart=%s
# 3: done, but for what the next run asks for again
SuccessExitStatus=3

# and a file ~/.config/systemd/user/restante-backup.timer
[Unit]
Description=Back mail up with Restante every hour

[Timer]
OnCalendar=hourly
RandomizedDelaySec=15min
Persistent=true

[Install]
WantedBy=timers.target

# then:
#   systemctl --user daemon-reload
#   systemctl --user enable --now restante-backup.timer
#   loginctl enable-linger    so that it runs while nobody is logged in, too
`, cronLine(words), systemdCommand(words))
	return nil
}

// unattended returns the words of a command that does this backup when nobody
// is there, in whatever directory, and says what it lacks: what is in the
// environment now will not be then.
func (c *backupCmd) unattended(a *app) (words, missing []string, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("which program is this? %w", err)
	}
	conf, err := a.configuration()
	if err != nil {
		return nil, nil, err
	}
	where, err := a.where()
	if err != nil {
		return nil, nil, err
	}
	directory, err := os.Getwd()
	if err != nil {
		return nil, nil, err
	}
	absolute := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(directory, name)
	}
	inS3 := strings.HasPrefix(where, "s3:")
	if !inS3 {
		where = absolute(where)
	}
	words = []string{program, "--quiet"}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, flag, value)
		}
	}
	add("--config", absolute(conf.path))
	add("--repository", where)
	add("--identity", absolute(a.Identity))
	add("--passphrase-file", absolute(a.PassphraseFile))
	add("--passphrase-command", a.PassphraseCommand)
	add("--cache-dir", absolute(a.CacheDir))
	words = append(words, "backup")
	if c.ThisComputer {
		words = append(words, "--this-computer")
	}
	name := c.Name
	if c.ThisComputer && name == "" {
		// A computer that is called otherwise tomorrow is the same one.
		if name, err = thisComputersName(); err != nil {
			return nil, nil, err
		}
	}
	add("--name", name)
	add("--password-file", absolute(c.PasswordFile))
	add("--password-command", c.PasswordCommand)
	for _, pattern := range c.Exclude {
		add("--exclude", pattern)
	}
	words = append(words, c.Accounts...)

	if a.Identity+a.PassphraseFile+a.PassphraseCommand+conf.Identity+conf.PassphraseFile+conf.PassphraseCommand == "" {
		missing = append(missing, "nobody will be there to type the repository's passphrase; write passphrase-file or passphrase-command into restante.toml.")
	}
	if _, ok := a.env("AWS_ACCESS_KEY_ID"); ok && inS3 {
		missing = append(missing, "the object store's credentials are in the environment, which will not be there; write them into ~/.aws/credentials.")
	}
	if _, ok := a.env(accounts.PasswordVariable); ok && !c.ThisComputer && c.PasswordFile+c.PasswordCommand == "" {
		missing = append(missing, "the account's password is in the environment, which will not be there; give --password-file or --password-command.")
	}
	return words, missing, nil
}

// cronLine is a line of a crontab. Which minute it is depends on the command,
// so that not all computers come at once. There a '%' ends the command, unless
// a backslash is before it (crontab(5)).
func cronLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellWord(w)
	}
	command := strings.Join(quoted, " ")
	minute := crc32.ChecksumIEEE([]byte(hostname()+command)) % 60
	return fmt.Sprintf("%d * * * * %s", minute, strings.ReplaceAll(command, "%", `\%`))
}

// harmless are the characters that mean nothing to a shell or to systemd.
const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@"

func isHarmless(word string) bool { return word != "" && strings.Trim(word, harmless) == "" }

// systemdCommand is the value of ExecStart (systemd.service(5), Command lines).
func systemdCommand(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		w = strings.NewReplacer("%", "%%", "$", "$$").Replace(w)
		if !isHarmless(w) {
			w = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(w) + `"`
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}
