package outbox

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

// ResultsKept is how long RESULTS holds a result (specification 8): what is older is not published
// again.
const ResultsKept = 30 * 24 * time.Hour

// ResultBytes is what a result takes in RESULTS at most, for sizing: 4,096 bytes sealed by X-Wing,
// in base64, with the note around it, the subject, and the broker's own bytes (measured: 7.6 KB;
// 6.1 KB by X25519).
const ResultBytes = 8 << 10

// Limits of the shares, with their reasons.
const (
	// percent of RESULTS from which merchants over their share lose their oldest results: the rest
	// is for bursts
	pressure = 75
	// one in so many of a merchant's results goes at a time: a purge for each result would cost a
	// file each
	purgedPart = 8
	// between two looks at how full RESULTS is, while nothing makes it look sooner
	roomEvery = 10 * time.Second
	roomPart  = 16 // a look each time that one in so many bytes of it was published
	// between two counts of what merchants have in RESULTS: it costs some twenty records each
	recountWait = time.Hour
	listWait    = time.Minute // between two counts of the merchants
	// the same, where the counts say that nobody is over its share and the stream is full
	doubtWait = time.Minute
	tellEvery = time.Hour // between two log lines about one merchant
)

// Shares is what is known of how RESULTS is shared.
type Shares struct {
	Room      channel.Room // of RESULTS: the broker's hint, when it was last asked
	Asked     time.Time    // when that was; zero before the first answer
	Error     error        // why the last look failed; nil where it did not
	Merchants int          // that share it; 0 before they were counted
	PerDay    float64      // results a day, of the last seven days
	// results that each merchant may have while RESULTS is over three quarters full; 0 before the
	// first answer
	Share uint64
	// merchants that were over their share when RESULTS was last so full, the largest first; at
	// most 100
	Over []Holding
	// of whom how many were purged since the vault was unlocked, the most first; at most 100
	Purged []Holding
	Lost   Lost // what RESULTS lost since then
}

// Holding is a merchant and a number of its results.
type Holding struct {
	Merchant string `json:"merchant"`
	Results  uint64 `json:"results"`
}

// maxHoldings bounds the lists of Shares.
const maxHoldings = 100

// shares is what the outbox knows of RESULTS. The broker's answers are hints: the worst that a
// lying broker does with them is to have a merchant over its share lose results, which it could do
// without asking.
type shares struct {
	look  chan struct{} // has the keeper look now
	freed chan struct{} // signals the sender that there is room again

	mu        sync.Mutex
	room      channel.Room
	asked     time.Time
	err       error
	merchants int
	week      uint64    // results of the last seven days
	listed    time.Time // when merchants were counted
	weighed   time.Time // when week was
	// at most so many of a merchant are there; nil before the first count
	held      map[string]uint64
	counted   time.Time
	doubted   time.Time // when the counts were last thrown away
	purged    map[string]uint64
	reported  map[string]time.Time
	published int64 // bytes since the last look
}

func newShares() *shares {
	return &shares{look: make(chan struct{}, 1), freed: make(chan struct{}, 1), purged: map[string]uint64{}, reported: map[string]time.Time{}}
}

// share is how many results each merchant may have while RESULTS is full: an equal part of what may
// be used, so that all shares together fit. It is 0 before the broker was asked.
func (s *shares) share() uint64 {
	if s.room.MaxBytes <= 0 || s.merchants == 0 {
		return 0
	}
	return max(1, uint64(s.room.MaxBytes/100*pressure/ResultBytes)/uint64(s.merchants))
}

// Shares says how RESULTS is shared.
func (o *Outbox) Shares() Shares {
	s := o.shares
	s.mu.Lock()
	defer s.mu.Unlock()
	known := Shares{Merchants: s.merchants, PerDay: float64(s.week) / 7, Room: s.room, Asked: s.asked, Error: s.err, Share: s.share(), Purged: largest(s.purged, 0),
		Lost: o.losses.known()}
	if s.room.Full(pressure) {
		known.Over = largest(s.held, known.Share)
	}
	return known
}

// largest lists what is above a number, the largest first.
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

// sent counts a result that is durable in the channel, and has the keeper look when many bytes were
// sent since it last did.
func (s *shares) sent(r ledger.Ready) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		s.held[r.Merchant]++
	}
	if s.published += ResultBytes; s.room.MaxBytes > 0 && s.published >= s.room.MaxBytes/roomPart {
		s.published = 0
		ring(s.look)
	}
}

