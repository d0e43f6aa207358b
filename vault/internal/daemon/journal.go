package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/journal"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/settings"
)

const (
	// journalReach is how long an unlock waits for a journal's place, to hold the ledger against it
	// before anything is done. When it is not to be had by then, the vault begins its work and
	// takes and sends nothing until it is.
	journalReach = 3 * time.Second
	// journalFlush is how long a stop waits for the last entries to get there; the next start sends
	// what did not.
	journalFlush = 2 * time.Second
)

// secondPlace is a journal at work.
type secondPlace struct {
	*journal.Journal
	place journal.Place
	stop  context.CancelFunc
	ended chan struct{} // closed when it has stopped, for the reason err
	err   error
}

// secondPlaces are the journals of all places. Something is in the journal when it is in each of
// them.
type secondPlaces struct {
	all []*secondPlace
	// trusted is closed when each shows that the ledger is the newest, and what hangs on that is
	// done.
	trusted  chan struct{}
	unproven error // what intake says until then
}

// openJournal begins to send the log to its second places. It fails where one shows that the ledger
// is not the newest.
func (u *unlocked) openJournal(ctx context.Context) error {
	if text := u.config.Settings.Journal.Warning(u.config.Settings.Dir); text != "" {
		u.config.Logger.Warn("journal: " + text)
	}
	names := u.config.Settings.Journal.Places()
	if len(names) == 0 {
		return nil
	}
	places := &secondPlaces{trusted: make(chan struct{}), unproven: errors.New("bags wait in the channel until the journal shows that " +
		"the ledger is the newest: an older one would answer them anew, and destroy keys of stored accounts that are in use")}
	u.journal = places // so that release closes what is open
	known := u.ledger.Journalled()
	strange := len(known) > 0 && !slices.ContainsFunc(names, func(name string) bool { _, is := known[name]; return is })
	for _, name := range names {
		place, err := u.openPlace(name)
		if err != nil {
			return err
		}
		one := &secondPlace{place: place, ended: make(chan struct{}), stop: func() {},
			Journal: journal.New(journal.Config{Ledger: u.ledger, Place: place, Name: name, Strange: strange, Tell: u.logJournal,
				Signer: u.ring.Signer(), Logger: u.config.Logger})}
		close(one.ended)
		places.all = append(places.all, one)
	}
	for _, one := range places.all {
		if err := one.begin(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

func (u *unlocked) openPlace(name string) (journal.Place, error) {
	if name == settings.InDirectory {
		return journal.OpenDirectory(u.config.Settings.Journal.Directory, u.config.Settings.Journal.MaxBytes)
	}
	return journal.NewStream(u.channel), nil
}

// logJournal commits a finding about a place.
func (u *unlocked) logJournal(ctx context.Context, f book.IntegrityFound) error {
	return u.commit(ctx, book.Event{Actor: "vault", Origin: "journal", Body: f})
}

// begin compares the place with the ledger, as long as that may take, and sets the journal to work.
func (p *secondPlace) begin(ctx context.Context, u *unlocked) error {
	limited, cancel := context.WithTimeout(ctx, journalReach)
	defer cancel()
	err := p.Begin(limited)
	if err != nil && !errors.Is(err, journal.ErrUnavailable) && !errors.Is(err, journal.ErrForeign) && !errors.Is(err, journal.ErrDoubted) {
		return err
	}
	if err != nil {
		u.config.Logger.Warn("the vault begins its work without its journal; it takes and sends nothing until it is in order", "place", p.State().Place, "error", err)
	}
	var run context.Context
	run, p.stop = context.WithCancel(context.Background())
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		p.err = p.Run(run)
	}()
	return nil
}

// Ready implements settle.Journal.
func (p *secondPlaces) Ready() error {
	for _, one := range p.all {
		if err := one.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// Durable implements settle.Journal.
func (p *secondPlaces) Durable(ctx context.Context, size int64) error {
	for _, one := range p.all {
		if err := one.Durable(ctx, size); err != nil {
			return err
		}
	}
	return nil
}

// proved reports whether a place showed that the ledger is the newest; one that the ledger does not
// know shows nothing.
func (p *secondPlaces) proved() bool {
	return p != nil && slices.ContainsFunc(p.all, func(one *secondPlace) bool { return one.State().Proved })
}

// trustLedger waits until every place shows that the ledger is the newest, or custodians say so,
// and does then what hangs on it: keys of stored accounts that no record uses are destroyed, and
// intake takes bags. used are the slots of those that are.
func (u *unlocked) trustLedger(used []uint32) func(context.Context) error {
	return func(ctx context.Context) error {
		if u.journal == nil {
			return nil
		}
		for _, one := range u.journal.all {
			select {
			case <-ctx.Done():
				return nil
			case <-one.Believed():
			}
		}
		if err := u.ring.KeepStored(used); err != nil {
			return err
		}
		close(u.journal.trusted)
		return nil
	}
}

// mayTake is nil while bags may be taken, and says else what they wait for.
func (u *unlocked) mayTake() error {
	if err := u.waitsForJournal(); err != nil {
		return err
	}
	return u.disk.fresh()
}

// waitsForJournal reports that bags wait for the journal, where they do.
func (u *unlocked) waitsForJournal() error {
	if u.journal == nil {
		return nil
	}
	select {
	case <-u.journal.trusted:
		return nil
	default:
		return u.journal.unproven
	}
}

// confirmLedger takes the custodians' word, by shares that were checked, that the ledger is the
// newest, for every place that lacks what was journalled there. It reports whether there was any.
func (u *unlocked) confirmLedger(ctx context.Context, actor operator.Actor, shares []int) (confirmed bool, err error) {
	if u.journal == nil {
		return false, nil
	}
	for _, one := range u.journal.all {
		err := one.Confirm(func(lack string) error {
			detail := fmt.Sprintf("%s by shares %v: %s", envelope.At(u.config.Now()).Format(time.RFC3339), shares, lack)
			return u.commit(ctx, actor.Event("", book.IntegrityFound{Finding: book.FindingLedgerConfirmed, Detail: detail}))
		})
		if err != nil && !errors.Is(err, journal.ErrNotDoubted) {
			return confirmed, err
		}
		confirmed = confirmed || err == nil
	}
	return confirmed, nil
}

// watchJournal returns when ctx ends, or with the reason why a journal says that the vault must
// stop.
func (u *unlocked) watchJournal(ctx context.Context) error {
	if u.journal == nil {
		return nil
	}
	ended := make(chan error, len(u.journal.all))
	for _, one := range u.journal.all {
		go func() {
			select {
			case <-ctx.Done():
			case <-one.ended:
				ended <- one.err
			}
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// flushJournal waits a while for the last entries to reach the journal: a vault at rest has its log
// in every place.
func (u *unlocked) flushJournal() {
	if u.journal == nil {
		return
	}
	var size int64
	err := u.ledger.View(func(tx *ledger.Tx) (err error) {
		size, err = tx.TreeSize()
		return err
	})
	if err == nil {
		limited, cancel := context.WithTimeout(context.Background(), journalFlush)
		defer cancel()
		err = u.journal.Durable(limited, size)
	}
	if err != nil {
		u.config.Logger.Warn("the last entries of the log have not reached the journal; they will after the next unlock", "error", err)
	}
}

// closeJournal ends the journals' work, if there are any.
func (u *unlocked) closeJournal() error {
	if u.journal == nil {
		return nil
	}
	var all []error
	for _, one := range u.journal.all {
		one.stop()
		<-one.ended
		all = append(all, one.place.Close())
	}
	return errors.Join(all...)
}

// journalReady reports whether no journal keeps requests or bags waiting.
func (u *unlocked) journalReady() bool {
	return u.journal == nil || u.journal.Ready() == nil && u.waitsForJournal() == nil
}

// journalText describes for the status where the log is, and how far.
func (u *unlocked) journalText() string {
	var parts []string
	if u.journal != nil {
		if err := u.journal.Ready(); err != nil {
			parts = append(parts, "nothing is sent to an acquirer: "+err.Error())
		} else {
			parts = append(parts, "ready")
		}
		if err := u.waitsForJournal(); err != nil {
			parts = append(parts, err.Error())
		}
	}
	if warning := u.config.Settings.Journal.Warning(u.config.Settings.Dir); warning != "" {
		parts = append(parts, warning)
	}
	return strings.Join(parts, "; ")
}

// journalPlaces returns what each place holds.
func (u *unlocked) journalPlaces() (all []control.JournalPlace) {
	if u.journal == nil {
		return nil
	}
	for _, one := range u.journal.all {
		state := one.State()
		shown := control.JournalPlace{Place: state.Place, Entries: state.Size, First: state.First, Read: state.Read, Percent: state.Room.Percent()}
		if state.Err != nil {
			shown.Problem = state.Err.Error()
		} else if state.Room.Scarce() {
			shown.Problem = "when it is full its oldest entries go; make a backup, or give it more room"
		}
		all = append(all, shown)
	}
	return all
}

// on is the journal in a place; nil where there is none.
func (p *secondPlaces) on(name string) *secondPlace {
	if p == nil {
		return nil
	}
	for _, one := range p.all {
		if one.State().Place == name {
			return one
		}
	}
	return nil
}
