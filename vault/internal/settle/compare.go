package settle

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"nightdrop/shared/envelope"
	"nightdrop/shared/text"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// Limits of an acquirer's listing.
const (
	maxListingBytes = 64 << 20 // over 700,000 lines
	listingHeader   = "rrn,stan,terminal,kind,amount,currency"
)

// Problem is what is wrong with one payment of a listing, or of ours.
type Problem string

// The problems.
const (
	// the acquirer lists it, and it does not stand in our batch
	MissingHere Problem = "missing-here"
	// it stands in our batch, and the acquirer does not list it
	MissingThere Problem = "missing-there"
	// amount, currency, kind, terminal or trace number are not the same
	Differs Problem = "differs"
	Twice   Problem = "twice" // the acquirer lists it more than once
)

// Listed is one line of a listing, or one payment of ours in the same form.
type Listed struct {
	RRN      string // field 37
	STAN     uint32 // field 11
	Terminal string // field 41
	Kind     string // sale, capture or refund
	Amount   int64  // minor units
	// ISO 4217 letters; of a listing its number where our batch has nothing in that currency
	Currency string
}

// Difference is one payment that is not the same on both sides.
type Difference struct {
	Problem Problem
	ID      string // of our payment; empty where there is none
	Line    int    // of the listing, from 1; 0 where there is none
	Ours    Listed // zero where there is none
	Theirs  Listed // zero where there is none
}

// Comparison holds a batch against the acquirer's listing of it.
type Comparison struct {
	Batch       book.Batch
	Ours        int // payments that stand in our batch
	Theirs      int // lines of the listing
	Differences []Difference
	Sums        []book.Total // of the listing, by currency, sorted
}

// Compare compares a card batch with the acquirer's listing of it: CSV with the header
// rrn,stan,terminal,kind,amount,currency and a line for each payment that stands there; currencies
// are letters or numbers. It changes nothing. Differences are in the order of the listing, then of
// our payments. Errors: [ErrNotFound], [ErrConflict] (a bank batch), [ErrListing] (naming the
// line), r's or the ledger's.
func (e *Engine) Compare(ctx context.Context, batch uint32, listing io.Reader) (Comparison, error) {
	b, err := e.batch(batch)
	if err != nil {
		return Comparison{}, err
	}
	if b.Method == book.MethodBank {
		return Comparison{}, fmt.Errorf("%s is settled by a file, and the bank answers with returns: import those: %w", b.ID(), ErrConflict)
	}
	theirs, err := readListing(ctx, listing)
	if err != nil {
		return Comparison{}, err
	}
	inLetters(theirs, b)
	c := Comparison{Batch: b, Theirs: len(theirs), Sums: sums(theirs)}
	seen := make(map[string]listingLine, len(theirs)) // by RRN, the first of each
	for _, l := range theirs {
		if _, twice := seen[l.RRN]; twice {
			c.Differences = append(c.Differences, Difference{Problem: Twice, Line: l.line, Theirs: l.Listed})
			continue
		}
		seen[l.RRN] = l
	}
	ours, err := e.listed(b, func(p book.Payment, l Listed) {
		c.Ours++
		their, there := seen[l.RRN]
		switch {
		case !there:
			c.Differences = append(c.Differences, Difference{Problem: MissingThere, ID: p.ID, Ours: l})
		case !same(their.Listed, l):
			c.Differences = append(c.Differences, Difference{Problem: Differs, ID: p.ID, Line: their.line, Ours: l, Theirs: their.Listed})
		}
	})
	if err != nil {
		return Comparison{}, err
	}
	for _, l := range theirs {
		if !ours[l.RRN] && seen[l.RRN] == l {
			c.Differences = append(c.Differences, Difference{Problem: MissingHere, Line: l.line, Theirs: l.Listed})
		}
	}
	slices.SortStableFunc(c.Differences, func(a, b Difference) int { return order(a) - order(b) })
	return c, nil
}

// inLetters gives currencies that are listed by their numbers, as field 49 has them, the letters
// that they have in our batch.
func inLetters(listing []listingLine, b book.Batch) {
	letters := map[string]string{}
	for _, t := range b.Totals {
		if c, known := envelope.KnownCurrency(t.Currency); known {
			letters[c.Numeric] = c.Code
		}
	}
	for i, l := range listing {
		if code, ours := letters[l.Currency]; ours {
			listing[i].Currency = code
		}
	}
}

// same compares two lines. Currencies are compared by number: a successor may have its
// predecessor's (XCG, once ANG).
func same(a, b Listed) bool {
	a.Currency, b.Currency = inNumber(a.Currency), inNumber(b.Currency)
	return a == b
}

func inNumber(currency string) string {
	if c, known := envelope.KnownCurrency(currency); known {
		return c.Numeric
	}
	return currency
}

// order puts differences without a line last.
func order(d Difference) int {
	if d.Line == 0 {
		return maxListingBytes
	}
	return d.Line
}

