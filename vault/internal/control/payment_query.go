package control

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// PaymentQuery selects payments; zero members do not restrict. Pages are newest first.
type PaymentQuery struct {
	Merchant  string
	Status    book.Stage
	Batch     uint32
	Operation envelope.Operation
	Reference string // the merchant's own; with a * at the end, what it begins with
	LastFour  string // last four digits of the masked account
	Approval  string // approval code of the acquirer
	RRN       string // retrieval reference number, of the request or of its reversal
	Amount    string // 19.99, with or without its currency: 19.99 USD
	From, To  string // UTC days of reception, YYYY-MM-DD, both included
	After     uint64 // payments with a higher number only
	Before    uint64 // payments with a lower number only
	Oldest    bool   // oldest first
	Limit     int    // at most MaxPage
}

// MaxPage bounds one answer of payments.
const MaxPage = 1000

// MaxSearched bounds how many records the vault reads for one answer of payments.
const MaxSearched = 10_000

// PaymentPage is what one call finds.
type PaymentPage struct {
	Payments []Payment `json:"payments"`
	// number of the payment read last: go on before it, or after it
	Reached uint64 `json:"reached"`
	More    bool   `json:"more"`   // there are payments not read yet
	Newest  uint64 `json:"newest"` // number of the vault's newest payment
}

// Next is the query for the page after one.
func (q PaymentQuery) Next(page PaymentPage) PaymentQuery {
	if q.Oldest {
		q.After = page.Reached
	} else {
		q.Before = page.Reached
	}
	return q
}

// operations are what an instruction may ask for.
var operations = []envelope.Operation{envelope.OpSale, envelope.OpAuthorize, envelope.OpCapture, envelope.OpVoid, envelope.OpRefund,
	envelope.OpPayout, envelope.OpStore, envelope.OpUpdate, envelope.OpForget}

var (
	fourDigits = regexp.MustCompile(`^[0-9]{4}$`)
	codeForm   = regexp.MustCompile(`^[A-Za-z0-9]{1,12}$`)
	amountForm = regexp.MustCompile(`^[0-9]{1,10}(\.[0-9]{1,4})?( [A-Z]{3})?$`)
)

// Check returns what is wrong with a query, and repeats nothing of it that may be an account
// number.
func (q PaymentQuery) Check() error {
	from, err := day(q.From)
	to, err2 := day(q.To)
	names := func(of string, all []string) error {
		return fmt.Errorf("there is no such %s; there are %s", of, strings.Join(all, ", "))
	}
	switch {
	case q.Limit < 1 || q.Limit > MaxPage:
		return fmt.Errorf("the limit is 1 to %d", MaxPage)
	case q.Status != "" && !slices.Contains(book.Stages[:], q.Status):
		return names("status", texts(book.Stages[:]))
	case q.Operation != "" && !slices.Contains(operations, q.Operation):
		return names("operation", texts(operations))
	case q.LastFour != "" && !fourDigits.MatchString(q.LastFour):
		return errors.New("the last four digits of an account are 4 digits, and never more of it are taken")
	case q.Approval != "" && !codeForm.MatchString(q.Approval):
		return errors.New("an approval code is 1 to 12 letters and digits")
	case q.RRN != "" && !codeForm.MatchString(q.RRN):
		return errors.New("a retrieval reference number is 1 to 12 letters and digits")
	case q.Amount != "" && !amountForm.MatchString(q.Amount):
		return errors.New("an amount is written as 19.99, or with its currency as \"19.99 USD\"")
	case len(q.Reference) > 65:
		return errors.New("a reference has at most 64 characters")
	case err != nil || err2 != nil:
		return errors.New("a day is written as YYYY-MM-DD, and is of UTC")
	case q.From != "" && q.To != "" && to.Before(from):
		return errors.New("the last day is before the first")
	}
	return nil
}

func day(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.DateOnly, text)
}

func texts[T ~string](of []T) []string {
	all := make([]string, len(of))
	for i, t := range of {
		all[i] = string(t)
	}
	return all
}

