package publisher

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// ResultsKept is how long RESULTS holds a result (specification 8).
const ResultsKept = 30 * 24 * time.Hour

// ResultBytes is a result's largest size in RESULTS: 4,096 bytes sealed by X-Wing, in base64, with
// the note, the subject, and the broker's own bytes (measured: 7.6 KB; 6.1 KB by X25519).
const ResultBytes = 8 << 10

// Limits of the shares, with their reasons.
const (
	// percent of RESULTS from which merchants over their share lose their oldest results; the rest
	// is for bursts
	pressure = 75
	// one in so many of a merchant's results is purged at a time: single purges would cost a file
	// each
	purgedPart = 8
	roomEvery  = 10 * time.Second // at most, between two checks how full RESULTS is
	roomPart   = 16               // a check each time that one in so many bytes of it was published
	// between two counts of merchants' results: one reads some twenty records a merchant
	recountWait = time.Hour
	listWait    = time.Minute // between two counts of the merchants
	// the same, where the stream is full and nobody is over its share by the counts
	discardWait = time.Minute
	logEvery    = time.Hour // between two log lines about one merchant
)

// Shares is how RESULTS is shared.
type Shares struct {
	Room      channel.Room // of RESULTS: the broker's hint, when it was last asked
	Asked     time.Time    // when; zero before the first answer
	Error     error        // of the last check; nil where it succeeded
	Merchants int          // that share it; 0 before they were counted
	PerDay    float64      // results a day, of the last seven days
	// results that each merchant may have while RESULTS is over three quarters full; 0 before the
	// first answer
	Share uint64
	// merchants that were over their share when RESULTS was last so full, the largest first; at
	// most 100
	Over   []Holding
	Purged []Holding // results purged since the vault was unlocked, the most first; at most 100
	Lost   Lost      // what RESULTS lost since then
}

// Holding is a merchant and a number of its results.
type Holding struct {
	Merchant string `json:"merchant"`
	Results  uint64 `json:"results"`
}

// maxHoldings bounds the lists of Shares.
const maxHoldings = 100

// shares is what is known of RESULTS. The broker's answers are hints: with a lie it can at worst
// make a merchant over its share lose results, which it could do anyway.
type shares struct {
	check chan struct{} // makes keepRoom check now
	freed chan struct{} // signals sendResults that there is room again

	mu          sync.Mutex
	room        channel.Room
	asked       time.Time
	err         error
	merchants   int
	week        uint64    // results of the last seven days
	listed      time.Time // when merchants were counted
	weekCounted time.Time // when week was
	// by merchant, at most so many are there; nil before the first count
	held      map[string]uint64
	counted   time.Time
	discarded time.Time // when the counts were last thrown away
	purged    map[string]uint64
	reported  map[string]time.Time
	published int64 // bytes since the last check
}

func newShares() *shares {
	return &shares{check: make(chan struct{}, 1), freed: make(chan struct{}, 1), purged: map[string]uint64{}, reported: map[string]time.Time{}}
}

// share returns how many results each merchant may have while RESULTS is full: an equal part of
// what may be used, or 0 while that is unknown.
func (s *shares) share() uint64 {
	if s.room.MaxBytes <= 0 || s.merchants == 0 {
		return 0
	}
	return max(1, uint64(s.room.MaxBytes/100*pressure/ResultBytes)/uint64(s.merchants))
}

// Shares returns how RESULTS is shared.
func (o *Publisher) Shares() Shares {
	s := o.shares
	s.mu.Lock()
	defer s.mu.Unlock()
	known := Shares{Merchants: s.merchants, PerDay: float64(s.week) / 7, Room: s.room, Asked: s.asked, Error: s.err, Share: s.share(), Purged: largest(s.purged, 0),
		Lost: o.losses.total()}
	if s.room.Full(pressure) {
		known.Over = largest(s.held, known.Share)
	}
	return known
}

// largest lists the numbers above a bound, largest first.
func largest(numbers map[string]uint64, above uint64) (list []Holding) {
	for merchant, n := range numbers {
		if n > above {
			list = append(list, Holding{merchant, n})
		}
	}
	slices.SortFunc(list, func(a, b Holding) int {
		return cmp.Or(cmp.Compare(b.Results, a.Results), strings.Compare(a.Merchant, b.Merchant))
	})
	return list[:min(len(list), maxHoldings)]
}

// sent counts a durable result, and makes keepRoom check when many bytes were sent since the last
// check.
func (s *shares) sent(r ledger.Ready) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		s.held[r.Merchant]++
	}
	if s.published += ResultBytes; s.room.MaxBytes > 0 && s.published >= s.room.MaxBytes/roomPart {
		s.published = 0
		notify(s.check)
	}
}

