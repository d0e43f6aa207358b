package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Finding is an integrity finding.
type Finding struct {
	// the finding's name: how many there were before it, plus one
	Number uint64        `json:"number"`
	Kind   book.Finding  `json:"kind"`
	Time   envelope.Time `json:"time"`
	Actor  string        `json:"actor"` // who found it
	// from where: "bag:RELAY/RUN/NUMBER/INDEX", "socket", "timer", ...
	Origin string `json:"origin"`
	Count  uint64 `json:"count"` // how many of a kind it stands for
	Relay  string `json:"relay,omitempty"`
	Run    string `json:"run,omitempty"`
	Bag    uint64 `json:"bag,omitempty"` // number in the run
	// of bag-missing: the last that never came
	Through  uint64 `json:"through,omitempty"`
	Index    *int   `json:"index,omitempty"` // place among the bag's envelopes, where it is of one
	Merchant string `json:"merchant,omitempty"`
	Evidence string `json:"evidence,omitempty"` // hex digest of the note or file
	Detail   string `json:"detail,omitempty"`
	// index in the log; of one finding that is shown
	Entry        *int64                `json:"entry,omitempty"`
	Alarming     bool                  `json:"alarming"` // somebody has to look at it
	Acknowledged *book.Acknowledgement `json:"acknowledged,omitempty"`
}

// FindingQuery selects findings; zero members select all.
type FindingQuery struct {
	Kind   book.Finding
	Open   bool   // only those that nobody has acknowledged
	Before uint64 // with a lower number only
	Limit  int    // at most so many, 1 to MaxPage
}

// Acknowledging is a word about findings; what they were, the actor's purpose says.
type Acknowledging struct {
	From uint64 `json:"from"`
	// the findings of the range that wait for the word
	Through  uint64       `json:"through"`
	Kind     book.Finding `json:"kind,omitempty"` // of these, only this kind
	Withdraw bool         `json:"withdraw,omitempty"`
}

func (s *Server) findingRoutes(mux *http.ServeMux) {
	v := s.cfg.Vault
	mux.Handle("GET /findings", s.answer(func(c call) (any, error) {
		q, err := findingQuery(c.URL.Query())
		if err != nil {
			return nil, err
		}
		return v.Findings(c.Context(), q)
	}))
	mux.Handle("GET /findings/{number}", s.answer(func(c call) (any, error) {
		number, err := strconv.ParseUint(c.PathValue("number"), 10, 63)
		if err != nil || number == 0 {
			return nil, &Error{CodeUsage, "a finding is named by its number, 1 or more"}
		}
		return v.Finding(c.Context(), number)
	}))
	mux.Handle("POST /findings/acknowledge", s.answer(with("word about findings", func(c call, a Acknowledging) (any, error) {
		if a.From == 0 || a.Through < a.From {
			return nil, &Error{CodeUsage, "name a finding by its number, or some as FROM-THROUGH"}
		}
		if c.actor.Purpose == "" {
			return nil, &Error{CodeUsage, "a reason is needed: what it was, and what was done"}
		}
		return v.Acknowledge(c.Context(), c.actor, a)
	})))
}

func findingQuery(query url.Values) (q FindingQuery, err error) {
	q = FindingQuery{Kind: book.Finding(query.Get("kind")), Open: query.Get("open") == "true", Limit: MaxPage}
	if text := query.Get("before"); text != "" {
		if q.Before, err = strconv.ParseUint(text, 10, 63); err != nil || q.Before == 0 {
			return q, &Error{CodeUsage, "before is a finding's number, 1 or more"}
		}
	}
	if text := query.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > MaxPage {
			return q, &Error{CodeUsage, "limit is 1 to " + strconv.Itoa(MaxPage)}
		}
	}
	return q, nil
}

// Findings lists integrity findings, the newest first.
func (c *Client) Findings(ctx context.Context, q FindingQuery) ([]Finding, error) {
	return get[[]Finding](ctx, c, "/findings", url.Values{"limit": {strconv.Itoa(q.Limit)}, "kind": {string(q.Kind)},
		"open": {strconv.FormatBool(q.Open)}, "before": {given(q.Before)}})
}

// Finding shows one.
func (c *Client) Finding(ctx context.Context, number uint64) (Finding, error) {
	return get[Finding](ctx, c, "/findings/"+strconv.FormatUint(number, 10), nil)
}

// Acknowledge gives a person's word about findings, and returns those that it changed.
func (c *Client) Acknowledge(ctx context.Context, a Acknowledging) ([]Finding, error) {
	return sendJSON[[]Finding](ctx, c, "/findings/acknowledge", a)
}
