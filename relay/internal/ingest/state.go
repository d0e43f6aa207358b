package ingest

import (
	"errors"
	"fmt"
	"strings"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/channel"
	"nightdrop/shared/config"
)

// State is what the admin listener reports.
type State struct {
	OK       bool                  `json:"ok"`       // posts can be accepted, and answers come back
	Reasons  []string              `json:"reasons"`  // why not
	Warnings []string              `json:"warnings"` // what needs a hand before it stops anything
	Streams  []channel.StreamState `json:"streams"`  // as far as the relay may see them
	Shares   bagger.Shares         `json:"shares"`   // of ENVELOPES
}

// Ready returns nil when posts can be accepted and answered, else every reason why not.
func (e *Edge) Ready() error {
	var reasons []error
	if e.stopped.Load() {
		reasons = append(reasons, bagger.ErrClosed)
	}
	if e.config.Board.Directory() == nil {
		reasons = append(reasons, errors.New("no directory from the vault that has not expired"))
	} else if !e.config.Board.Listed() {
		reasons = append(reasons, fmt.Errorf("the vault's directory does not list this relay's key: "+
			"have the vault's operators add %s to relays in vault.toml and restart the vault", e.config.Signer.Verifier()))
	}
	if !e.config.Board.HasMembers() {
		reasons = append(reasons, errors.New("no members list from the vault that has not expired"))
	}
	for _, v := range e.certificates() {
		if v.Expired(e.config.Now()) {
			reasons = append(reasons, errors.New(v.Note(e.config.Now())))
		}
	}
	return errors.Join(append(reasons, e.config.Channel.Ready(), channel.ResultsFull(e.config.Channel.Streams()), e.config.Bags.Trouble())...)
}

func (e *Edge) certificates() []config.Validity {
	if e.config.Certificates == nil {
		return nil
	}
	return e.config.Certificates()
}

// warnOfCertificates lists certificates near their end, and what a reload refused.
func (e *Edge) warnOfCertificates() (warnings []string) {
	now := e.config.Now()
	for _, v := range e.certificates() {
		if v.Near(now) && !v.Expired(now) {
			warnings = append(warnings, v.Note(now))
		}
	}
	if e.config.Refused != nil {
		if refused := e.config.Refused(); refused != "" {
			warnings = append(warnings, refused)
		}
	}
	return warnings
}

// State returns the present state.
func (e *Edge) State() State {
	s := State{Reasons: []string{}, Warnings: []string{}, Streams: e.config.Channel.Streams(), Shares: e.config.Bags.Shares()}
	if s.Streams == nil {
		s.Streams = []channel.StreamState{}
	}
	if err := e.Ready(); err != nil {
		s.Reasons = strings.Split(err.Error(), "\n") // errors.Join puts each on a line
	}
	s.OK = len(s.Reasons) == 0
	for _, stream := range s.Streams {
		if stream.Nearly() {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s holds %d of %d bytes: enlarge it, or see what the vault waits for", stream.Name, stream.Bytes, stream.Limit))
		}
	}
	s.Warnings = append(s.Warnings, e.warnOfCertificates()...)
	if s.Shares.TooSmall != "" {
		s.Warnings = append(s.Warnings, s.Shares.TooSmall)
	}
	if s.Shares.Over > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d merchants have more in ENVELOPES than their own share of %d bytes, the most %s with %d: "+
			"the vault has not yet committed it", s.Shares.Over, s.Shares.Own, s.Shares.Merchants[0].Merchant, s.Shares.Merchants[0].Bytes))
	}
	return s
}
