package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
)

// serveBadCertificates opens IMAPS ports whose certificates a client must
// refuse, each for another reason. Behind them is the real server.
func serveBadCertificates(b *bed, certs *certificates, imap string) error {
	stranger, err := newCertificates()
	if err != nil {
		return err
	}
	for _, bad := range []struct {
		variable string
		issue    func() (serverCertificate, error)
	}{
		{"TESTBED_IMAPS_BADCERT", stranger.server}, // of an authority that nobody trusts
		{"TESTBED_IMAPS_EXPIRED", certs.expired},
		{"TESTBED_IMAPS_WRONGNAME", certs.misnamed},
	} {
		cert, err := bad.issue()
		if err != nil {
			return err
		}
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert.tls()}})
		if err != nil {
			return fmt.Errorf("opening a port for %s: %w", bad.variable, err)
		}
		b.onClose(func() { l.Close() })
		b.set(bad.variable, l.Addr().String())
		go relay(l, imap)
	}
	return nil
}

// relay hands what it accepts to the server at addr, until l is closed.
func relay(l net.Listener, addr string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			defer server.Close()
			go func() {
				defer server.Close()
				io.Copy(server, client)
			}()
			io.Copy(client, server)
		}()
	}
}
