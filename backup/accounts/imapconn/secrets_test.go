package imapconn

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"

	"restante/backup/accounts/imapconn/imaptest"
)

// A server that was told the password may repeat it whenever it likes, in what
// form it likes. Neither an error nor a log has it.
func TestWhatAServerRepeatsIsNotShown(t *testing.T) {
	t.Parallel()
	const secret = `S3cret"\phrase`
	coded := base64.StdEncoding.EncodeToString([]byte("\x00alice\x00" + secret))
	for _, said := range []string{secret, strings.ToLower(secret), `S3cret\"\\phrase`, coded, secret + " and " + coded,
		strings.Repeat("x", 45) + secret, strings.Repeat("x", 60-6) + coded} {
		for name, answer := range map[string]string{
			"NO": "%T NO " + said + "\r\n", "BAD": "%T BAD " + said + "\r\n", "a code": "%T NO [" + said + "] x\r\n",
			"BYE": "* BYE " + said + "\r\n", "an alert": "* OK [ALERT] " + said + "\r\n%T NO no\r\n", "no status": "%T " + said + "\r\n",
			"no answer": "* LIST " + said + "\r\n",
		} {
			var log bytes.Buffer
			s := imaptest.Start(t, imaptest.Script{Handle: handlers{"LIST": func(c *imaptest.Conn, cmd imaptest.Command) {
				imaptest.Answer(answer)(c, cmd)
				c.Close()
			}}})
			c := dial(t, s, func(o *Options) { o.Password, o.Log = secret, slog.New(slog.NewTextHandler(&log, nil)) })
			_, err := c.List("", "*", nil).Collect()
			if err = c.Explain(err); err == nil {
				t.Fatalf("%s: no error", name)
			}
			shown := strings.ToLower(err.Error() + log.String())
			if strings.Contains(shown, "phrase") || strings.Contains(shown, "s3cret") || strings.Contains(shown, strings.ToLower(coded[:5])) {
				t.Errorf("%s of %q: %s", name, said, shown)
			}
		}
	}
}
