package keyring

import (
	"fmt"
	"time"

	"nightdrop/shared/envelope"
)

// Times of specification 5.
const (
	dayPeriod  = 24 * time.Hour  // day keys: one a day and suite
	dayLife    = 168 * time.Hour // from first use to death
	codePeriod = 6 * time.Hour   // code keys: four a day and suite

	defaultAhead    = 48 * time.Hour // as long as a directory lives on line
	defaultCodeLife = 6 * time.Hour  // from a code key's until to its death, on line
)

const suiteCount = 2

func suites() [suiteCount]envelope.Suite {
	return [...]envelope.Suite{envelope.SuiteXWing, envelope.SuiteX25519}
}

// lifetime is the published lifetime of one key.
type lifetime struct {
	Name  envelope.KeyName
	From  time.Time // UTC, whole seconds
	Until time.Time
	Dies  time.Time
}

// schedule determines which keys there are at a time.
type schedule struct {
	ahead    time.Duration // how long before its from a key is published
	codeLife time.Duration // from a code key's until to its death
}

// due is a key that ought to exist.
type due struct {
	kind  envelope.Kind
	suite envelope.Suite
	from  time.Time
}

// check refuses schedules whose keys do not fit the file.
func (s schedule) check() error {
	if s.ahead < 0 || s.codeLife < 0 {
		return fmt.Errorf("keys' schedule: negative time")
	}
	days := int((dayLife+s.ahead)/dayPeriod) + 2
	codes := int((codePeriod+s.codeLife+s.ahead)/codePeriod) + 2
	if need := suiteCount * (days + codes); need > slotCount {
		return fmt.Errorf("keys' schedule: %d keys would live at once, %s holds %d; publish less far ahead", need, sealingFile, slotCount)
	}
	return nil
}

// due lists the keys whose period includes now or begins within ahead; oldest first of each kind.
func (s schedule) due(now time.Time) []due {
	var list []due
	for _, k := range [...]struct {
		kind   envelope.Kind
		period time.Duration
	}{{envelope.KindDay, dayPeriod}, {envelope.KindCode, codePeriod}} {
		// Truncate counts from year 1, so periods begin at 00:00 UTC.
		for from := now.UTC().Truncate(k.period); !from.After(now.Add(s.ahead)); from = from.Add(k.period) {
			for _, suite := range suites() {
				list = append(list, due{k.kind, suite, from})
			}
		}
	}
	return list
}

// of returns the lifetime of a key made for d.
func (s schedule) of(d due, id uint32) lifetime {
	l := lifetime{Name: envelope.MakeKeyName(d.kind, id, d.suite), From: d.from, Until: d.from.Add(dayPeriod), Dies: d.from.Add(dayLife)}
	if d.kind == envelope.KindCode {
		l.Until = d.from.Add(codePeriod)
		l.Dies = l.Until.Add(s.codeLife)
	}
	return l
}
