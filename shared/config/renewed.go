package config

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"nightdrop/shared/folded"
)

// Renewed is a client's certificate that is read afresh at each handshake, so that a renewed one is
// taken up by itself; where the files hold one that cannot be used, the one before stays in use. It
// is safe for concurrent use.
type Renewed struct {
	files Presented
	now   func() time.Time
	lines *folded.Lines

	mu   sync.Mutex
	last tls.Certificate
}

// NewRenewed reads the files a first time. That the certificate has expired is no error: the other
// side will say so, and a renewed one is taken up.
func NewRenewed(files Presented, now func() time.Time, logger *slog.Logger) (*Renewed, error) {
	pair, err := KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, err
	}
	return &Renewed{files: files, now: now, lines: folded.New(logger), last: pair}, nil
}

// Get returns the certificate to show; it is a tls.Config's GetClientCertificate.
func (r *Renewed) Get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pair, err := r.files.Load(r.now())
	if err == nil {
		r.last = pair
	} else {
		r.lines.Error("kept", "the certificate was not read again; the one before stays in use", "error", err)
	}
	last := r.last
	return &last, nil
}
