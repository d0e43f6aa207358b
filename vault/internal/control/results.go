package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"nightdrop/vault/internal/operator"
)

// ResendQuery names results of a merchant.
type ResendQuery struct {
	Merchant string
	From     uint64 // serial of the first; 0 is the oldest of the last 30 days
	Count    int    // at most so many; 0 is as many as fit
}

// Resent is which results were published again.
type Resent struct {
	Merchant string `json:"merchant"`
	From     uint64 `json:"from"`    // serial of the first
	Through  uint64 `json:"through"` // serial of the last
	// serial of the oldest result of the last 30 days: none before it is published again
	Oldest uint64 `json:"oldest"`
	Last   uint64 `json:"last"` // serial of the merchant's newest result
	// serial to go on from once the shop has read these; 0 where nothing that was asked for is left
	Next uint64 `json:"next"`
}

func (s *Server) resend(c call, progress operator.Progress) (any, error) {
	query := c.URL.Query()
	q := ResendQuery{Merchant: c.PathValue("merchant")}
	var err error
	if text := query.Get("from"); text != "" {
		if q.From, err = strconv.ParseUint(text, 10, 63); err != nil || q.From == 0 {
			return nil, &Error{CodeUsage, "from is a result's serial, 1 or more"}
		}
	}
	if text := query.Get("count"); text != "" {
		if q.Count, err = strconv.Atoi(text); err != nil || q.Count < 1 {
			return nil, &Error{CodeUsage, "count is a number of results, 1 or more"}
		}
	}
	return s.cfg.Vault.ResendResults(c.Context(), c.actor, q, progress)
}

func (s *Server) resultRoutes(mux *http.ServeMux) {
	mux.Handle("POST /results/{merchant}/resend", s.stream(s.resend))
}

// ResendResults has results of a merchant published again.
func (c *Client) ResendResults(ctx context.Context, q ResendQuery, progress operator.Progress) (Resent, error) {
	return follow[Resent](ctx, c, "/results/"+url.PathEscape(q.Merchant)+"/resend",
		url.Values{"from": {given(q.From)}, "count": {given(q.Count)}}, progress)
}
