package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

// Summary is what became of a CSV file's rows at the relay.
type Summary struct {
	Posted   int            `json:"posted"`            // rows of this merchant
	Accepted int            `json:"accepted"`          // with a receipt that verified
	Refused  map[string]int `json:"refused,omitempty"` // by the relay's code
	Passed   int            `json:"passedOver"`        // rows of other merchants
}

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
	poster := csvPoster{options: o, client: client, outbox: outbox, refused: map[string]int{}, bar: newBar(len(rows), progress)}
	if err := poster.postAll(ctx, rows); err != nil {
		return fmt.Errorf("%w\n%d of %d rows have receipts; run the same command again to post the others", err, poster.accepted.Load(), len(rows))
	}
	summary := Summary{len(rows), int(poster.accepted.Load()), poster.refused, passed}
	if o.asJSON {
		return json.NewEncoder(out).Encode(summary)
	}
	fmt.Fprintf(out, "%s: posted %d, accepted %d\n", client.Merchant(), summary.Posted, summary.Accepted)
	for code, count := range summary.Refused {
		fmt.Fprintf(out, "%s: refused by the relay as %s: %d\n", client.Merchant(), code, count)
	}
	return nil
}

type csvPoster struct {
	options  postOptions
	client   *storefront.Client
	outbox   *storefront.Outbox
	bar      *progressbar.ProgressBar
	accepted atomic.Int64
	mu       sync.Mutex
	refused  map[string]int
}

func (p *csvPoster) postAll(ctx context.Context, rows []row) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(min(max(p.options.concurrency, 1), maxConnections))
	for _, r := range rows {
		group.Go(func() error {
			if err := p.post(ctx, r.payment); err != nil {
				return fmt.Errorf("line %d: %w", r.line, err)
			}
			return p.bar.Add(1)
		})
	}
	return errors.Join(group.Wait(), p.bar.Finish())
}

func (p *csvPoster) post(ctx context.Context, payment storefront.Payment) error {
	kept, err := p.outbox.Find(payment.ID)
	if err != nil {
		sealed, err := p.client.Seal(ctx, payment)
		if err != nil {
			return err
		}
		if kept, err = p.outbox.Keep(sealed); err != nil {
			return err
		}
	}
	clear(payment.Account)
	clear(payment.Code)
	ctx, cancel := context.WithTimeout(ctx, p.options.timeout)
	defer cancel()
	_, err = p.client.Post(ctx, kept.Note)
	var refused *storefront.Refused
	if errors.As(err, &refused) && !refused.Temporary() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.refused[refused.Code]++
		return nil
	}
	if err == nil {
		p.accepted.Add(1)
	}
	return err
}

// readCSV reads the rows of one merchant. Errors name the line and the column, never a value.
func readCSV(path, merchant string) (rows []row, passed int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	reader := csv.NewReader(f)
	header, err := reader.Read()
	if err != nil {
		return nil, 0, fmt.Errorf("%s: no header: %w", path, err)
	}
	columns := map[string]int{}
	for i, name := range header {
		if !slices.Contains(knownColumns, name) {
			return nil, 0, fmt.Errorf("%w: %s: unknown column %q: the columns are %v", errUsage, path, name, knownColumns)
		}
		columns[name] = i
	}
	for _, name := range []string{"reference", "amount", "currency", "number", "expiry"} {
		if _, ok := columns[name]; !ok {
			return nil, 0, fmt.Errorf("%w: %s: column %q is missing", errUsage, path, name)
		}
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows, passed, nil
		}
		line, _ := reader.FieldPos(0)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: line %d has not as many columns as the header", path, line)
		}
		cells := cells{columns, record}
		if m := cells.get("merchant"); m != "" && m != merchant {
			passed++
			continue
		}
		payment, err := cells.payment(merchant, line)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: line %d: %w", path, line, err)
		}
		rows = append(rows, row{line, payment})
	}
}

var knownColumns = []string{"id", "merchant", "reference", "amount", "currency", "number", "expiry", "name", "code", "descriptor"}

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

// rowSpace names the ids of rows that bring none: the same row of the same line gives the same id, so a file is posted again safely.
var rowSpace = uuid.MustParse("6f0c2d7e-9c0b-4a5e-8f1d-3b1f0a7c5d21")

func (c cells) payment(merchant string, line int) (storefront.Payment, error) {
	amount, err := strconv.ParseInt(c.get("amount"), 10, 64)
	if err != nil {
		return storefront.Payment{}, errors.New("amount is not a whole number of minor units")
	}
	id := c.get("id")
	if id == "" {
		id = rowID(merchant, line, c.get("reference"), c.get("amount"), c.get("currency"))
	}
	card := map[string]string{"number": c.get("number"), "expiry": c.get("expiry")}
	if name := c.get("name"); name != "" {
		card["name"] = name
	}
	account, err := json.Marshal(map[string]any{"card": card})
	if err != nil {
		return storefront.Payment{}, errors.New("account cannot be encoded")
	}
	payment := storefront.Payment{ID: id, Account: account, Order: envelope.Order{Operation: envelope.OpSale,
		Reference: c.get("reference"), Amount: amount, Currency: c.get("currency"), Descriptor: c.get("descriptor")}}
	if code := c.get("code"); code != "" {
		if payment.Code, err = json.Marshal(map[string]string{"code": code}); err != nil {
			return storefront.Payment{}, errors.New("code cannot be encoded")
		}
	}
	return payment, nil
}

// rowID hashes what names a row into a UUID and marks it as version 4, the form that a vault takes.
func rowID(merchant string, line int, parts ...string) string {
	name := fmt.Sprintf("%s\n%d\n%q", merchant, line, parts)
	id := uuid.NewSHA1(rowSpace, []byte(name))
	id[6] = id[6]&0x0f | 0x40
	return id.String()
}

// newBar draws on a terminal only.
func newBar(total int, progress io.Writer) *progressbar.ProgressBar {
	f, isFile := progress.(*os.File)
	visible := isFile && term.IsTerminal(int(f.Fd()))
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(progress), progressbar.OptionSetVisibility(visible),
		progressbar.OptionSetDescription("posting"), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
}
