// Package calls is what operators may ask of the vault over its socket, a file a subject: each call
// is checked, answered from the ledger, or handed to those who work. Every call comes in through
// [Calls], and every failure has its kind from [KindOf]. It opens no ledger and starts nothing: the
// daemon does, and hands over what is open.
package calls

import (
	"context"
	"fmt"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/publisher"
	"nightdrop/vault/internal/settle"
)

// Daemon is the running daemon, as far as calls need it. Its methods may be called concurrently.
type Daemon interface {
	// State returns what the daemon knows without reading the ledger. It fails once the process
	// must end.
	State() (control.Status, error)
	// Parts returns those that calls work on, or [keyring.ErrLocked].
	Parts() (Parts, error)
	// Unlock, CheckShare and Lock are as in [control.Vault].
	Unlock(ctx context.Context, actor operator.Actor, shares control.Shares, o control.UnlockOptions) (control.Unlocked, error)
	CheckShare(ctx context.Context, shares control.Shares) (control.CheckedShare, error)
	Lock(ctx context.Context, actor operator.Actor) error
}

// Parts are what calls work on while the vault is unlocked.
type Parts struct {
	Ledger    *ledger.Ledger
	Engine    *settle.Engine
	Publisher *publisher.Publisher
}

// Keys is the key ring, as far as calls need it. No method gives a secret away but Signer, which
// signs as the vault.
type Keys interface {
	Name() string
	Verifier() note.Verifier
	Signer() *note.Signer
	Directory(now time.Time) []envelope.DirectoryKey
}

// Config has whose calls are answered.
type Config struct {
	Daemon Daemon
	Keys   Keys
	Dir    string // the vault's own directory, in which nothing is written for others
	Now    func() time.Time
}

// Calls answers operators. It implements [control.Vault].
type Calls struct{ config Config }

// New makes the calls of a vault.
func New(c Config) *Calls { return &Calls{c} }

// Unlock gives the custodians' shares to the daemon.
func (c *Calls) Unlock(ctx context.Context, actor operator.Actor, shares control.Shares, o control.UnlockOptions) (control.Unlocked, error) {
	return c.config.Daemon.Unlock(ctx, actor, shares, o)
}

// CheckShare has the daemon look at shares.
func (c *Calls) CheckShare(ctx context.Context, shares control.Shares) (control.CheckedShare, error) {
	return c.config.Daemon.CheckShare(ctx, shares)
}

// Lock has the daemon forget its keys.
func (c *Calls) Lock(ctx context.Context, actor operator.Actor) error {
	return c.config.Daemon.Lock(ctx, actor)
}

// using has the parts of an unlocked vault do something.
func using[T any](c *Calls, do func(p Parts) (T, error)) (out T, err error) {
	parts, err := c.config.Daemon.Parts()
	if err != nil {
		return out, err
	}
	return do(parts)
}

// view reads the ledger of an unlocked vault.
func view[T any](c *Calls, read func(tx *ledger.Tx) (T, error)) (T, error) {
	return using(c, func(p Parts) (out T, err error) {
		err = p.Ledger.View(func(tx *ledger.Tx) (err error) { out, err = read(tx); return err })
		return out, err
	})
}

// commit changes it, and returns what write returned when that is durable.
func commit[T any](ctx context.Context, c *Calls, write func(tx *ledger.Tx) (T, error)) (T, error) {
	return using(c, func(p Parts) (out T, err error) {
		err = p.Ledger.Commit(ctx, func(tx *ledger.Tx) (err error) { out, err = write(tx); return err })
		return out, err
	})
}

// notFound repeats a name only where it has the form of one: what people type by mistake may be a
// card number, and errors are logged.
func notFound(what, name string, valid bool) error {
	if !valid {
		name = "of that name"
	}
	return &control.Error{Code: control.CodeNotFound, Detail: fmt.Sprintf("there is no %s %s", what, name)}
}
