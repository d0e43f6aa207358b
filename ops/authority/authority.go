// Package authority is a certificate authority for tests, trials and training: it makes the
// certificates of a relay, its channel, a vault and the simulator of one trial. Its own key lies
// beside them in clear, so nothing real may trust it.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"nightdrop/shared/durable"
)

// Lifetimes: longer than a training, shorter than anything worth stealing.
const (
	authorityLife   = 366 * 24 * time.Hour
	certificateLife = 90 * 24 * time.Hour
	// hosts warn of one that is nearer to its end: Open and Issue make it anew
	renewBefore = 31 * 24 * time.Hour
)

// ErrForeign is returned where a directory holds a ca.pem without the key that signs for it.
var ErrForeign = errors.New("ca.pem is here without its ca.key: this authority cannot issue; give another directory")

// Authority issues certificates into its directory. It must not be used concurrently.
type Authority struct {
	dir  string
	pair tls.Certificate
}

// Path is the PEM file of the authority's own certificate, which the others are verified with.
func (a *Authority) Path() string { return filepath.Join(a.dir, "ca.pem") }

// Open opens the authority of dir. Where there is none it is made, ca.pem and ca.key, and its
// directories of mode 0700; one that expires within a month is replaced, so that what it has issued
// must be issued anew. It fails with [ErrForeign].
func Open(dir string) (*Authority, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &Authority{dir: dir}
	pair, err := load(dir, "ca")
	switch {
	case err == nil && time.Until(pair.Leaf.NotAfter) > renewBefore:
		a.pair = pair
		return a, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err != nil {
		if _, err := os.Stat(a.Path()); err == nil {
			return nil, fmt.Errorf("%s: %w", dir, ErrForeign)
		}
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Nightdrop test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	a.pair, err = issue(dir, "ca", template, authorityLife, nil)
	return a, err
}

// Issue makes NAME.pem and NAME.key, good for a server under the names and addresses of hosts
// (loopback, localhost and NAME besides) and for a client, and reports whether it did: one that the
// authority has signed for all of hosts, and that is good for another month, stays; so does none of
// which only half was written.
func (a *Authority) Issue(name string, hosts ...string) (made bool, err error) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range append([]string{"localhost", name, "127.0.0.1", "::1"}, hosts...) {
		if address := net.ParseIP(host); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	present, err := load(a.dir, name)
	if err == nil && a.stands(present.Leaf, hosts) {
		return false, nil
	}
	_, err = issue(a.dir, name, template, certificateLife, &a.pair)
	return err == nil, err
}

// stands reports whether a certificate need not be made anew.
func (a *Authority) stands(cert *x509.Certificate, hosts []string) bool {
	if cert.CheckSignatureFrom(a.pair.Leaf) != nil || time.Until(cert.NotAfter) < renewBefore {
		return false
	}
	for _, host := range hosts {
		if cert.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// load reads NAME.pem and NAME.key.
func load(dir, name string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
	if err != nil {
		return pair, fmt.Errorf("certificate and key %s: %w", name, err)
	}
	return pair, nil
}

// issue makes NAME.key and NAME.pem of a template, signed by an authority or, without one, by
// itself.
func issue(dir, name string, template *x509.Certificate, validity time.Duration, by *tls.Certificate) (pair tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return pair, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(validity)
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return pair, fmt.Errorf("certificate of %s: %w", name, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair, err
	}
	for _, file := range []struct {
		suffix, kind string
		der          []byte
	}{{".key", "PRIVATE KEY", private}, {".pem", "CERTIFICATE", der}} {
		text := pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der})
		if err := durable.Replace(filepath.Join(dir, name+file.suffix), text); err != nil {
			return pair, err
		}
	}
	return load(dir, name)
}
