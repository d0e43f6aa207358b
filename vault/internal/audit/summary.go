package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"nightdrop/shared/note"
	"nightdrop/shared/strictjson"
)

// The summary ends in an HTML comment that holds a note of the vault over all bytes before it:
//
//	nightdrop/summary/v1
//	{"vault","size","sha256"}
const summaryType = "nightdrop/summary/v1"

const commentBegins, commentEnds = "<!--\n", "-->\n"

// maxSummary bounds the page in bytes: charts of some thousand days have a few hundred kilobytes.
const maxSummary = 16 << 20

// Whether the summary is signed, in a report of [Verify].
const (
	SummarySigned   = "signed"   // by the vault, at its end
	SummaryUnsigned = "unsigned" // written by a build that did not sign it, or by anybody
)

// summaryStatement is the vault's statement about a page.
type summaryStatement struct {
	Vault  string `json:"vault"`
	Size   int64  `json:"size"`   // entries in the export that it is beside
	SHA256 string `json:"sha256"` // hex, of what is before the comment
}

// SignSummary appends the vault's statement to a page. size is that of the checkpoint beside it.
func SignSummary(page []byte, size int64, vault *note.Signer) ([]byte, error) {
	sum := sha256.Sum256(page)
	text, err := strictjson.Marshal(summaryStatement{vault.Name(), size, hex.EncodeToString(sum[:])})
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(fmt.Appendf(nil, "%s\n%s\n", summaryType, text), vault)
	if err != nil {
		return nil, fmt.Errorf("sign the page: %w", err)
	}
	return bytes.Join([][]byte{page, []byte(commentBegins), signed, []byte(commentEnds)}, nil), nil
}

// summary checks the summary, where there is one.
func (v *verifier) summary(vault note.Verifier) error {
	page, err := v.dir.ReadFile(summaryFile, maxSummary)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !bytes.Contains(page, []byte(commentBegins+summaryType+"\n")) {
		v.report.Summary = SummaryUnsigned
		return v.problem(-1, summaryFile, asDamage(err))
	}
	v.report.Summary = SummarySigned
	statement, err := openSummary(page, vault)
	switch {
	case err != nil:
		v.report.note(-1, summaryFile, fmt.Sprintf("it is not as the vault wrote it: %v", err))
	case statement.Size < v.checkpoint.Size: // the page is written before the checkpoint
		v.report.note(-1, summaryFile, fmt.Sprintf("it is of an earlier export, of %d entries", statement.Size))
	}
	return nil
}

// openSummary returns the vault's statement about a page, checked to be about that page.
func openSummary(page []byte, vault note.Verifier) (statement summaryStatement, err error) {
	at := bytes.LastIndex(page, []byte(commentBegins+summaryType+"\n"))
	signed, ends := bytes.CutSuffix(page[at+len(commentBegins):], []byte(commentEnds))
	if !ends {
		return statement, errors.New("there is more after the vault's signature")
	}
	opened, err := note.Open(signed, note.Policy{Single: true}, vault)
	if err != nil {
		return statement, err
	}
	text := bytes.TrimPrefix(opened.Text, []byte(summaryType+"\n"))
	if err := strictjson.Unmarshal(bytes.TrimSuffix(text, []byte("\n")), &statement); err != nil {
		return statement, err
	}
	if sum := sha256.Sum256(page[:at]); statement.SHA256 != hex.EncodeToString(sum[:]) || statement.Vault != vault.Name() {
		return statement, errors.New("the vault has signed another page")
	}
	return statement, nil
}
