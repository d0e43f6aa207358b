package control

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"nightdrop/vault/internal/loggable"
	"nightdrop/vault/internal/operator"
)

// OpeningQuery asks for the state from which an auditor's replay begins.
type OpeningQuery struct {
	Auditor string
	File    string // new, absolute, on the vault's host
}

// Opening is what `audit opening` wrote.
type Opening struct {
	Auditor string `json:"auditor"`
	File    string `json:"file"`
	Size    int64  `json:"size"` // entries before the auditor's first
	Root    string `json:"root"` // base64: of the log of these entries
}

func (s *Server) openingRoutes(mux *http.ServeMux) {
	mux.Handle("POST /log/opening", s.stream(func(c call, p operator.Progress) (any, error) {
		query := c.URL.Query()
		q := OpeningQuery{Auditor: query.Get("auditor"), File: query.Get("file")}
		if err := checkPath(q.File); err != nil {
			return nil, err
		}
		return s.cfg.Vault.WriteOpening(c.Context(), c.actor, q, p)
	}))
}

// checkPath checks a path that will stand in the log.
func checkPath(path string) error {
	if len(path) > maxPath || !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) || loggable.HoldsNumber(path) {
		return &Error{CodeUsage, "the path would stand in the log for ever: give one of at most 1000 plain bytes without 12 to 19 digits that may be a card number (times, as 20261129-175406, are none)"}
	}
	return nil
}

// maxPath bounds the path of an export in bytes: it is kept for ever in the log.
const maxPath = 1000

// WriteOpening writes the state from which an auditor's replay begins into a file on the vault's
// host.
func (c *Client) WriteOpening(ctx context.Context, q OpeningQuery, progress operator.Progress) (Opening, error) {
	return follow[Opening](ctx, c, "/log/opening", url.Values{"auditor": {q.Auditor}, "file": {q.File}}, progress)
}
