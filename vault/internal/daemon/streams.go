package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"nightdrop/shared/text"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/publisher"
	"nightdrop/vault/internal/settings"
)

// What the streams must hold, for their sizing (ops/docs/sizing.md derives the numbers).
const (
	day           = 24 * time.Hour
	bagsKept      = 7                // days that ENVELOPES holds a committed bag
	resultsOfOne  = 2                // results of a payment: approved, and settled
	envelopeBytes = 6_500            // of one in a bag, with three parts sealed by X-Wing
	journalBytes  = 2_500            // that one adds to JOURNAL from its arrival to its settlement
	journalKept   = 7                // days of JOURNAL between two backups, and some more
	pageOfResults = 100              // the least share: what a shop reads at once
	usable        = 75               // percent of a stream, above which the vault purges
	measurable    = time.Hour        // of bags, before their rate says something
	sizesAfter    = 30 * time.Second // after the unlock, when the channel has been checked
)

// load is what the channel is sized for, a day.
type load struct {
	results   float64
	envelopes float64 // bytes
	merchants int
}

// streams returns how full the channel's streams are, and what is wrong with them.
func (u *unlocked) streams() []control.Stream {
	shares, bags := u.publisher.Shares(), u.intake.Envelopes()
	l := load{results: shares.PerDay, merchants: shares.Merchants}
	if age := u.config.Now().Sub(bags.Oldest); !bags.Oldest.IsZero() && age > measurable {
		l.envelopes = float64(bags.Room.Bytes) / age.Hours() * 24
	}
	if n := float64(u.config.Settings.Limits.PaymentsPerDay); n > 0 {
		l.results, l.envelopes = max(l.results, n*resultsOfOne), max(l.envelopes, n*envelopeBytes)
	}
	envelopes := control.Stream{Name: "ENVELOPES", Bytes: bags.Room.Bytes, MaxBytes: bags.Room.MaxBytes,
		Messages: bags.Room.Messages}
	if !bags.Oldest.IsZero() {
		envelopes.Since = bags.Oldest.UTC().Format(time.RFC3339)
	}
	results := control.Stream{Name: "RESULTS", Bytes: shares.Room.Bytes, MaxBytes: shares.Room.MaxBytes,
		Messages: shares.Room.Messages}
	envelopes.Notes = noteEnvelopes(l, envelopes, bags.Error, bags.Held, bags.Purged)
	results.Notes = noteResults(l, results, shares)
	all := []control.Stream{envelopes, results}
	if one := u.journal.on(settings.OnChannel); one != nil {
		room := one.State().Room
		journal := control.Stream{Name: "JOURNAL", Bytes: room.Used, MaxBytes: room.Limit}
		if n := float64(u.config.Settings.Limits.PaymentsPerDay); n > 0 {
			journal.Notes = noteSize(journal, n*journalBytes*journalKept,
				fmt.Sprintf("%d days at %.0f payments a day", journalKept, n))
		}
		all = append(all, journal)
	}
	return all
}

// noteSize warns of a stream that is too small for what it should hold.
func noteSize(s control.Stream, bytes float64, what string) []string {
	needed := bytes * 100 / usable
	if s.MaxBytes <= 0 || needed <= float64(s.MaxBytes) {
		return nil
	}
	return []string{fmt.Sprintf("too small for %s: give it %s at the relay", what, text.Size(int64(needed)))}
}

func noteEnvelopes(l load, s control.Stream, err error, held, purged uint64) []string {
	if err != nil {
		return []string{"not seen: " + err.Error()}
	}
	notes := noteSize(s, l.envelopes*bagsKept,
		fmt.Sprintf("%d days of bags at %s a day", bagsKept, text.Size(int64(l.envelopes))))
	if purged > 0 {
		notes = append(notes,
			fmt.Sprintf("%d committed bags went before their week was over: a standby finds them no more", purged))
	}
	if held > 0 {
		notes = append(notes,
			fmt.Sprintf("over three quarters full, and bag %d has to stay: settle what waits, or enlarge the stream", held))
	}
	return notes
}

func noteResults(l load, s control.Stream, known publisher.Shares) []string {
	if known.Error != nil {
		return []string{"not seen, so merchants have no shares of it; an external broker needs this version's configuration: " + known.Error.Error()}
	}
	days := int(publisher.ResultsKept / day)
	notes := noteSize(s, l.results*publisher.ResultBytes*float64(days),
		fmt.Sprintf("%d days at %.0f results a day", days, l.results))
	if lost := known.Lost; !lost.At.IsZero() {
		notes = append(notes, fmt.Sprintf("lost results since the unlock, %d of them, the last of %d merchants at %s: they are published again; see to the relay's disk",
			lost.Results, lost.Merchants, lost.At.UTC().Format(time.RFC3339)))
	}
	if wait := known.Lost.Waiting; !wait.IsZero() {
		notes = append(notes, "lacks more results of merchants who had theirs published again within a day: they follow after "+
			wait.UTC().Format(time.RFC3339))
	}
	if known.Share > 0 && known.Share < pageOfResults {
		notes = append(notes, noteSize(s, float64(l.merchants)*pageOfResults*publisher.ResultBytes,
			fmt.Sprintf("%d merchants: the share of each is %d results", l.merchants, known.Share))...)
	}
	return notes
}

// shares returns how RESULTS is shared.
func (u *unlocked) shares() *control.ResultShares {
	known := u.publisher.Shares()
	return &control.ResultShares{Results: known.Share, Over: holdings(known.Over), Purged: holdings(known.Purged)}
}

func holdings(list []publisher.Holding) (all []control.Holding) {
	for _, l := range list {
		all = append(all, control.Holding(l))
	}
	return all
}

// logSizes logs once, soon after the start, which streams are too small for what they must hold.
func (u *unlocked) logSizes() func(context.Context) error {
	return func(ctx context.Context) error {
		ticker := time.NewTicker(sizesAfter)
		defer ticker.Stop()
		for u.publisher.Shares().Asked.IsZero() || u.intake.Envelopes().Asked.IsZero() {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
			}
		}
		for _, stream := range u.streams() {
			if len(stream.Notes) > 0 {
				u.config.Logger.Warn("a stream of the channel", "stream", stream.Name, "holds", text.Size(stream.MaxBytes), "notes",
					strings.Join(stream.Notes, "; "))
			}
		}
		return nil
	}
}
