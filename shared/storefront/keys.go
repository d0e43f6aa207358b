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

// ErrUnreached is returned when the relay was not reached, Config.Unreached lets work go on without
// it, and what is here does not do.
var ErrUnreached = errors.New("the relay was not reached, and what is here is not enough")

// awayTime is how long a relay that was not reached is not asked again by what goes on without it.
const awayTime = time.Minute

// keys returns the vault's keys whose results and checkpoints count: the directory's. Alone: the
// relay was not reached, and these are the keys that the last directory of this client named,
// before the first one the pinned key.
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

// goesOn reports whether err is that the relay was not reached and this client goes on without it.
// A relay that answers with what does not verify was reached.
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

// lacking makes ErrUnreached of a signature by a key that only the relay could have named. What was
// signed is for people.
func lacking(what string, alone bool, err error) error {
	if !alone || !errors.Is(err, note.ErrUnknownKey) {
		return err
	}
	return fmt.Errorf("%w: %s is signed by another key than the pinned one, and only the relay tells whether it is the vault's: run this again when the relay is "+
		"reached, or pin the vault's newer key", ErrUnreached, what)
}

// known returns the keys by which what was kept here is checked: those that count now, and the
// pinned one even where a directory no longer lists it. What the vault signed with a key that it
// gave up cannot be checked here and was, when it was kept (proof.History.VerifyKept).
func (c *Client) known() []note.Verifier {
	keys := c.pin.Signers()
	if !slices.Contains(keys, c.vault) {
		keys = append(keys, c.vault)
	}
	return keys
}
