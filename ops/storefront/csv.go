package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/text"
)

// Summary is what became of a CSV file's rows at the relay.
type Summary struct {
	Posted   int            `json:"posted"`            // rows of this merchant
	Accepted int            `json:"accepted"`          // with a receipt that verified
	Refused  map[string]int `json:"refused,omitempty"` // by the relay's code; otherKey by none
	Passed   int            `json:"passedOver"`        // rows of other merchants
}

// otherKey counts, in Summary.Refused, rows that were sealed before the shop made new keys.
const otherKey = "other-key"

// row is one line of a CSV file.
type row struct {
	line    int
	payment storefront.Payment
}

func runPostCSV(ctx context.Context, o postOptions, out, progress io.Writer) error {
	client, err := o.connect()
	if err != nil {
		return err
	}
	rows, passed, err := readCSV(o.csv, client.Merchant())
	if err != nil {
		return err
	}
	outbox, err := storefront.OpenOutbox(o.outbox)
	if err != nil {
		return err
	}
	poster := csvPoster{options: o, client: client, outbox: outbox, refused: map[string]int{}, bar: command.NewBar(progress, "posting")}
	if err := poster.postAll(ctx, rows); err != nil {
		return fmt.Errorf("%w\n%d of %d rows have receipts; run the same command again to post the others", err, poster.accepted.Load(), len(rows))
	}
	summary := Summary{len(rows), int(poster.accepted.Load()), poster.refused, passed}
	if o.asJSON {
		return json.NewEncoder(out).Encode(summary)
	}
	fmt.Fprintf(out, "%s: posted %d, accepted %d\n", client.Merchant(), summary.Posted, summary.Accepted)
	for _, code := range slices.Sorted(maps.Keys(summary.Refused)) {
		if code == otherKey {
			fmt.Fprintf(out, "%s: not posted: %d (those that have a result need nothing): %v\n", client.Merchant(), summary.Refused[code], storefront.ErrOtherKey)
			continue
		}
		fmt.Fprintf(out, "%s: refused by the relay as %s: %d\n", client.Merchant(), code, summary.Refused[code])
	}
	return nil
}

type csvPoster struct {
	options  postOptions
	client   *storefront.Client
	outbox   *storefront.Outbox
	bar      *command.Bar
	accepted atomic.Int64
	mu       sync.Mutex
	refused  map[string]int
}

func (p *csvPoster) postAll(ctx context.Context, rows []row) error {
	defer p.bar.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(max(p.options.concurrency, 1), maxConnections))
	for _, r := range rows {
		group.Go(func() error {
			if err := p.post(ctx, r.payment); err != nil {
				return fmt.Errorf("line %d: %w", r.line, err)
			}
			p.bar.Add(1, int64(len(rows)))
			return nil
		})
	}
	return group.Wait()
}

func (p *csvPoster) post(ctx context.Context, payment storefront.Payment) error {
	kept, err := p.outbox.Find(payment.ID)
	if errors.Is(err, fs.ErrNotExist) {
		sealed, sealErr := p.client.Seal(ctx, payment)
		if sealErr != nil {
			return sealErr
		}
		kept, err = p.outbox.Keep(sealed)
	}
	if err != nil {
		return err
	}
	clear(payment.Account)
	clear(payment.Code)
	_, err = poster{p.client, p.outbox, p.options.timeout}.post(ctx, kept)
	code := ""
	if refused, ok := errors.AsType[*storefront.Refused](err); ok && !refused.Temporary() {
		code = refused.Code
	} else if errors.Is(err, storefront.ErrOtherKey) {
		code = otherKey
	}
	if code != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused[code]++
		return nil
	}
	if err == nil {
		p.accepted.Add(1)
	}
	return err
}

// readCSV reads the rows of one merchant. Errors name the line and the column, never a value: what
// stands in a header's place may be a number.
func readCSV(path, merchant string) (rows []row, passed int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	reader := csv.NewReader(text.NewReader(f))
	columns, err := readHeader(reader)
	if errors.Is(err, text.ErrEncoding) {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s: %w", command.ErrUsage, path, err)
	}
	seen := map[string]int{}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows, passed, nil
		}
		if len(record) > 0 && text.BlankRow(record) && (err == nil || errors.Is(err, csv.ErrFieldCount)) {
			continue
		}
		if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, 0, fmt.Errorf("%s: line %d: %w", path, wrong.Line, wrong.Err)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", path, err)
		}
		cells := cells{columns, record}
		if m := cells.get("merchant"); m != "" && m != merchant {
			passed++
			continue
		}
		line, _ := reader.FieldPos(0)
		payment, err := cells.payment(merchant, seen)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: line %d: %w", path, line, err)
		}
		rows = append(rows, row{line, payment})
	}
}

// cardColumns and bankColumns are an account's; the header has all of a kind that must be there, or
// none of that kind.
var (
	cardColumns = []string{"number", "expiry"}
	bankColumns = []string{"routing", "account", "type"}
)

// knownColumns returns the columns that a file may have; the first it must have.
func knownColumns() []string {
	return slices.Concat([]string{"reference", "operation", "id", "merchant", "amount", "currency", "of", "token", "name", "code", "descriptor"},
		cardColumns, bankColumns)
}

