package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"nightdrop/shared/text"
)

// Presented is a certificate as one side of a connection shows it.
type Presented struct {
	// PEM files, the certificate with those of its intermediate authorities after it
	Cert, Key string
	// name or address that a server's must cover; "" = any, but at least one
	Host  string
	Usage x509.ExtKeyUsage // ExtKeyUsageServerAuth or ExtKeyUsageClientAuth
}

// Load reads certificate and key and checks all that their holder can know of what the other side
// will refuse: that they belong together, that the chain is signed in its order, for what and for
// whom it was issued, and that it is valid at now. Errors are Problems without a key.
func (p Presented) Load(now time.Time) (tls.Certificate, error) {
	pair, err := KeyPair(p.Cert, p.Key)
	if err != nil {
		return pair, &Problem{What: err.Error(), Do: "give the PEM files of a certificate and of its key", Cause: causeOf(err)}
	}
	if err := readableByOthers(p.Key); err != nil {
		return pair, err
	}
	chain, err := chainOf(pair)
	if err != nil {
		return pair, &Problem{What: p.Cert + ": " + err.Error(), Do: "give the certificate, then those that signed it"}
	}
	for i, c := range chain {
		if i+1 < len(chain) {
			if err := c.CheckSignatureFrom(chain[i+1]); err != nil {
				return pair, &Problem{What: fmt.Sprintf("%s: its certificate %d is not signed by the next", p.Cert, i+1),
					Do: "give the certificate, then those that signed it, in this order"}
			}
		}
		if err := validAt(p.Cert, c, now); err != nil {
			return pair, err
		}
	}
	return pair, p.suits(chain[0])
}

// suits checks for what and whom the certificate was issued.
func (p Presented) suits(leaf *x509.Certificate) error {
	if len(leaf.ExtKeyUsage) > 0 && !hasUsage(leaf, p.Usage) {
		return &Problem{What: p.Cert + " was not issued for this use: its extended key usage says another", Do: "have it issued for " + usageName(p.Usage)}
	}
	if p.Usage != x509.ExtKeyUsageServerAuth {
		return nil
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		return &Problem{What: p.Cert + " holds no host name", Do: "have it issued for the name under which this host is reached"}
	}
	if p.Host != "" && leaf.VerifyHostname(p.Host) != nil {
		return &Problem{What: fmt.Sprintf("%s is not for %s but for %s", p.Cert, p.Host, strings.Join(namesOf(leaf), ", ")),
			Do: "have one issued for that name, or correct the name"}
	}
	return nil
}

func hasUsage(c *x509.Certificate, wanted x509.ExtKeyUsage) bool {
	for _, usage := range c.ExtKeyUsage {
		if usage == wanted || usage == x509.ExtKeyUsageAny {
			return true
		}
	}
	return false
}

func usageName(usage x509.ExtKeyUsage) string {
	if usage == x509.ExtKeyUsageServerAuth {
		return "servers (serverAuth)"
	}
	return "clients (clientAuth)"
}

// validAt checks a certificate's dates.
func validAt(file string, c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return &Problem{What: fmt.Sprintf("%s has expired, on %s", file, day(c.NotAfter)), Do: "renew it, and look whether this host's clock is right"}
	case now.Before(c.NotBefore):
		return &Problem{What: fmt.Sprintf("%s is not valid before %s", file, c.NotBefore.UTC().Format(time.RFC3339)), Do: "look whether this host's clock is right"}
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// namesOf are the hosts that a certificate is for.
func namesOf(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// Names are the hosts that the certificate covers, patterns and addresses as they stand in it.
func Names(pair tls.Certificate) []string {
	if pair.Leaf == nil {
		return nil
	}
	return namesOf(pair.Leaf)
}

func chainOf(pair tls.Certificate) (chain []*x509.Certificate, err error) {
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return chain, nil
}

// readableByOthers refuses a private key that everybody on the host may read; its group may.
func readableByOthers(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return &Problem{What: err.Error(), Cause: err}
	}
	if info.Mode().Perm()&0o007 != 0 {
		return &Problem{What: fmt.Sprintf("private key %s may be read by everybody on this host", path), Do: "chmod 600 it, and replace it if it was exposed",
			Cause: os.ErrPermission}
	}
	return nil
}

// causeOf keeps what decides the exit code: what the system said. A file that is no certificate is
// an invalid configuration.
func causeOf(err error) error {
	for _, target := range []error{os.ErrNotExist, os.ErrPermission} {
		if errors.Is(err, target) {
			return err
		}
	}
	return nil
}

// CheckAuthorities reads the PEM file of authorities and checks that one of them is valid at now.
// Errors are Problems without a key.
func CheckAuthorities(path string, now time.Time) error {
	all, err := authorities(path)
	if err != nil {
		return &Problem{What: err.Error(), Do: "give the PEM file of the authority that signs the other side's certificate", Cause: causeOf(err)}
	}
	var refused error
	for _, c := range all {
		err := validAt(path, c, now)
		if err == nil {
			return nil
		}
		refused = err
	}
	return refused
}

// authorities are the certificates in a PEM file.
func authorities(path string) (all []*x509.Certificate, err error) {
	if _, err := Authorities(path); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rest := text.WithoutMark(data)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all, nil
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, c) // what else stands there, Authorities passes over too
		}
	}
}
