package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"nightdrop/shared/note"
	"nightdrop/shared/storefront"
)

// Merchant is whom a site enrols.
type Merchant struct {
	ID         string
	Name       string // default: the id
	Currencies []string
	Policy     []string // flags of `vault merchant policy`
}

// Launch starts all three programs, registers the site's auditor, enrols the merchants that the
// vault does not know yet, and waits until the relay takes envelopes of all of them.
func (s *Site) Launch(ctx context.Context, merchants ...Merchant) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	if err := s.registerAuditor(ctx); err != nil {
		return err
	}
	known, err := s.names(ctx, "merchant", "list")
	if err != nil {
		return err
	}
	for _, m := range merchants {
		if known[m.ID] {
			continue
		}
		if err := s.Enrol(ctx, m); err != nil {
			return err
		}
	}
	if err := s.AwaitRelay(ctx); err != nil {
		return err
	}
	for _, m := range merchants {
		s.Progress("merchant %s: the relay takes its envelopes", m.ID)
		if err := s.AwaitMerchant(ctx, m.ID); err != nil {
			return err
		}
	}
	return nil
}

// names are the ids or names in a list of the vault's.
func (s *Site) names(ctx context.Context, list ...string) (map[string]bool, error) {
	var listed []struct{ ID, Name string }
	if err := s.runJSON(ctx, &listed, "vault", append(list, "--json", "--dir", s.Path("vault"))...); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, l := range listed {
		names[cmp.Or(l.ID, l.Name)] = true
	}
	return names, nil
}

// registerAuditor makes the auditor's key and lets the auditor open the log, once.
func (s *Site) registerAuditor(ctx context.Context) error {
	if s.Auditor == "" {
		return nil
	}
	known, err := s.names(ctx, "audit", "auditor", "list")
	if err != nil || known[s.Auditor] {
		return err
	}
	key := s.AuditorKey()
	if err := fresh(key); err != nil {
		return err
	}
	line, err := s.Run(ctx, "vault", "audit", "auditor", "keygen", "--name", s.Auditor, "--out", key)
	if err != nil {
		return err
	}
	_, err = s.VaultRun(ctx, "audit", "auditor", "add", s.Auditor, "--key", strings.TrimSpace(line))
	s.Progress("auditor %s opens the log from here on", s.Auditor)
	return err
}

// AuditorKey is the file of the auditor's key.
func (s *Site) AuditorKey() string { return s.Path("auditor", s.Auditor+".key") }

// fresh makes room for a new key: one that is there was made before an interruption, and the vault
// has not heard of it.
func fresh(key string) error {
	if err := os.Remove(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.MkdirAll(filepath.Dir(key), 0o700)
}

// Enrol makes a merchant's identity and enrols it at the vault, with a company that settlement
// files name.
func (s *Site) Enrol(ctx context.Context, m Merchant) error {
	if err := fresh(s.Identity(m.ID)); err != nil {
		return err
	}
	lines, err := s.Run(ctx, "storefront", "keygen", "--merchant", m.ID, "--out", s.Identity(m.ID))
	if err != nil {
		return err
	}
	keys := map[string]string{}
	for line := range strings.Lines(lines) {
		what, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		keys[what] = value
	}
	if _, err = s.VaultRun(ctx, "merchant", "add", m.ID, "--name", cmp.Or(m.Name, m.ID), "--verifier", keys["verifier"],
		"--reply-key", keys["reply-key"], "--currency", strings.Join(m.Currencies, ","),
		"--company-name", company(m.ID), "--company-id", companyID(m.ID)); err != nil || len(m.Policy) == 0 {
		return err
	}
	return s.Permit(ctx, m.ID, m.Policy...)
}

// Permit changes a merchant's policy by the flags of `vault merchant policy`.
func (s *Site) Permit(ctx context.Context, merchant string, flags ...string) error {
	_, err := s.VaultRun(ctx, append([]string{"merchant", "policy", merchant}, flags...)...)
	return err
}

// company is a merchant's name in a settlement file, at most 16 characters.
func company(merchant string) string {
	name := strings.ToUpper(merchant)
	return name[:min(len(name), 16)]
}

// companyID is 10 digits that a bank might have given a merchant.
func companyID(merchant string) string {
	return fmt.Sprintf("1%09d", crc32.ChecksumIEEE([]byte(merchant))%1_000_000_000)
}

// AwaitMerchant waits until the relay has heard from the vault that the merchant is enrolled. It
// reads no results for the shop.
func (s *Site) AwaitMerchant(ctx context.Context, merchant string) error {
	shop, err := s.Shop(merchant)
	if err != nil {
		return err
	}
	defer shop.HTTP.CloseIdleConnections()
	return s.Relay.await(ctx, readyLimit, func() error {
		_, err := shop.Results(ctx, &storefront.Chain{}, 0)
		return err
	})
}

// Shop is a merchant's storefront server in this process.
type Shop struct {
	*storefront.Client
	Identity *storefront.Identity
	HTTP     *http.Client // of the client's own: close its idle connections when done
}

// Shop connects to the site's relay with a merchant's keys.
func (s *Site) Shop(merchant string) (shop Shop, err error) {
	if shop.Identity, err = storefront.LoadIdentity(s.Identity(merchant)); err != nil {
		return shop, err
	}
	vault, err := note.ParseVerifier(s.Verifier)
	if err != nil {
		return shop, err
	}
	if shop.HTTP, err = s.HTTPClient(); err != nil {
		return shop, err
	}
	shop.Client, err = storefront.New(storefront.Config{Relay: s.Origin(), Vault: vault, Identity: shop.Identity, HTTP: shop.HTTP})
	return shop, err
}
