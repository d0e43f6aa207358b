package bagger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrShare is returned when the merchant has its full share of the channel, or stored more than an
// equal part of a crowded one: the envelope was refused. Others are still served.
var ErrShare = errors.New("the merchant's share of the channel is used up")

// Sizing is how ENVELOPES is shared among merchants. What the vault has not committed yet, above
// its signed position, counts.
//
// Three quarters of the stream can be counted on: above that the vault purges what it has
// committed. Without MerchantBytes one half of those is divided equally: that is a merchant's own,
// whatever others do. The rest is common: a merchant may use a quarter of it. So it takes four
// merchants to use up what is common, and none can use up another's own.
type Sizing struct {
	Stream        int64 // bytes of ENVELOPES; 0 = not known: nobody is refused
	MerchantBytes int64 // a merchant's own; 0 = computed
}

const (
	// commonParts is into how many parts what is common is divided; a merchant may have one.
	commonParts = 4
	// leastOwn is the least that should be a merchant's own: one bag of the largest size.
	leastOwn = 1_000_000
	// leastConfigured is the least that may be configured: the largest envelope in a bag of its
	// own.
	leastConfigured = 64 << 10
	// leastStream is the least that ENVELOPES may hold.
	leastStream = 4 << 20
	// shownMerchants is how many merchants a report names, most bytes first.
	shownMerchants = 20
)

// usable is what merchants may have together.
func (s Sizing) usable() int64 { return s.Stream / 4 * 3 }

// parts returns each merchant's own part, and what is common to all.
func (s Sizing) parts(merchants int) (own, common int64) {
	n := int64(max(1, merchants))
	if s.MerchantBytes == 0 {
		return s.usable() / 2 / n, s.usable() / 2
	}
	return s.MerchantBytes, max(0, s.usable()-n*s.MerchantBytes)
}

// Valid returns an error if a sizing is impossible, however many merchants there are.
func (s Sizing) Valid() error {
	switch {
	case s.Stream < leastStream:
		return fmt.Errorf("ENVELOPES of %d bytes holds too little: give it at least %d", s.Stream, leastStream)
	case s.MerchantBytes != 0 && s.MerchantBytes < leastConfigured:
		return fmt.Errorf("%d bytes are too few: give a merchant at least %d, or 0 for an equal part", s.MerchantBytes, leastConfigured)
	case s.MerchantBytes > s.usable()/2:
		return fmt.Errorf("%d bytes of an ENVELOPES of %d would let two merchants fill it: give a merchant at most %d, or raise envelope_bytes",
			s.MerchantBytes, s.Stream, s.usable()/2)
	}
	return nil
}

// Merchants returns how many the stream is large enough for.
func (s Sizing) Merchants() int64 {
	if s.MerchantBytes == 0 {
		return s.usable() / 2 / leastOwn
	}
	return s.usable() / s.MerchantBytes
}

// Check returns an error, with what to do, if the stream is too small for so many merchants.
func (s Sizing) Check(merchants int) error {
	if s.Stream == 0 {
		return nil
	}
	own, _ := s.parts(merchants)
	n := int64(merchants)
	switch {
	case s.MerchantBytes > 0 && n*own > s.usable():
		return fmt.Errorf("ENVELOPES of %d bytes is too small for %d merchants with %d bytes each: raise envelope_bytes to at least %d, "+
			"or lower limits.merchant_bytes", s.Stream, merchants, own, n*own/3*4+4)
	case s.MerchantBytes == 0 && own < leastOwn:
		return fmt.Errorf("ENVELOPES of %d bytes is too small for %d merchants: only %d bytes are each one's own; raise envelope_bytes to at least %d",
			s.Stream, merchants, own, n*leastOwn/3*8+8)
	}
	return nil
}

// shares counts for each merchant the bytes that wait, are under way, or are stored and not
// committed by the vault. Only verified envelopes come here, so nobody can use up another's share.
// It begins at zero: what an earlier run stored does not count. It is not safe for concurrent use.
type shares struct {
	sizing    Sizing
	merchants int
	own       int64 // bytes that are a merchant's own; 0 = nobody is refused
	common    int64 // bytes that those share who have used up their own
	taken     map[string]int64
	total     int64 // sum of taken
	borrowed  int64 // sum of what merchants have beyond their own
	stored    []stretch
	lately    lately
	committed uint64            // number of the last bag of this run that the vault has committed
	refused   map[string]uint64 // times, by merchant
}

