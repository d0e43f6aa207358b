package bagger

import "time"

// lately is how many bytes each merchant stored in ENVELOPES in the last week, committed or not. A
// share of what is uncommitted does not bound that: the vault purges from the oldest on, so one bag
// that has to stay (a bank order that waits for its file) keeps all behind it. It begins at zero
// with each run, and is not safe for concurrent use.
type lately struct {
	days  [keptDays]map[string]int64 // a ring, by day modulo its length
	today int64                      // days since 1970
}

// keptDays is how many days committed bags stay in ENVELOPES (specification 8), and today.
const keptDays = 8

func (l *lately) turn(now time.Time) {
	today := now.Unix() / int64(24*time.Hour/time.Second)
	if today-l.today >= keptDays {
		l.days, l.today = [keptDays]map[string]int64{}, today
	}
	for l.today < today {
		l.today++
		l.days[l.today%keptDays] = nil
	}
}

func (l *lately) add(merchant string, bytes int64, now time.Time) {
	l.turn(now)
	day := &l.days[l.today%keptDays]
	if *day == nil {
		*day = map[string]int64{}
	}
	(*day)[merchant] += bytes
}

func (l *lately) of(merchant string, now time.Time) (bytes int64) {
	l.turn(now)
	for _, day := range l.days {
		bytes += day[merchant]
	}
	return bytes
}

// crowds reports whether a merchant would, with these bytes, have stored more than an equal part of
// ENVELOPES in the last week. It is refused for that only while the stream is crowded.
func (s *shares) crowds(merchant string, bytes int64, now time.Time) bool {
	return s.sizing.Stream > 0 && s.lately.of(merchant, now)+bytes > s.sizing.usable()/int64(max(1, s.merchants))
}
