package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/settle"
)

// Auditor is who may open the log, or could.
type Auditor struct {
	Name    string         `json:"name"`
	KeyName string         `json:"keyName"` // auditor-<8 hex>-xwing
	Added   envelope.Time  `json:"added"`
	Removed *envelope.Time `json:"removed,omitempty"`
}

// NewAuditor is an auditor to be added.
type NewAuditor struct {
	Name string `json:"name"`
	Key  string `json:"key"` // NAME+KEYNAME+BASE64
}

// ExportQuery says what an export holds.
type ExportQuery struct {
	Dir         string    // absolute, on the vault's host
	BodiesSince time.Time // entries before it go without their bodies, in whole bundles; zero for all bodies
}

// Export tells what `audit export` wrote.
type Export struct {
	Dir    string `json:"dir"`
	Size   int64  `json:"size"`             // entries
	Root   string `json:"root"`             // base64, as in the checkpoint
	Bodies int64  `json:"bodies,omitempty"` // index of the first entry with its body
}

// UnknownPeer is the actor of a call whose caller the kernel did not name.
const UnknownPeer = "user:unknown"

// maxDir bounds the directory of an export in bytes: it is kept for ever in the log.
const maxDir = 1000

func (s *Server) auditRoutes(mux *http.ServeMux) {
	v := s.cfg.Vault
	mux.Handle("GET /auditors", s.answer(func(c call) (any, error) { return v.Auditors(c.Context()) }))
	mux.Handle("POST /auditors", s.answer(func(c call) (any, error) {
		a, err := body[NewAuditor](c, "auditor")
		if err != nil {
			return nil, err
		}
		return v.AddAuditor(c.Context(), c.actor, a)
	}))
	mux.Handle("POST /auditors/{name}/remove", s.answer(func(c call) (any, error) {
		return v.RemoveAuditor(c.Context(), c.actor, c.PathValue("name"))
	}))
	mux.Handle("POST /log/export", s.stream(s.exportLog))
}

func (s *Server) exportLog(c call, p settle.Progress) (any, error) {
	query := c.URL.Query()
	q := ExportQuery{Dir: query.Get("dir")}
	if len(q.Dir) > maxDir || !utf8.ValidString(q.Dir) || strings.ContainsFunc(q.Dir, unicode.IsControl) || holdsCardNumber(q.Dir) {
		return nil, &Error{CodeUsage, "the directory's path would stand in the log for ever: give one of at most 1000 plain bytes without what may be a card number"}
	}
	if text := query.Get("bodies-since"); text != "" {
		since, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return nil, &Error{CodeUsage, "bodies-since is a time, RFC 3339 in UTC"}
		}
		q.BodiesSince = since
	}
	return s.cfg.Vault.ExportLog(c.Context(), c.actor, q, p)
}

// refused tells of a call that was refused.
func (s *Server) refused(c call, code Code) {
	if s.cfg.Refused == nil || code != CodeLocked && code != CodeNotAllowed && c.Pattern != "POST /unlock" {
		return
	}
	actor := settle.Actor{Name: c.actor.Name, Origin: c.actor.Origin}
	if actor.Name == "" {
		actor.Name = UnknownPeer
	}
	s.cfg.Refused(actor, c.Pattern, code)
}

// Auditors lists all there ever were.
func (c *Client) Auditors(ctx context.Context) ([]Auditor, error) {
	return get[[]Auditor](ctx, c, "/auditors", nil)
}

// AddAuditor lets an auditor open the log from now on.
func (c *Client) AddAuditor(ctx context.Context, a NewAuditor) (Auditor, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return Auditor{}, err
	}
	return send[Auditor](ctx, c, "/auditors", nil, body)
}

// RemoveAuditor ends an auditor's time.
func (c *Client) RemoveAuditor(ctx context.Context, name string) (Auditor, error) {
	return send[Auditor](ctx, c, "/auditors/"+url.PathEscape(name)+"/remove", nil, nil)
}

// ExportLog writes the sealed log into a directory on the vault's host.
func (c *Client) ExportLog(ctx context.Context, q ExportQuery, progress settle.Progress) (Export, error) {
	query := url.Values{"dir": {q.Dir}}
	if !q.BodiesSince.IsZero() {
		query.Set("bodies-since", envelope.At(q.BodiesSince).String())
	}
	return follow[Export](ctx, c, "/log/export", query, progress)
}
