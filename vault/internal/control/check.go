package control

import (
	"context"
	"net/http"

	"nightdrop/vault/internal/operator"
)

// Checked is what a full check of the ledger looked at. There is one only where everything held.
type Checked struct {
	Entries  int64   `json:"entries"` // of the log, folded again
	Payments uint64  `json:"payments"`
	Seconds  float64 `json:"seconds"`
}

func (s *Server) checkRoutes(mux *http.ServeMux) {
	mux.Handle("POST /check", s.stream(func(c call, progress operator.Progress) (any, error) {
		return s.cfg.Vault.Check(c.Context(), progress)
	}))
}

// Check has the whole ledger checked.
func (c *Client) Check(ctx context.Context, progress operator.Progress) (Checked, error) {
	return follow[Checked](ctx, c, "/check", nil, progress)
}
