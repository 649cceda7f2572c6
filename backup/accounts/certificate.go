package accounts

import (
	"crypto/tls"
	"time"
)

// WatchCertificate has seen told, at each connection, when the server's
// certificate expires: the first of its chain to do so.
func (d *Dialer) WatchCertificate(seen func(expires time.Time)) {
	watchCertificate(d.options.TLS, seen)
}

// WatchCertificate is [Dialer.WatchCertificate].
func (d *POP3Dialer) WatchCertificate(seen func(expires time.Time)) {
	watchCertificate(d.options.TLS, seen)
}

func watchCertificate(cfg *tls.Config, seen func(expires time.Time)) {
	if cfg == nil {
		return // in clear text
	}
	cfg.VerifyConnection = func(s tls.ConnectionState) error { // after it was verified
		var first time.Time
		for _, c := range s.PeerCertificates {
			if first.IsZero() || c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if !first.IsZero() {
			seen(first)
		}
		return nil
	}
}
