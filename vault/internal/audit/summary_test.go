package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestThePageForPeopleIsCovered: the vault's page verifies; with a changed byte, and an earlier
// page, does not.
func TestThePageForPeopleIsCovered(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	path := filepath.Join(dir, summaryFile)
	export := func(size int64, text string) (page []byte) {
		t.Helper()
		s.grow(size)
		x := s.exporter()
		var err error
		if x.Summary, err = SignSummary([]byte(text), size, s.signer); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Export(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		return x.Summary
	}
	verify := func(page []byte) (Report, error) {
		t.Helper()
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{})
	}
	earlier := export(3, "<p>3 entries</p>\n")
	page := export(5, "<p>5 entries</p>\n")
	if r, err := verify(page); err != nil || r.Summary != SummarySigned {
		t.Fatalf("as it was written: %+v, %v", r, err)
	}
	for at := range len(page) {
		bent := bytes.Clone(page)
		bent[at] ^= 1
		// Without the comment's beginning the page is unsigned, which is reported.
		if r, err := verify(bent); err == nil && r.Summary != SummaryUnsigned {
			t.Errorf("with byte %d of %q bent it verifies", at, page)
		}
	}
	for what, bad := range map[string][]byte{
		"more at the end":       append(bytes.Clone(page), "<p>and more</p>"...),
		"more before the word":  bytes.Replace(page, []byte("<!--"), []byte("<p>and more</p><!--"), 1),
		"an earlier page":       earlier,
		"another page's word":   append([]byte("<p>7 entries</p>\n"), page[bytes.Index(page, []byte("<!--")):]...),
		"a word of another key": bytes.Replace(page, []byte("\n— "), []byte("\n— other."), 1),
	} {
		r, err := verify(bad)
		if err == nil || len(r.Problems) != 1 || r.Problems[0].File != summaryFile || r.FirstBad != -1 {
			t.Errorf("%s: %+v, %v", what, r, err)
		}
	}
	if r, err := verify([]byte("<p>of a build before</p>")); err != nil || r.Summary != SummaryUnsigned {
		t.Errorf("a page that nobody signed: %+v, %v", r, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if r, err := Verify(t.Context(), dir, s.signer.Verifier(), VerifyOptions{}); err != nil || r.Summary != "" {
		t.Errorf("without a page: %+v, %v", r, err)
	}
	if word := string(page[bytes.Index(page, []byte("<!--")):]); !strings.HasSuffix(word, "\n-->\n") || strings.Count(word, "--") != 2 {
		t.Errorf("the word would end the comment: %q", word)
	}
}
