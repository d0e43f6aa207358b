package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightdrop/vault/internal/journal"
	"nightdrop/vault/internal/ledger"
)

const (
	// journalReach is how long an unlock waits for the journal's place, to hold the ledger against it before anything is done. When it is
	// not to be had by then, the vault begins its work and sends nothing until it is.
	journalReach = 3 * time.Second
	// journalFlush is how long a stop waits for the last entries to get there; the next start sends what did not.
	journalFlush = 2 * time.Second
)

// secondPlace is the journal at work.
type secondPlace struct {
	*journal.Journal
	place journal.Place
	stop  context.CancelFunc
	ended chan struct{} // closed when it has stopped, for the reason err
	err   error
}

// openJournal begins to send the log to its second place, where there is one, and tells whether that place confirms that the ledger is the
// newest. It fails where the place shows that it is not.
func (h *house) openJournal(ctx context.Context, s settings) (confirmed bool, err error) {
	if text := s.Journal.warning(s.dir); text != "" {
		h.log.Warn("journal: " + text)
	}
	if s.Journal.Place == journalOff {
		return true, nil
	}
	var place journal.Place = journal.NewStream(h.channel)
	if s.Journal.Place == journalInDirectory {
		if place, err = journal.OpenDirectory(s.Journal.Directory, s.Journal.MaxBytes); err != nil {
			return false, err
		}
	}
	j := &secondPlace{place: place, ended: make(chan struct{}), stop: func() {},
		Journal: journal.New(journal.Config{Ledger: h.ledger, Place: place, Signer: h.ring.Signer(), Logger: h.log})}
	limited, cancel := context.WithTimeout(ctx, journalReach)
	defer cancel()
	err = j.Begin(limited)
	if err != nil && !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrForeign) {
		return false, errors.Join(err, place.Close())
	}
	if err != nil {
		h.log.Warn("the vault begins its work without its journal, and sends nothing until it is in order", "cause", err)
	}
	var run context.Context
	run, j.stop = context.WithCancel(context.Background())
	go func() {
		defer close(j.ended)
		j.err = j.Run(run)
	}()
	h.journal = j
	return err == nil, nil
}

// watchJournal returns when ctx ends, or with the reason why the journal says that the vault must stop.
func (h *house) watchJournal(ctx context.Context) error {
	if h.journal == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-h.journal.ended:
		return h.journal.err
	}
}

// flushJournal waits a while for the last entries to reach the journal: a vault at rest has its log in two places.
func (h *house) flushJournal() {
	if h.journal == nil {
		return
	}
	var size int64
	err := h.ledger.View(func(tx *ledger.Tx) (err error) {
		size, err = tx.TreeSize()
		return err
	})
	if err == nil {
		limited, cancel := context.WithTimeout(context.Background(), journalFlush)
		defer cancel()
		err = h.journal.Durable(limited, size)
	}
	if err != nil {
		h.log.Warn("the last entries of the log have not reached the journal; they will after the next unlock", "cause", err)
	}
}

// closeJournal ends the journal's work, if there is one.
func (h *house) closeJournal() error {
	if h.journal == nil {
		return nil
	}
	h.journal.stop()
	<-h.journal.ended
	return h.journal.place.Close()
}

// journalText says for the status where the log is, and how far.
func (h *house) journalText(s settings) string {
	warning := s.Journal.warning(s.dir)
	if h.journal == nil {
		return warning
	}
	state := h.journal.State()
	text := fmt.Sprintf("ready; %d entries, %d %% full", state.Size, state.Room.Percent())
	switch {
	case state.Err != nil:
		text = "nothing is sent to an acquirer: " + state.Err.Error()
	case state.Room.Scarce():
		text += ": when it is full its oldest entries go; make a backup, or give it more room"
	}
	if warning != "" {
		text += "; " + warning
	}
	return text
}
