package control

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/report"
)

func (q BatchQuery) values() url.Values {
	return url.Values{"merchant": {q.Merchant}, "method": {string(q.Method)}}
}

func batchPath(number uint32) string { return "/batches/" + strconv.FormatUint(uint64(number), 10) }

// Batches lists them.
func (c *Client) Batches(ctx context.Context, q BatchQuery) ([]Batch, error) {
	return get[[]Batch](ctx, c, "/batches", q.values())
}

// Batch shows one.
func (c *Client) Batch(ctx context.Context, number uint32) (Batch, error) {
	return get[Batch](ctx, c, batchPath(number), nil)
}

// CloseBatches closes the open batches that q selects.
func (c *Client) CloseBatches(ctx context.Context, q BatchQuery, progress operator.Progress) ([]Batch, error) {
	return follow[[]Batch](ctx, c, "/batches/close", q.values(), progress)
}

// Settle settles a batch, or all closed ones (of a method, unless that is empty) when number is
// book.AllBatches. With an error comes what was done.
func (c *Client) Settle(ctx context.Context, number uint32, method book.Method, progress operator.Progress) (Settlement, error) {
	return follow[Settlement](ctx, c, "/batches/settle", url.Values{"method": {string(method)}, "batch": {given(number)}}, progress)
}

// Compare holds an acquirer's listing against a batch.
func (c *Client) Compare(ctx context.Context, number uint32, listing io.Reader) (Comparison, error) {
	return post[Comparison](ctx, c, batchPath(number)+"/compare", nil, listing)
}

// Agree gives the vault the acquirer's listing that a batch is settled by.
func (c *Client) Agree(ctx context.Context, number uint32, listing io.Reader) (Comparison, error) {
	return post[Comparison](ctx, c, batchPath(number)+"/agree", nil, listing)
}

// Adjust takes a named difference into a batch.
func (c *Client) Adjust(ctx context.Context, number uint32, a Adjustment) (Batch, error) {
	return sendJSON[Batch](ctx, c, batchPath(number)+"/adjust", a)
}

// Report gets a report, its rows given to each as they come.
func (c *Client) Report(ctx context.Context, q ReportQuery, each func([]report.Payment) error) (report.Report, error) {
	query := url.Values{"from": {q.From}, "to": {q.To}, "merchant": {q.Merchant}, "rows": {strconv.FormatBool(q.Rows)}, "batch": {given(q.Batch)}}
	return read[report.Report](ctx, c, http.MethodGet, "/report", query, func(l line) error { return each(l.Rows) })
}

// Resolve records what became of a manual payment.
func (c *Client) Resolve(ctx context.Context, r Resolution) (Payment, error) {
	return sendJSON[Payment](ctx, c, "/payments/resolve", r)
}

// ImportReturns gives the vault a file of the bank; name is what the log calls it.
func (c *Client) ImportReturns(ctx context.Context, name string, file io.Reader) (Import, error) {
	return post[Import](ctx, c, "/returns", url.Values{"name": {name}}, file)
}

// Payments finds a page.
func (c *Client) Payments(ctx context.Context, q PaymentQuery) (PaymentPage, error) {
	return get[PaymentPage](ctx, c, "/payments", q.values())
}

// Payment shows one.
func (c *Client) Payment(ctx context.Context, merchant, id string) (Payment, error) {
	return get[Payment](ctx, c, "/payments/"+url.PathEscape(merchant)+"/"+url.PathEscape(id), nil)
}

// FileAgain has a settlement file that was out be put into the bank's outbox once more.
func (c *Client) FileAgain(ctx context.Context, name string) (File, error) {
	return send[File](ctx, c, "/files/"+url.PathEscape(name)+"/again", nil, nil)
}