// notify sends on a channel with a buffer of one.
func notify(signal chan<- struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// keepRoom keeps room in RESULTS until ctx ends: while it is over three quarters full, the merchant
// with the most results loses its oldest, until nobody is over its share.
func (o *Publisher) keepRoom(ctx context.Context) error {
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	for {
		if o.Channel.Connected() {
			if err := o.checkRoom(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-o.shares.check:
		}
	}
}

// checkRoom checks how full RESULTS is, and makes room. Its error is the ledger's.
func (o *Publisher) checkRoom(ctx context.Context) error {
	acked, again := o.Channel.ResultsAcked(), o.losses.repeated()
	room, err := o.Channel.ResultsRoom(ctx)
	s := o.shares
	s.mu.Lock()
	quiet := s.err != nil
	if s.err = err; err == nil {
		s.room, s.asked = room, o.Now()
	}
	s.mu.Unlock()
	if err != nil {
		if !quiet && ctx.Err() == nil {
			o.Logger.Warn("it is unknown how full RESULTS is, so merchants' shares of it are not enforced; an external broker needs the configuration of this version",
				"error", err)
		}
		return nil
	}
	if err := o.count(); err != nil {
		return err
	}
	if err := o.compare(ctx, observation{room: room, acked: acked, again: again}); err != nil || !room.Full(pressure) {
		return err
	}
	return o.makeRoom(ctx, room)
}

// census is one count over the ledger.
type census struct {
	week, held bool // what is counted beside the merchants
	merchants  int
	results    uint64            // of the last seven days
	kept       map[string]uint64 // results of the last 30 days, by merchant
}

// count counts the merchants every minute, their results of the last seven days every hour, and
// under pressure, at most once an hour, what each may have in RESULTS: the results of the last 30
// days, less an unknown number purged before the unlock, which the first purges correct.
func (o *Publisher) count() error {
	s := o.shares
	now := time.Now()
	s.mu.Lock()
	c := census{week: now.Sub(s.weekCounted) >= recountWait, held: s.room.Full(pressure) && (s.held == nil || now.Sub(s.counted) >= recountWait), kept: map[string]uint64{}}
	idle := !c.week && !c.held && s.merchants > 0 && now.Sub(s.listed) < listWait
	before := maps.Clone(s.held)
	s.mu.Unlock()
	if idle {
		return nil
	}
	if err := o.Ledger.View(func(tx *ledger.Tx) error { return c.read(tx, o.Now()) }); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.merchants, s.listed = c.merchants, now
	if c.week {
		s.week, s.weekCounted = c.results, now
	}
	if !c.held {
		return nil
	}
	// correct the count by earlier purges, and by what was sent meanwhile
	for id, n := range s.held {
		c.kept[id] = min(c.kept[id]+n-before[id], n)
	}
	s.held, s.counted = c.kept, now
	return nil
}

func (c *census) read(tx *ledger.Tx, now time.Time) error {
	return tx.Merchants(func(m book.Merchant) error {
		c.merchants++
		if c.week {
			first, last, err := tx.ResultsSince(m.ID, now.Add(-7*24*time.Hour))
			if err != nil {
				return err
			}
			c.results += last + 1 - first
		}
		if !c.held {
			return nil
		}
		first, last, err := tx.ResultsSince(m.ID, now.Add(-ResultsKept))
		c.kept[m.ID] = last + 1 - first
		return err
	})
}

// makeRoom purges until RESULTS is under three quarters full, or nobody is over its share.
func (o *Publisher) makeRoom(ctx context.Context, room channel.Room) error {
	excess := room.Bytes - room.MaxBytes/100*pressure
	for excess > 0 && ctx.Err() == nil {
		merchant, had, keep := o.shares.largestOver()
		if merchant == "" {
			o.shares.discardCounts(time.Now())
			break
		}
		purged, err := o.Channel.PurgeResults(ctx, merchant, keep)
		if err != nil {
			o.Logger.Warn("results could not be purged", "merchant", merchant, "error", err)
			break
		}
		purged = min(purged, had)
		if err := o.setFloor(ctx, merchant, keep, purged); err != nil {
			return err
		}
		excess -= int64(purged) * ResultBytes
		if o.shares.recordPurge(merchant, had-keep, purged, time.Now()) {
			o.Logger.Warn("RESULTS is over three quarters full: the oldest results of a merchant over its share were purged; "+
				"publish them again with `vault results resend`", "merchant", merchant, "purged", purged, "kept", keep)
		}
		if purged > 0 {
			notify(o.shares.freed)
		}
	}
	return nil
}

// largestOver returns the merchant with the most results, if it is over its share, and how many it
// keeps now: an eighth less, but at least its share.
func (s *shares) largestOver() (merchant string, had, keep uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	share := s.share()
	list := largest(s.held, share)
	if len(list) == 0 || share == 0 {
		return "", 0, 0
	}
	had = list[0].Results
	return list[0].Merchant, had, max(share, had-max(had/purgedPart, 1))
}

// discardCounts discards the counts where the stream is full against them: after a crash it may
// hold results that the ledger has as unsent. The next check counts again.
func (s *shares) discardCounts(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.discarded) >= discardWait {
		s.discarded, s.held = now, nil
		notify(s.check)
	}
}

// recordPurge records that a merchant has fewer results than counted, of which purged were purged,
// and reports whether to log it.
func (s *shares) recordPurge(merchant string, fewer, purged uint64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[merchant] -= fewer // more may have been sent during the purge
	if purged == 0 {
		return false
	}
	s.purged[merchant] += purged
	if now.Sub(s.reported[merchant]) < logEvery {
		return false
	}
	s.reported[merchant] = now
	return true
}
