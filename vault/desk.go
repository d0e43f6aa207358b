package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// Status tells what the vault is doing, as far as a locked one can.
func (d *daemon) Status(context.Context) (control.Status, error) {
	if err := d.failure.reason(); err != nil {
		return control.Status{}, err
	}
	s := control.Status{Vault: d.ring.Name(), Verifier: d.ring.Verifier().String(), Version: version, Started: d.started, Locked: true}
	s.Threshold, s.Shares = d.ring.Threshold()
	s.Certificates, s.Remains = d.settings.CertificateNotes(d.now()), d.remains
	d.disk.renew()
	s.Disks = d.disk.disks()
	h, err := d.open()
	if errors.Is(err, keyring.ErrLocked) {
		s.Rebuilding = d.rebuilding.Load()
		return s, nil
	}
	s.Locked = false
	s.Clock, s.Channel, s.Acquirer = clockText(d.ring), "connected", "ready"
	if !h.channel.Connected() {
		s.Channel = "not connected; it is tried again and again"
	}
	if err := h.acquirer.Ready(); err != nil {
		s.Acquirer = err.Error()
	} else {
		tellSilence(&s, h.engine)
	}
	s.Journal, s.Journals = h.journalText(d.settings), h.journalPlaces()
	s.Streams, s.ResultShares = h.streams(d.settings), h.shares()
	if s.Outbox, err = d.settings.Bank.Waiting(); err != nil {
		return s, err
	}
	return s, h.ledger.View(func(tx *ledger.Tx) error { return fillStatus(tx, &s) })
}

func fillStatus(tx *ledger.Tx, s *control.Status) error {
	v, err := tx.Vault()
	if err != nil {
		return err
	}
	s.Generation, s.Findings, s.Working = v.Generation, v.Findings, map[book.Stage]int{}
	s.OpenFindings = v.OpenFindings()
	if s.LogSize, err = tx.TreeSize(); err != nil {
		return err
	}
	s.Open = map[book.Method]int{}
	err = tx.Merchants(func(m book.Merchant) error {
		s.Merchants++
		for _, method := range methods {
			if m.Open(method) != 0 {
				s.Open[method]++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, stage := range book.Working {
		err := tx.Payments(ledger.Query{Stage: stage, Limit: control.MaxCounted}, func(p book.Payment) error {
			s.Working[stage]++
			repeated(s, p)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// methods are how money moves.
var methods = [...]book.Method{book.MethodCard, book.MethodBank}

// view reads the ledger of an unlocked vault.
func view[T any](d *daemon, read func(tx *ledger.Tx) (T, error)) (out T, err error) {
	h, err := d.open()
	if err != nil {
		return out, err
	}
	err = h.ledger.View(func(tx *ledger.Tx) error {
		out, err = read(tx)
		return err
	})
	return out, err
}

// notFound repeats a name only where it has the form of one: what people type by mistake may be a card number, and errors are logged.
func notFound(what, name string, valid bool) error {
	if !valid {
		name = "of that name"
	}
	return &control.Error{Code: control.CodeNotFound, Detail: fmt.Sprintf("there is no %s %s", what, name)}
}

// firstDirectory is how long after an unlock a call waits for the directory that is issued then.
const firstDirectory = 10 * time.Second

// Directory shows the newest directory.
func (d *daemon) Directory(ctx context.Context) (control.Directory, error) {
	h, err := d.open()
	if err != nil {
		return control.Directory{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, firstDirectory)
	defer cancel()
	note := h.outbox.Newest(channel.NoticeDirectory)
	for ; note == nil; note = h.outbox.Newest(channel.NoticeDirectory) {
		select {
		case <-ctx.Done():
			return control.Directory{}, &control.Error{Code: control.CodeUnavailable, Detail: "no directory has been issued since the unlock: look at the vault's log"}
		case <-time.After(10 * time.Millisecond):
		}
	}
	signed, err := envelope.Open[envelope.Directory](note, d.ring.Verifier())
	if err != nil {
		return control.Directory{}, err
	}
	return control.Directory{Note: string(note), Digest: signed.Digest, Directory: signed.Value}, nil
}

// PublishDirectory issues a directory now.
func (d *daemon) PublishDirectory(ctx context.Context, actor operator.Actor) (control.Directory, error) {
	h, err := d.open()
	if err != nil {
		return control.Directory{}, err
	}
	if _, err := h.outbox.IssueDirectory(ctx, actor.Name, actor.Origin, actor.Purpose); err != nil {
		return control.Directory{}, err
	}
	return d.Directory(ctx)
}

// Keys lists the sealing keys that live.
func (d *daemon) Keys(context.Context) ([]control.Key, error) {
	if _, err := d.open(); err != nil {
		return nil, err
	}
	now := d.now()
	keys := []control.Key{}
	for _, k := range d.ring.Directory(now) {
		state := "current"
		switch {
		case now.Before(k.From.Time):
			state = "ahead"
		case !now.Before(k.Until.Time):
			state = "accepting"
		}
		keys = append(keys, control.Key{Name: k.Name, Suite: k.Suite, From: k.From, Until: k.Until, Dies: k.Dies, State: state})
	}
	return keys, nil
}
