package storefront

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"nightdrop/shared/note"
)

// ErrUnreached is returned when the relay was not reached and [Config].Unreached is set, but what
// is kept here is not enough.
var ErrUnreached = errors.New("the relay was not reached, and what is kept here is not enough")

// awayTime is how long an unreached relay is not asked again.
const awayTime = time.Minute

// keys returns the vault's keys for results and checkpoints: the directory's. alone: the relay was
// not reached, and they are of this client's last directory, or the pinned key.
func (c *Client) keys(ctx context.Context) (signers []note.Verifier, alone bool, err error) {
	c.mu.Lock()
	away := !c.away.IsZero() && c.now().Before(c.away.Add(awayTime))
	c.mu.Unlock()
	if away {
		return c.pin.Signers(), true, nil
	}
	directory, err := c.Directory(ctx)
	if c.goesOn(err) {
		return c.pin.Signers(), true, nil
	}
	return directory.Value.Signers, false, err
}

// goesOn reports whether err means that the relay was not reached and this client goes on without
// it. A relay whose answer does not verify was reached.
func (c *Client) goesOn(err error) bool {
	_, failed := errors.AsType[*url.Error](err)
	refused, wasRefused := errors.AsType[*Refused](err)
	down := failed || wasRefused && refused.Temporary()
	if c.unreached == nil || !down || errors.Is(err, ErrUnverified) || errors.Is(err, context.Canceled) {
		return false
	}
	c.mu.Lock()
	first := c.away.IsZero()
	c.away = c.now()
	c.mu.Unlock()
	if first {
		c.unreached(err)
	}
	return true
}

// lacking returns [ErrUnreached] for a signature by a key that only the relay could have named.
// what is for people.
func lacking(what string, alone bool, err error) error {
	if !alone || !errors.Is(err, note.ErrUnknownKey) {
		return err
	}
	return fmt.Errorf("%w: %s is signed by another key than the pinned one, and only the relay can say whether it is the vault's: run this again when the relay is "+
		"reached, or pin the vault's newer key", ErrUnreached, what)
}

// known returns the keys that check what was kept here: those that count now, and the pinned one
// even if a directory no longer lists it. What is signed by a former key cannot be checked here and
// was, when it was kept ([proof.History.VerifyKept]).
func (c *Client) known() []note.Verifier {
	keys := c.pin.Signers()
	if !slices.Contains(keys, c.vault) {
		keys = append(keys, c.vault)
	}
	return keys
}
