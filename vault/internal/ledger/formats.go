package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope"
)

// Formats of the file, which it keeps in clear (meta/format).
const (
	formatPrefix = "nightdrop/ledger/v"
	// formatNumber is of the format that this build writes and opens.
	formatNumber = 3
	format       = formatPrefix + "3"
	// formatV2 had one multiset hash over all records in its head, and none over most indexes.
	formatV2 = formatPrefix + "2"
	// formatUnfinished is of a file that Rebuild has begun and not finished.
	formatUnfinished = format + "-unfinished"
)

// Errors of formats.
var (
	// ErrFormat is returned for a ledger of builds that knew card sales only (v1).
	ErrFormat = errors.New("the ledger was written by an older build, and this one cannot rebuild it: " +
		"open it with that build, and carry its merchants over to a new vault")
	// ErrOlder is returned by Open for a ledger that Rebuild makes into one of this build's format.
	ErrOlder = errors.New("the ledger has an older format: the vault rebuilds it from its log at the next unlock")
	// ErrNewer is returned for a ledger of a later build: nothing of it is read or changed.
	ErrNewer = errors.New("the ledger was written by a newer build: open it with that build, or with a newer one")
)

// sourceFormat is how Rebuild reads a file of one format. Records and the log are the same in all.
type sourceFormat struct {
	name    string
	buckets []string // that such a file must have to be read
	// readHead opens the head, without its sums: they are of other buckets or records than the new
	// file's.
	readHead func(l *Ledger, b *bbolt.Tx) (head, error)
	// prove compares what Rebuild carries over with the sums in the head. It fails with ErrDamaged.
	prove func(ctx context.Context, tx *Tx) error
}

// sourceFormats are the formats that Rebuild reads; a change of the format adds the reader of the
// last.
var sourceFormats = [...]sourceFormat{
	{formatV2, bucketsV2, readHeadV2, proveV2},
	{format, append([]string{bucketVault}, carriedBuckets...), (*Ledger).readHeadToCarry, proveCarried},
}

// checkFormat fails unless the file has the format that this build writes.
func checkFormat(b *bbolt.Tx) error {
	got := formatOf(b)
	if got == format {
		return nil
	}
	if _, err := sourceFormatOf(b); err != nil {
		return err
	}
	return fmt.Errorf("it has the format %s, and this build writes %s: %w", got, format, ErrOlder)
}

func formatOf(b *bbolt.Tx) string {
	meta := b.Bucket([]byte(bucketMeta))
	if meta == nil {
		return ""
	}
	return string(meta.Get(keyFormat))
}

// sourceFormatOf returns how the file is read, or why it is not.
func sourceFormatOf(b *bbolt.Tx) (sourceFormat, error) {
	got := formatOf(b)
	for _, known := range sourceFormats {
		if known.name == got {
			return known, nil
		}
	}
	if number, ok := strings.CutPrefix(got, formatPrefix); ok {
		n, err := strconv.ParseUint(number, 10, 16)
		switch {
		case err != nil || strconv.FormatUint(n, 10) != number:
		case n > formatNumber:
			return sourceFormat{}, fmt.Errorf("it has the format %s, and this build reads %s: %w", got, format, ErrNewer)
		case n > 0:
			return sourceFormat{}, fmt.Errorf("it has the format %s, and this build reads %s: %w", got, format, ErrFormat)
		}
	}
	if got == formatUnfinished {
		return sourceFormat{}, damaged("it is a ledger whose rebuilding did not end: put the one that it was made of back")
	}
	return sourceFormat{}, damaged("its format is not %s", format)
}

// bucketsV2 are those under the one sum of v2: of records, and the index of what is unsent.
var bucketsV2 = []string{"keys", "vault", "merchants", "batches", "runs", "bags", "ids", "payments", "parts", "results", "chains", "tokens",
	"stored", "blocks", "files", "entries", "auditors", "wraps", "by-unsent"}

// headV2 is the head of v2.
type headV2 struct {
	Size   int64         `json:"size"`
	Root   []byte        `json:"root"`
	Time   envelope.Time `json:"time"`
	State  multiset      `json:"state"` // of all records
	LogKey uint32        `json:"logKey"`
	LogDay string        `json:"logDay"`
}

func (l *Ledger) openHeadV2(b *bbolt.Tx) (h headV2, err error) {
	text, err := unseal(bucketMeta, keyHead, l.box, b.Bucket([]byte(bucketMeta)).Get(keyHead))
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(text, &h); err != nil || h.Size < 1 || len(h.Root) != tlog.HashSize {
		return h, damaged("the head is not a well-formed head of %s", formatV2)
	}
	return h, nil
}

func readHeadV2(l *Ledger, b *bbolt.Tx) (head, error) {
	h, err := l.openHeadV2(b)
	return head{Size: h.Size, Root: h.Root, Time: h.Time, LogKey: h.LogKey, LogDay: h.LogDay}, err
}

// proveV2 compares all records with the one sum, which cannot show where it does not hold.
func proveV2(ctx context.Context, tx *Tx) error {
	h, err := tx.ledger.openHeadV2(tx.bolt)
	if err != nil {
		return err
	}
	var state multiset
	for _, bucket := range bucketsV2 {
		err := tx.bucket(bucket).ForEach(func(k, v []byte) error {
			state.add(tx.ledger.recordMAC(bucket, k, v))
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	if state != h.State {
		return damaged("the records are not those of the last commit: one is missing, too many, altered, or an older one")
	}
	return nil
}

// readHeadToCarry reads the head of the current format without its sums.
func (l *Ledger) readHeadToCarry(b *bbolt.Tx) (head, error) {
	h, err := l.readHead(b)
	h.Sums = nil
	return h, err
}

// carriedBuckets hold what no event holds, so that a rebuild carries it over. All others are made
// from the log.
var carriedBuckets = []string{bucketKeys, bucketWraps, bucketParts, bucketStored, bucketResults, indexUnsent}

// cure is the advice for a bucket that is not as it was left; "" where only a sound copy helps.
func cure(bucket string) string {
	if slices.Contains(carriedBuckets, bucket) {
		return ""
	}
	return " (vault unlock --rebuild makes them anew from the log, and keeps this file)"
}

// proveCarried compares what is carried over with its sums.
func proveCarried(ctx context.Context, tx *Tx) error {
	h, err := tx.readHead()
	if err != nil {
		return err
	}
	for _, bucket := range carriedBuckets {
		var found sum
		err := tx.bucket(bucket).ForEach(func(k, v []byte) error {
			found.Count++
			found.Sum.add(tx.ledger.recordMAC(bucket, k, v))
			return ctx.Err()
		})
		if err == nil {
			err = h.Sums.equal(bucket, found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
