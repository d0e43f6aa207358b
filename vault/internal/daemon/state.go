package daemon

import (
	"errors"
	"fmt"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/settle"
)

// State returns what the daemon knows without reading the ledger. It fails once the process must
// end.
func (d *Daemon) State() (control.Status, error) {
	if err := d.failure.reason(); err != nil {
		return control.Status{}, err
	}
	s := control.Status{Vault: d.ring.Name(), Verifier: d.ring.Verifier().String(), Version: d.config.Version, Started: d.started, Locked: true}
	s.Threshold, s.Shares = d.ring.Threshold()
	s.Certificates, s.Remains = d.config.Settings.CertificateNotes(d.config.Now()), d.remains
	d.disk.renew()
	s.Disks = d.disk.disks()
	u, err := d.current()
	if errors.Is(err, keyring.ErrLocked) {
		s.Rebuilding = d.rebuilding.Load()
		return s, nil
	}
	s.Locked = false
	s.Clock, s.Channel, s.Acquirer = clockText(d.ring), "connected", "ready"
	s.Ready = &control.Ready{Clock: s.Clock == string(keyring.ClockSteady), Channel: u.channel.Connected(), Acquirer: true, Journal: u.journalReady()}
	if !s.Ready.Channel {
		s.Channel = "not connected; it is tried again and again"
	}
	if err := u.acquirer.Ready(); err != nil {
		s.Acquirer, s.Ready.Acquirer = err.Error(), false
	} else {
		showSilence(&s, u.engine)
	}
	s.Journal, s.Journals = u.journalText(), u.journalPlaces()
	s.Streams, s.ResultShares = u.streams(), u.shares()
	s.Outbox, err = d.config.Settings.Bank.Waiting()
	return s, err
}

// clockText returns what state the trusted clock is in and what to do about it.
func clockText(ring *keyring.Ring) string {
	status := ring.Clock()
	switch status.Clock {
	case keyring.ClockJumped:
		return fmt.Sprintf("jumped ahead by %s: no key is destroyed until custodians confirm it (unlock --confirm-clock)", status.Jump.Round(time.Second))
	case keyring.ClockBehind:
		return fmt.Sprintf("behind by %s: correct it, or custodians confirm it (unlock --confirm-clock)", status.Jump.Abs().Round(time.Second))
	case keyring.ClockSteady:
	}
	return string(keyring.ClockSteady)
}

// showSilence shows in a status that the acquirer's host is silent, where it is.
func showSilence(s *control.Status, e *settle.Engine) {
	since, messages := e.Silent()
	if since.IsZero() {
		return
	}
	s.Ready.Acquirer = false
	s.HostSilent = &control.Silence{Since: envelope.At(since), Messages: messages}
	s.Acquirer = fmt.Sprintf("silent since %s: it takes messages and answers none; new authorisations wait until it "+
		"answers one that is repeated", since.UTC().Format(time.RFC3339))
}