// Period is the time from the first day on until the day after the last, zero where there is none.
func (q PaymentQuery) Period() (from, until time.Time) {
	from, _ = day(q.From) // Check has read them
	if until, _ = day(q.To); !until.IsZero() {
		until = until.AddDate(0, 0, 1)
	}
	return from, until
}

// Matches reports whether a payment is one that the query looks for, of what no index narrows.
func (q PaymentQuery) Matches(p book.Payment) bool {
	return (q.Operation == "" || p.Operation == q.Operation) &&
		(q.Reference == "" || like(p.Reference, q.Reference)) &&
		(q.LastFour == "" || strings.HasSuffix(p.Masked, q.LastFour)) &&
		(q.Approval == "" || strings.EqualFold(p.Approval, q.Approval)) &&
		(q.RRN == "" || traced(p.Trace, q.RRN) || traced(p.Reversal, q.RRN)) &&
		(q.Amount == "" || p.Currency != "" && amounts(p, q.Amount))
}

func like(text, wanted string) bool {
	if beginning, ok := strings.CutSuffix(wanted, "*"); ok {
		return strings.HasPrefix(text, beginning)
	}
	return text == wanted
}

func traced(t *book.Trace, rrn string) bool { return t != nil && t.RRN == rrn }

// amounts compares by value: 5 and 5.00 are one amount.
func amounts(p book.Payment, wanted string) bool {
	number, currency, _ := strings.Cut(wanted, " ")
	major, known := envelope.MajorUnits(p.Amount, p.Currency)
	return known && (currency == "" || currency == p.Currency) && plain(major) == plain(number)
}

// plain is a number without zeros that say nothing.
func plain(number string) string {
	if strings.Contains(number, ".") {
		number = strings.TrimSuffix(strings.TrimRight(number, "0"), ".")
	}
	return strings.TrimLeft(number, "0")
}

// values is the query as a client sends it.
func (q PaymentQuery) values() url.Values {
	values := url.Values{}
	for name, text := range map[string]string{"merchant": q.Merchant, "status": string(q.Status), "operation": string(q.Operation),
		"reference": q.Reference, "last-four": q.LastFour, "approval": q.Approval, "rrn": q.RRN, "amount": q.Amount,
		"from": q.From, "to": q.To} {
		if text != "" {
			values.Set(name, text)
		}
	}
	for name, n := range map[string]uint64{"after": q.After, "before": q.Before, "batch": uint64(q.Batch), "limit": uint64(q.Limit)} {
		if n != 0 {
			values.Set(name, strconv.FormatUint(n, 10))
		}
	}
	if q.Oldest {
		values.Set("oldest", "true")
	}
	return values
}

// readPaymentQuery reads and checks what a client sent.
func readPaymentQuery(values url.Values) (PaymentQuery, error) {
	q := PaymentQuery{Merchant: values.Get("merchant"), Status: book.Stage(values.Get("status")), Operation: envelope.Operation(values.Get("operation")),
		Reference: values.Get("reference"), LastFour: values.Get("last-four"), Approval: values.Get("approval"), RRN: values.Get("rrn"),
		Amount: values.Get("amount"), From: values.Get("from"), To: values.Get("to"), Oldest: values.Get("oldest") == "true", Limit: 100}
	for name, to := range map[string]*uint64{"after": &q.After, "before": &q.Before} {
		if text := values.Get(name); text != "" {
			var err error
			if *to, err = strconv.ParseUint(text, 10, 64); err != nil {
				return q, &Error{CodeUsage, name + " is a payment's number"}
			}
		}
	}
	if text := values.Get("batch"); text != "" {
		number, err := batchNumber(text)
		if err != nil {
			return q, err
		}
		q.Batch = number
	}
	if text := values.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil {
			limit = 0
		}
		q.Limit = limit
	}
	if err := q.Check(); err != nil {
		return q, &Error{CodeUsage, err.Error()}
	}
	return q, nil
}