// stretch is some consecutive stored bags: what they hold of each merchant, given back when the
// vault's position has passed the last.
type stretch struct {
	last  uint64 // the highest number
	bags  int
	bytes map[string]int64
}

// stretchBags is how many bags a stretch holds. More use less memory, and are given back later.
const stretchBags = 64

func newShares(sizing Sizing) *shares {
	s := &shares{sizing: sizing, taken: make(map[string]int64), refused: make(map[string]uint64)}
	s.share(1)
	return s
}

func (s *shares) share(merchants int) {
	s.merchants = merchants
	s.own, s.common = s.sizing.parts(merchants)
	s.borrowed = 0
	for _, bytes := range s.taken {
		s.borrowed += s.beyond(bytes)
	}
}

func (s *shares) beyond(bytes int64) int64 { return max(0, bytes-s.own) }

// allows reports whether a merchant may add bytes to what it has.
func (s *shares) allows(merchant string, bytes int64) bool {
	if s.sizing.Stream == 0 {
		return true
	}
	has := s.taken[merchant]
	wants := s.beyond(has + bytes)
	return wants == 0 || wants <= s.common/commonParts && s.borrowed-s.beyond(has)+wants <= s.common
}

// add counts bytes of a merchant; a negative number gives them back.
func (s *shares) add(merchant string, bytes int64) {
	has := s.taken[merchant]
	s.borrowed += s.beyond(has+bytes) - s.beyond(has)
	s.total += bytes
	if has+bytes == 0 {
		delete(s.taken, merchant)
		return
	}
	s.taken[merchant] = has + bytes
}

// store notes a durable bag, whose riders keep their bytes until the vault has committed it.
func (s *shares) store(number uint64, riders []*submission, now time.Time) {
	for _, r := range riders {
		s.lately.add(r.Merchant, r.bytes, now)
	}
	if number <= s.committed {
		for _, r := range riders {
			s.add(r.Merchant, -r.bytes)
		}
		return
	}
	if n := len(s.stored); n == 0 || s.stored[n-1].bags == stretchBags {
		s.stored = append(s.stored, stretch{bytes: make(map[string]int64, 1)})
	}
	newest := &s.stored[len(s.stored)-1]
	newest.last = max(newest.last, number)
	newest.bags++
	for _, r := range riders {
		newest.bytes[r.Merchant] += r.bytes
	}
}

// commit gives back all up to bag number.
func (s *shares) commit(number uint64) {
	s.committed = max(s.committed, number)
	for len(s.stored) > 0 && s.stored[0].last <= s.committed {
		for merchant, bytes := range s.stored[0].bytes {
			s.add(merchant, -bytes)
		}
		s.stored[0] = stretch{}
		s.stored = s.stored[1:]
	}
}

// Usage is what one merchant has in the channel.
type Usage struct {
	Merchant string `json:"merchant"`
	Bytes    int64  `json:"bytes"`   // that the vault has not committed
	Over     bool   `json:"over"`    // more than its own share
	Refused  uint64 `json:"refused"` // times since the start
}

// Shares is how ENVELOPES is shared out now.
type Shares struct {
	Own    int64 `json:"own"`    // bytes that are each merchant's own; 0 = not limited
	Common int64 `json:"common"` // bytes for those who have used up their own
	Bytes  int64 `json:"bytes"`  // of all merchants, not committed by the vault, since the start
	Over   int   `json:"over"`   // merchants with more than their own
	// why the stream is too small for so many merchants
	TooSmall  string  `json:"too_small,omitempty"`
	Merchants []Usage `json:"merchants"` // those with the most bytes, at most 20
}

func (s *shares) usage() Shares {
	report := Shares{Bytes: s.total, Merchants: make([]Usage, 0, len(s.taken))}
	if s.sizing.Stream > 0 {
		report.Own, report.Common = s.own, s.common
	}
	if err := s.sizing.Check(s.merchants); err != nil {
		report.TooSmall = err.Error()
	}
	for merchant, bytes := range s.taken {
		over := report.Own > 0 && bytes > report.Own
		if over {
			report.Over++
		}
		report.Merchants = append(report.Merchants, Usage{Merchant: merchant, Bytes: bytes, Over: over, Refused: s.refused[merchant]})
	}
	slices.SortFunc(report.Merchants, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Merchant, b.Merchant))
	})
	report.Merchants = report.Merchants[:min(len(report.Merchants), shownMerchants)]
	return report
}