// ring leaves one signal in a buffer of one.
func ring(signal chan<- struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// keepRoom looks after RESULTS until ctx ends: where it is over three quarters full, the merchant
// that has the most in it loses its oldest results, again and again until there is room or nobody
// is over its share.
func (o *Outbox) keepRoom(ctx context.Context) error {
	ticker := time.NewTicker(roomEvery)
	defer ticker.Stop()
	for {
		if o.Channel.Connected() {
			if err := o.lookAtRoom(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-o.shares.look:
		}
	}
}

// lookAtRoom asks how full RESULTS is, and makes room where that is needed. Its error is the
// ledger's.
func (o *Outbox) lookAtRoom(ctx context.Context) error {
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
			o.Logger.Warn("how full RESULTS is cannot be seen: merchants' shares of it are not kept; an external broker needs the configuration of this version",
				"error", err)
		}
		return nil
	}
	if err := o.count(); err != nil {
		return err
	}
	if err := o.compare(ctx, look{room: room, acked: acked, again: again}); err != nil || !room.Full(pressure) {
		return err
	}
	return o.makeRoom(ctx, room)
}

// census is what is counted in one reading of the ledger.
type census struct {
	week, held bool // what is counted beside the merchants
	merchants  int
	results    uint64            // of the last seven days
	kept       map[string]uint64 // results of the last 30 days, by merchant
}

// count counts the merchants every minute, their results of the last seven days every hour, and
// under pressure, at most once an hour, what each may have in RESULTS: the results of the last 30
// days. What was purged of them before the vault was unlocked is not known; the first purges
// correct it.
func (o *Outbox) count() error {
	s := o.shares
	now := time.Now()
	s.mu.Lock()
	c := census{week: now.Sub(s.weighed) >= recountWait, held: s.room.Full(pressure) && (s.held == nil || now.Sub(s.counted) >= recountWait), kept: map[string]uint64{}}
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
		s.week, s.weighed = c.results, now
	}
	if !c.held {
		return nil
	}
	// what purges have shown is nearer to the truth, and so is what was sent while we counted
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

// makeRoom purges until RESULTS is under three quarters full, or nobody is over its share. Its
// error is the ledger's.
func (o *Outbox) makeRoom(ctx context.Context, room channel.Room) error {
	excess := room.Bytes - room.MaxBytes/100*pressure
	for excess > 0 && ctx.Err() == nil {
		merchant, had, keep := o.shares.most()
		if merchant == "" {
			o.shares.doubt(time.Now())
			break
		}
		purged, err := o.Channel.PurgeResults(ctx, merchant, keep)
		if err != nil {
			o.Logger.Warn("results cannot be purged now", "merchant", merchant, "error", err)
			break
		}
		purged = min(purged, had)
		if err := o.lower(ctx, merchant, keep, purged); err != nil {
			return err
		}
		excess -= int64(purged) * ResultBytes
		if o.shares.note(merchant, had-keep, purged, time.Now()) {
			o.Logger.Warn("RESULTS is over three quarters full: the oldest results of a merchant over its share were purged; "+
				"publish them again with `vault results resend`", "merchant", merchant, "purged", purged, "kept", keep)
		}
		if purged > 0 {
			ring(o.shares.freed)
		}
	}
	return nil
}

// most is the merchant that has the most in RESULTS, if it is over its share, and how many it may
// keep now: an eighth less, and never less than its share.
func (s *shares) most() (merchant string, had, keep uint64) {
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

// doubt forgets the counts, for the stream is full and they say that it is not: results may be
// there that the ledger believes unsent, as after a crash. The next look counts anew.
func (s *shares) doubt(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.doubted) >= doubtWait {
		s.doubted, s.held = now, nil
		ring(s.look)
	}
}

// note notes that a merchant has so many fewer in RESULTS than it was thought to have, for purged
// was all above that, and reports whether the log is to hold a finding of it.
func (s *shares) note(merchant string, fewer, purged uint64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[merchant] -= fewer // more may have been sent during the purge
	if purged == 0 {
		return false
	}
	s.purged[merchant] += purged
	if now.Sub(s.reported[merchant]) < tellEvery {
		return false
	}
	s.reported[merchant] = now
	return true
}
