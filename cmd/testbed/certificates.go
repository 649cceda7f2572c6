package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificates is a certificate authority of the testbed's own, made anew at
// each start and never written down with its key.
type certificates struct {
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
}

func newCertificates() (*certificates, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Restante testbed"},
		NotBefore:             time.Now().Add(-365 * 24 * time.Hour), // before that of the expired certificate
		NotAfter:              time.Now().Add(365 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate just made: %w", err)
	}
	return &certificates{ca, key}, nil
}

func (c *certificates) caPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ca.Raw})
}

// A serverCertificate is one with its private key.
type serverCertificate struct {
	der []byte
	key *ecdsa.PrivateKey
}

// server issues a certificate for the servers.
func (c *certificates) server() (serverCertificate, error) {
	return c.issue(time.Now().Add(30*24*time.Hour), "localhost", net.IPv4(127, 0, 0, 1), net.IPv6loopback)
}

// expired issues a certificate that was valid until yesterday.
func (c *certificates) expired() (serverCertificate, error) {
	return c.issue(time.Now().Add(-24*time.Hour), "localhost", net.IPv4(127, 0, 0, 1), net.IPv6loopback)
}

// misnamed issues a certificate for another server.
func (c *certificates) misnamed() (serverCertificate, error) {
	return c.issue(time.Now().Add(30*24*time.Hour), "mail.example.org")
}

func (c *certificates) issue(until time.Time, name string, ips ...net.IP) (serverCertificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return serverCertificate{}, fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return serverCertificate{}, fmt.Errorf("making a serial number: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		IPAddresses:  ips,
		NotBefore:    until.Add(-60 * 24 * time.Hour),
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, c.ca, &key.PublicKey, c.key)
	if err != nil {
		return serverCertificate{}, fmt.Errorf("making a server's certificate: %w", err)
	}
	return serverCertificate{der, key}, nil
}

// write stores it as two PEM files.
func (s serverCertificate) write(certFile, keyFile string) error {
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.der})
	if err := os.WriteFile(certFile, cert, 0o644); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return fmt.Errorf("encoding a key: %w", err)
	}
	return os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func (s serverCertificate) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{s.der}, PrivateKey: s.key}
}

// authority makes a new authority for certificates, and a file of the bed for
// those who trust it.
func (b *bed) authority(name string) (certs *certificates, file string, err error) {
	if certs, err = newCertificates(); err != nil {
		return nil, "", err
	}
	file = filepath.Join(b.dir, name)
	return certs, file, os.WriteFile(file, certs.caPEM(), 0o644)
}
