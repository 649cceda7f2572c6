package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"restante/cmd/testbed/tokens"
)

// serveTokens starts the token server: for clients by TLS, and for the mail
// server, which only asks whose a token is, in clear text. It returns the
// address at which the mail server asks.
func serveTokens(b *bed, certs *certificates) (introspection string, err error) {
	cert, err := certs.server()
	if err != nil {
		return "", err
	}
	public, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert.tls()}})
	if err != nil {
		return "", fmt.Errorf("opening a port for the token server: %w", err)
	}
	url := "https://" + public.Addr().String()
	s := tokens.New(url)
	serve(b, public, s)
	private, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("opening a port for the token server: %w", err)
	}
	only := http.NewServeMux()
	only.Handle("/introspect", s)
	serve(b, private, only)

	key, err := s.NewServiceAccount("restante@testbed.example")
	if err != nil {
		return "", err
	}
	file := filepath.Join(b.dir, "service-account.json")
	if err := os.WriteFile(file, key, 0o600); err != nil {
		return "", err
	}
	b.set("TESTBED_OAUTH", url)
	b.set("TESTBED_OAUTH_SERVICE_ACCOUNT", file)
	return "http://" + private.Addr().String() + "/introspect", nil
}

// serve answers on l until the bed is closed.
func serve(b *bed, l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	b.onClose(func() { server.Close() })
	go server.Serve(l)
}