// readHeader returns the columns by name.
func readHeader(reader *csv.Reader) (map[string]int, error) {
	header, err := reader.Read()
	if err != nil {
		if errors.Is(err, text.ErrEncoding) {
			return nil, err
		}
		return nil, errors.New("no header that can be read")
	}
	known := knownColumns()
	columns := map[string]int{}
	for i, name := range header {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("the header's column %d is none of %s", i+1, strings.Join(known, ", "))
		}
		if _, twice := columns[name]; twice {
			return nil, fmt.Errorf("column %s is there twice", name)
		}
		columns[name] = i
	}
	for _, together := range [][]string{known[:1], cardColumns, bankColumns} {
		if err := checkTogether(columns, together); err != nil {
			return nil, err
		}
	}
	return columns, nil
}

// checkTogether wants all of these columns, or, where they are several, none.
func checkTogether(columns map[string]int, names []string) error {
	var missing []string
	for _, name := range names {
		if _, ok := columns[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 || len(names) > 1 && len(missing) == len(names) {
		return nil
	}
	return fmt.Errorf("column %s is missing", strings.Join(missing, ", "))
}

type cells struct {
	columns map[string]int
	record  []string
}

func (c cells) get(column string) string {
	if i, ok := c.columns[column]; ok {
		return c.record[i]
	}
	return ""
}

// rowSpace is the name space of the ids of rows that bring none.
const rowSpace = "6f0c2d7e-9c0b-4a5e-8f1d-3b1f0a7c5d21"

// payment makes the instruction of a row. seen counts equal rows, and ids, so far.
func (c cells) payment(merchant string, seen map[string]int) (p storefront.Payment, err error) {
	p.Order = envelope.Order{Operation: envelope.Operation(c.get("operation")), Reference: c.get("reference"), Currency: c.get("currency"),
		Of: c.get("of"), Token: c.get("token"), Descriptor: c.get("descriptor")}
	if p.Order.Operation == "" {
		p.Order.Operation = envelope.OpSale
	}
	if amount := c.get("amount"); amount != "" {
		if p.Order.Amount, err = strconv.ParseInt(amount, 10, 64); err != nil || p.Order.Amount == 0 {
			return p, errors.New("amount is not a whole number of minor units from 1")
		}
	}
	if p.ID, err = c.id(merchant, seen); err != nil {
		return p, err
	}
	if p.Account, err = c.account(); err != nil {
		return p, err
	}
	if code := c.get("code"); code != "" {
		if p.Code, err = json.Marshal(map[string]string{"code": code}); err != nil {
			return p, errors.New("code cannot be encoded")
		}
	}
	return p, instruction{p.Order, p.Account != nil, p.Code != nil}.check("")
}

// id is the row's own, or made of what it says.
func (c cells) id(merchant string, seen map[string]int) (string, error) {
	id := c.get("id")
	switch {
	case id == "":
		name := fmt.Sprintf("%s %q %q %q", merchant, c.get("reference"), c.get("amount"), c.get("currency"))
		if op := c.get("operation"); op != "" && op != string(envelope.OpSale) {
			name += fmt.Sprintf(" %q %q %q", op, c.get("of"), c.get("token"))
		}
		id = rowID(name, seen[name])
		seen[name]++
	case !envelope.ValidID(id):
		return "", errors.New("id is not a UUID of version 4 or 7 in lower case")
	case seen[id] > 0: // two instructions under one id: the vault would take whichever came first
		return "", errors.New("id is that of a row before")
	}
	seen[id]++
	return id, nil
}

// account is the JSON of the row's card or bank account, nil where it has none.
func (c cells) account() ([]byte, error) {
	card, bank := c.filled(cardColumns), c.filled(bankColumns)
	kind, members := "card", card
	switch {
	case len(card) > 0 && len(bank) > 0:
		return nil, errors.New("a row has a card or a bank account, not both")
	case len(bank) > 0:
		kind, members = "bank", bank
	case len(card) == 0 && c.get("name") != "":
		return nil, errors.New("name is there without an account")
	case len(card) == 0:
		return nil, nil
	}
	if name := c.get("name"); name != "" {
		members["name"] = name
	}
	account, err := json.Marshal(map[string]any{kind: members})
	if err != nil {
		return nil, errors.New("account cannot be encoded")
	}
	return account, nil
}

// filled are those of the columns that are not empty.
func (c cells) filled(columns []string) map[string]string {
	filled := map[string]string{}
	for _, column := range columns {
		if value := c.get(column); value != "" {
			filled[column] = value
		}
	}
	return filled
}

// rowID makes the id of a row out of merchant, reference, amount, currency, operation and how many
// equal rows stand before it, marked as version 4, the form that a vault takes. So a file is posted
// again safely, also when rows have been put in, taken out or sorted since.
func rowID(name string, before int) string {
	id := uuid.NewSHA1(uuid.MustParse(rowSpace), fmt.Appendf(nil, "%s %d", name, before))
	id[6] = id[6]&0x0f | 0x40
	return id.String()
}
