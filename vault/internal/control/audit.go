package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/operator"
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

// ExportQuery is what an export holds.
type ExportQuery struct {
	Dir string // absolute, on the vault's host
	// entries before it go without their bodies, in whole bundles; zero for all bodies
	BodiesSince time.Time
	Again       bool // what an earlier export wrote is written again where it is not as it was
}

// Export is what `audit export` wrote.
type Export struct {
	Dir    string `json:"dir"`
	Size   int64  `json:"size"`             // entries
	Root   string `json:"root"`             // base64, as in the checkpoint
	Bodies int64  `json:"bodies,omitempty"` // index of the first entry with its body

	// who may read what comes; 0: nobody but the vault opens its entries
	Auditors int `json:"auditors"`
}

// UnknownPeer is the actor of a call whose caller the kernel did not name.
const UnknownPeer = "user:unknown"

func (s *Server) auditRoutes(mux *http.ServeMux) {
	v := s.cfg.Vault
	mux.Handle("GET /auditors", s.answer(func(c call) (any, error) { return v.Auditors(c.Context()) }))
	mux.Handle("POST /auditors", s.answer(with("auditor", func(c call, a NewAuditor) (any, error) { return v.AddAuditor(c.Context(), c.actor, a) })))
	mux.Handle("POST /auditors/{name}/remove", s.answer(func(c call) (any, error) {
		return v.RemoveAuditor(c.Context(), c.actor, c.PathValue("name"))
	}))
	mux.Handle("POST /log/export", s.stream(s.exportLog))
	s.openingRoutes(mux)
}

func (s *Server) exportLog(c call, p operator.Progress) (any, error) {
	query := c.URL.Query()
	q := ExportQuery{Dir: query.Get("dir"), Again: query.Get("again") == "true"}
	if err := checkPath(q.Dir); err != nil {
		return nil, err
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

// refused reports a call that was refused.
func (s *Server) refused(c call, code Code) {
	name := c.Pattern
	if name == checkPattern {
		name = unlockPattern
	}
	if s.cfg.Refused == nil || code != CodeLocked && code != CodeNotAllowed && name != unlockPattern {
		return
	}
	actor := operator.Actor{Name: c.actor.Name, Origin: c.actor.Origin}
	if actor.Name == "" {
		actor.Name = UnknownPeer
	}
	s.cfg.Refused(actor, name, code)
}

// Auditors lists all there ever were.
func (c *Client) Auditors(ctx context.Context) ([]Auditor, error) {
	return get[[]Auditor](ctx, c, "/auditors", nil)
}

// AddAuditor lets an auditor open the log from now on.
func (c *Client) AddAuditor(ctx context.Context, a NewAuditor) (Auditor, error) {
	return sendJSON[Auditor](ctx, c, "/auditors", a)
}

// RemoveAuditor ends an auditor's time.
func (c *Client) RemoveAuditor(ctx context.Context, name string) (Auditor, error) {
	return send[Auditor](ctx, c, "/auditors/"+url.PathEscape(name)+"/remove", nil, nil)
}

// ExportLog writes the sealed log into a directory on the vault's host.
func (c *Client) ExportLog(ctx context.Context, q ExportQuery, progress operator.Progress) (Export, error) {
	query := url.Values{"dir": {q.Dir}, "again": {strconv.FormatBool(q.Again)}}
	if !q.BodiesSince.IsZero() {
		query.Set("bodies-since", envelope.At(q.BodiesSince).String())
	}
	return follow[Export](ctx, c, "/log/export", query, progress)
}