// atAcquirer are the stages of payments that stand at the acquirer, and those in which a payment
// stands there only if a person said so.
var atAcquirer = []book.Stage{book.StageApproved, book.StageCaptured, book.StageSettled,
	book.StageReversed, book.StageVoided, book.StageDeclined}

func sums(listing []listingLine) (totals []book.Total) {
	var b book.Batch
	for _, l := range listing {
		t := book.Total{Currency: l.Currency, Count: 1, Amount: l.Amount}
		if l.Kind == string(envelope.OpRefund) {
			t = book.Total{Currency: l.Currency, Credits: 1, CreditAmount: l.Amount}
		}
		b.Lines = append(b.Lines, book.Adjustment{Total: t})
	}
	return b.Expected()
}

// listed calls fn for the payments that stand in a batch and returns their RRNs.
func (e *Engine) listed(b book.Batch, fn func(book.Payment, Listed)) (rrns map[string]bool, err error) {
	rrns = map[string]bool{}
	err = e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		for _, stage := range atAcquirer {
			err := tx.Payments(ledger.Query{Merchant: b.Merchant, Stage: stage, Batch: b.Number}, func(p book.Payment) error {
				if p.Trace == nil || slices.Contains(atAcquirer[3:], stage) && !p.AtHost {
					return nil
				}
				rrns[p.Trace.RRN] = true
				fn(p, Listed{RRN: p.Trace.RRN, STAN: p.Trace.STAN, Terminal: p.Trace.Terminal, Kind: string(p.Operation), Amount: p.Amount, Currency: p.Currency})
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return rrns, err
}

// listingLine is a line of a listing, and where it begins, from 1.
type listingLine struct {
	Listed
	line int
}

// readListing reads the whole listing. Rows without anything in them are passed over.
func readListing(ctx context.Context, r io.Reader) ([]listingLine, error) {
	limited := &io.LimitedReader{R: r, N: maxListingBytes + 1}
	lines := csv.NewReader(text.NewReader(limited))
	lines.ReuseRecord, lines.FieldsPerRecord = true, len(listingColumns())
	header, err := lines.Read()
	if err != nil {
		return nil, listingError(err, "header")
	}
	if !slices.Equal(header, listingColumns()) {
		return nil, fmt.Errorf("line 1: the header is not %s: %w", listingHeader, ErrListing)
	}
	var listing []listingLine
	for {
		record, err := lines.Read()
		if errors.Is(err, io.EOF) && limited.N > 0 {
			return listing, ctx.Err()
		}
		if limited.N <= 0 {
			return nil, fmt.Errorf("it is over %d bytes: %w", maxListingBytes, ErrListing)
		}
		if len(record) > 0 && text.BlankRow(record) && (err == nil || errors.Is(err, csv.ErrFieldCount)) {
			continue
		}
		if err != nil {
			return nil, listingError(err, "line")
		}
		line, _ := lines.FieldPos(0)
		l, problem := readListed(record)
		if problem != "" {
			return nil, fmt.Errorf("line %d: %s: %w", line, problem, ErrListing)
		}
		listing = append(listing, listingLine{l, line})
	}
}

func listingColumns() []string {
	return []string{"rrn", "stan", "terminal", "kind", "amount", "currency"}
}

// listingError names the line of what encoding/csv found; its own text does not quote the line.
func listingError(err error, what string) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, text.ErrEncoding):
		return fmt.Errorf("%w: %w", err, ErrListing)
	case errors.As(err, &parse):
		return fmt.Errorf("line %d: %w: %w", parse.Line, parse.Err, ErrListing)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("line 1: there is no %s: %w", what, ErrListing)
	}
	return fmt.Errorf("read the listing: %w", err)
}

// readListed reads a line, or says what is wrong with it.
func readListed(record []string) (l Listed, problem string) {
	stan, err := strconv.ParseUint(record[1], 10, 32)
	if err != nil || stan < 1 || stan > 999_999 {
		return l, "stan is not 1 to 999999"
	}
	amount, err := strconv.ParseInt(record[4], 10, 64)
	_, lettered := envelope.KnownCurrency(record[5])
	_, number := strconv.ParseUint(record[5], 10, 16)
	switch kind := record[3]; {
	case err != nil || amount < 1:
		return l, "amount is not a number of minor units"
	case len(record[0]) != 12:
		return l, "rrn is not 12 characters"
	case len(record[2]) < 1 || len(record[2]) > 8:
		return l, "terminal is not 1 to 8 characters"
	case kind != string(envelope.OpSale) && kind != string(envelope.OpCapture) && kind != string(envelope.OpRefund):
		return l, "kind is none of sale, capture and refund"
	case !lettered && (len(record[5]) != 3 || number != nil):
		return l, "currency is none of ISO 4217, in letters or as its number"
	}
	return Listed{RRN: record[0], STAN: uint32(stan), Terminal: record[2], Kind: record[3], Amount: amount, Currency: record[5]}, ""
}
