package settings

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/config"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
)

// checkFiles checks the files, directories and addresses in the configuration, by the functions
// with which the daemon reads them. It neither dials nor writes.
func (s Settings) checkFiles(found *config.Problems, now time.Time) {
	if err := control.CheckSocket(s.Socket); err != nil {
		found.AddError("socket", &config.Problem{What: err.Error(), Cause: err})
	}
	found.AddError("", config.CheckMakeable(s.Dir))
	s.checkRelays(found)
	if s.Channel.URL != "" {
		found.AddError("channel", s.Channel.Options().Check(now))
	}
	if s.Acquirer.Address != "" {
		found.AddError("acquirer.address", config.CheckAddress(s.Acquirer.Address))
	}
	found.AddError("acquirer.tls", s.Acquirer.TLS.check(now))
	for key, dir := range map[string]string{"journal.directory": s.Journal.Directory, "bank.outbox": s.Bank.Outbox} {
		if isDirectory(dir) { // that it is none is said with its key
			found.AddError(key, config.CheckMakeable(dir))
		}
	}
}

// checkRelays refuses two keys under one relay's name: bags under one would count as forged.
func (s Settings) checkRelays(found *config.Problems) {
	seen := map[string]bool{}
	for _, relay := range s.Relays {
		if relay == (note.Verifier{}) || seen[relay.Name()] {
			found.Add("relays", fmt.Sprintf("names relay %q twice, or none", relay.Name()), "give each relay's line once, as relay keygen printed it")
		}
		seen[relay.Name()] = true
	}
}

// Options are the vault's way to the channel.
func (c Channel) Options() channel.Options {
	return channel.Options{URL: c.URL, Seed: c.Seed, CA: c.CA, Cert: c.Cert, Key: c.Key}
}

// presented is what the acquirer's host is shown.
func (t TLS) presented() config.Presented {
	return config.Presented{Cert: t.Cert, Key: t.Key, Usage: x509.ExtKeyUsageClientAuth}
}

// check joins what keeps the host from being reached by TLS at now, as config.Problems.
func (t TLS) check(now time.Time) error {
	found := config.NewProblems("")
	if !t.Enabled {
		return nil
	}
	if t.CA != "" {
		found.AddError("ca", config.CheckAuthorities(t.CA, now))
	}
	switch {
	case (t.Cert == "") != (t.Key == ""):
		found.Add("cert", "a certificate and its key go together", "give both, or neither")
	case t.Cert != "":
		_, err := t.presented().Load(now)
		found.AddError("cert", err)
	}
	return found.Err()
}

// Config is the TLS configuration; nil where TLS is off. The client's certificate is read at each
// handshake, so that a renewed one is used.
func (t TLS) Config(now func() time.Time, log *slog.Logger) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil
	}
	// Acquirers' hosts are not all at 1.3.
	client := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		authorities, err := config.Authorities(t.CA)
		if err != nil {
			return nil, fmt.Errorf("acquirer.tls.ca: %w", err)
		}
		client.RootCAs = authorities
	}
	if t.Cert != "" {
		renewed, err := config.NewRenewed(t.presented(), now, log)
		if err != nil {
			return nil, fmt.Errorf("acquirer.tls.cert: %w", err)
		}
		client.GetClientCertificate = renewed.Get
	}
	return client, nil
}

// Validities returns until when every certificate in the configuration is valid, as its file is
// now.
func (s Settings) Validities() []config.Validity {
	list := config.Under("channel", s.Channel.Options().Validities())
	t := s.Acquirer.TLS
	if !t.Enabled {
		return list
	}
	if t.Cert != "" {
		list = append(list, config.ValidityOfFiles("acquirer.tls.cert", t.Cert, t.Key))
	}
	if t.CA != "" {
		list = append(list, config.ValidityOfAuthorities("acquirer.tls.ca", t.CA))
	}
	return list
}

// CertificateNotes returns which certificates expire soon at now.
func (s Settings) CertificateNotes(now time.Time) (notes []string) {
	for _, v := range s.Validities() {
		if v.Near(now) {
			notes = append(notes, v.Note(now))
		}
	}
	return notes
}

// Warnings are what a person should check, though a daemon runs with it.
func (s Settings) Warnings(now time.Time) []string {
	notes := append([]string{}, s.CertificateNotes(now)...)
	if len(s.Relays) == 0 {
		notes = append(notes, "relays: none is named: the vault takes nothing; add the line that relay keygen printed")
	}
	if text := s.Journal.Warning(s.Dir); text != "" {
		notes = append(notes, "journal: "+text)
	}
	return append(notes, keyring.Remains(s.Dir, keyring.ThisHost())...)
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return path != "" && err == nil && info.IsDir()
}

// Inside reports whether path is dir or below it; both are [Resolved].
func Inside(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

// Resolved follows symbolic links as far as path exists.
func Resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(Resolved(parent), filepath.Base(path))
	}
	return path
}
