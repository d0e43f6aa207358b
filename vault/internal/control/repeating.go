package control

import (
	"context"

	"nightdrop/shared/envelope"
)

// Kinds of messages that are repeated until they are answered.
const (
	RepeatCaptures  = "captures"
	RepeatReversals = "reversals" // of payments whose outcome is unknown
	RepeatVoids     = "voids"     // reversals of payments that are being voided
)

// Repeating reports the messages of a kind that are being repeated.
type Repeating struct {
	Payments int `json:"payments"` // counted to MaxCounted
	// when the first of them was first sent, or sent again by a person; or is to be
	Oldest envelope.Time `json:"oldest"`
}

// Silence is an acquirer's host that takes messages and answers none: no new authorisation is sent
// meanwhile.
type Silence struct {
	Since    envelope.Time `json:"since"`
	Messages int           `json:"messages"` // in a row without an answer, since the start
}

// Resend names what is to be sent again: one manual payment, or all.
type Resend struct {
	Merchant string `json:"merchant,omitempty"` // of the payment; with All, only this merchant's
	ID       string `json:"id,omitempty"`
	All      bool   `json:"all,omitempty"`
}

// PaymentsResent is how many are being sent again.
type PaymentsResent struct {
	Resent int `json:"resent"`
}

// Resend has what is manual be sent again.
func (c *Client) Resend(ctx context.Context, r Resend) (PaymentsResent, error) {
	return sendJSON[PaymentsResent](ctx, c, "/payments/resend", r)
}

func (s *Server) resendPayments(c call, r Resend) (any, error) {
	if r.All == (r.ID != "") || r.ID != "" && r.Merchant == "" {
		return nil, &Error{CodeUsage, "name one payment, or all"}
	}
	return s.cfg.Vault.Resend(c.Context(), c.actor, r)
}
