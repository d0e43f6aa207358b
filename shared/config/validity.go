package config

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"
)

const (
	// NearEnd is how long before its end a certificate is reported: a month is long enough to have
	// one issued by hand.
	NearEnd = 30 * 24 * time.Hour
	// LastWeek is when that becomes an error in the log.
	LastWeek = 7 * 24 * time.Hour
	// logEvery is how often that is logged again.
	logEvery = 24 * time.Hour
)

// Validity is until when something that a configuration names is good.
type Validity struct {
	Key  string `json:"key"` // of the configuration: names the certificate in metrics
	File string `json:"file"`
	// the earliest end of a certificate and its intermediate ones; of authorities the last; zero:
	// not known
	Until time.Time `json:"until"`
	Cause string    `json:"cause,omitempty"`
}

// ValidityOf is how long a certificate is good that is in use.
func ValidityOf(key, file string, pair tls.Certificate) Validity {
	v := Validity{Key: key, File: file}
	chain, err := chainOf(pair)
	if err != nil {
		v.Cause = err.Error()
		return v
	}
	for _, c := range chain {
		if v.Until.IsZero() || c.NotAfter.Before(v.Until) {
			v.Until = c.NotAfter
		}
	}
	return v
}

// ValidityOfFiles is how long the certificate is good that the files hold now.
func ValidityOfFiles(key, cert, private string) Validity {
	pair, err := KeyPair(cert, private)
	if err != nil {
		return Validity{Key: key, File: cert, Cause: err.Error()}
	}
	return ValidityOf(key, cert, pair)
}

// ValidityOfAuthorities is how long one of the authorities in a file is good.
func ValidityOfAuthorities(key, path string) Validity {
	v := Validity{Key: key, File: path}
	all, err := authorities(path)
	if err != nil {
		v.Cause = err.Error()
		return v
	}
	for _, c := range all {
		if c.NotAfter.After(v.Until) {
			v.Until = c.NotAfter
		}
	}
	return v
}

// Under returns the list with its keys below those of a table.
func Under(table string, list []Validity) []Validity {
	for i := range list {
		list[i].Key = joinKeys(table, list[i].Key)
	}
	return list
}

// Expired reports whether it has ended at now.
func (v Validity) Expired(now time.Time) bool { return !v.Until.IsZero() && now.After(v.Until) }

// Near reports whether it ends within NearEnd, has ended, or cannot be read.
func (v Validity) Near(now time.Time) bool { return v.Until.IsZero() || v.Until.Sub(now) < NearEnd }

// Note describes for people how long it is good, and what to do.
func (v Validity) Note(now time.Time) string {
	left := v.Until.Sub(now)
	switch {
	case v.Until.IsZero():
		return fmt.Sprintf("%s: the certificate %s cannot be read: %s", v.Key, v.File, v.Cause)
	case left < 0:
		return fmt.Sprintf("%s: the certificate %s has expired, on %s: put a new one in its place", v.Key, v.File, day(v.Until))
	case left < 2*24*time.Hour:
		return fmt.Sprintf("%s: the certificate %s expires in %d hours: put a new one in its place", v.Key, v.File, int(left.Hours()))
	}
	return fmt.Sprintf("%s: the certificate %s expires on %s, in %d days: put a new one in its place before that", v.Key, v.File, day(v.Until),
		int(left/(24*time.Hour)))
}

// LogNearEnds logs, now and daily until ctx ends, which certificates are near their
// end: as an error in their last week.
func LogNearEnds(ctx context.Context, list func() []Validity, now func() time.Time, logger *slog.Logger) {
	ticker := time.NewTicker(logEvery)
	defer ticker.Stop()
	for {
		LogEnds(list(), now(), logger)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// LogEnds writes it once.
func LogEnds(list []Validity, now time.Time, logger *slog.Logger) {
	for _, v := range list {
		switch {
		case !v.Near(now):
		case v.Until.Sub(now) < LastWeek:
			logger.Error("a certificate is at its end", "note", v.Note(now))
		default:
			logger.Warn("a certificate is near its end", "note", v.Note(now))
		}
	}
}
