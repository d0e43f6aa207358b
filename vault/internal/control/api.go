package control

import (
	"context"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/payment"
	"nightdrop/vault/internal/settle"
)

// Vault is what the server serves: the daemon. Methods may be called concurrently. Those that need the ledger fail with an
// error of code locked while the vault is.
type Vault interface {
	Status(ctx context.Context) (Status, error)
	Unlock(ctx context.Context, actor settle.Actor, shares Shares, confirmClock bool) (Unlocked, error)
	Lock(ctx context.Context, actor settle.Actor) error

	Merchants(ctx context.Context) ([]Merchant, error)
	Merchant(ctx context.Context, id string) (Merchant, error)
	AddMerchant(ctx context.Context, actor settle.Actor, m NewMerchant) (Merchant, error)
	SuspendMerchant(ctx context.Context, actor settle.Actor, id string) (Merchant, error)
	ResumeMerchant(ctx context.Context, actor settle.Actor, id string) (Merchant, error)

	Directory(ctx context.Context) (Directory, error)
	PublishDirectory(ctx context.Context, actor settle.Actor) (Directory, error)
	Keys(ctx context.Context) ([]Key, error)

	Batches(ctx context.Context, merchant string) ([]Batch, error)
	Batch(ctx context.Context, number uint32) (Batch, error)
	CloseBatches(ctx context.Context, actor settle.Actor, merchant string, progress settle.Progress) ([]Batch, error)
	Settle(ctx context.Context, actor settle.Actor, batch uint32, progress settle.Progress) (Settlement, error)

	Payments(ctx context.Context, q PaymentQuery) ([]Payment, error)
	Payment(ctx context.Context, merchant, id string) (Payment, error)

	ExportLog(ctx context.Context, dir string, progress settle.Progress) (Export, error)
}

// Status is what the vault is doing. Of a locked vault only the first group is known.
type Status struct {
	Vault     string        `json:"vault"`
	Verifier  string        `json:"verifier"` // vkey
	Version   string        `json:"version"`
	Started   envelope.Time `json:"started"`
	Locked    bool          `json:"locked"`
	Threshold int           `json:"threshold"` // shares that unlock
	Shares    int           `json:"shares"`    // shares that there are

	Generation uint64                     `json:"generation,omitempty"`
	LogSize    int64                      `json:"logSize,omitempty"` // entries
	Merchants  int                        `json:"merchants,omitempty"`
	Working    map[payment.Stage]int      `json:"working,omitempty"`  // payments that are not final, by stage, counted to MaxCounted
	Findings   map[payment.Finding]uint64 `json:"findings,omitempty"` // integrity findings, ever
	Channel    string                     `json:"channel,omitempty"`  // "connected" or why not
	Acquirer   string                     `json:"acquirer,omitempty"` // "ready" or why not
	Clock      string                     `json:"clock,omitempty"`    // "trusted", or what to do about it
}

// MaxCounted bounds the counts of a Status, so that asking costs the same however much waits.
const MaxCounted = 100_000

// Unlocked tells what an unlock did.
type Unlocked struct {
	Vault     string `json:"vault"`
	Already   bool   `json:"already"`        // it was unlocked before; the shares were checked all the same
	Clock     string `json:"clock"`          // as in Status
	Confirmed bool   `json:"clockConfirmed"` // by this call
}

// Merchant is a merchant as operators see it.
type Merchant struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Status     string        `json:"status"`
	Verifiers  []string      `json:"verifiers"`
	ReplyKeys  []string      `json:"replyKeys"`
	Acceptor   string        `json:"acceptor"`
	Currencies []string      `json:"currencies"`
	Added      envelope.Time `json:"added"`
	Results    uint64        `json:"results"`             // serial of the newest
	OpenBatch  uint32        `json:"openBatch,omitempty"` // number
}

// NewMerchant is what `merchant add` sends.
type NewMerchant struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Verifiers  []string `json:"verifiers"` // vkeys whose name is the id
	ReplyKeys  []string `json:"replyKeys"` // KEYNAME+BASE64
	Acceptor   string   `json:"acceptor"`  // 1 to 15 of A-Z0-9; empty: made from the id
	Currencies []string `json:"currencies"`
}

// Directory is the newest directory note and what it says.
type Directory struct {
	Note      string             `json:"note"`
	Digest    string             `json:"digest"`
	Directory envelope.Directory `json:"directory"`
}

// Key is the public side of a sealing key.
type Key struct {
	Name  envelope.KeyName `json:"name"`
	Suite envelope.Suite   `json:"suite"`
	From  envelope.Time    `json:"from"`
	Until envelope.Time    `json:"until"`
	Dies  envelope.Time    `json:"dies"`
	State string           `json:"state"` // "ahead", "current" or "accepting"
}

// Batch is a batch as operators see it.
type Batch struct {
	ID          string             `json:"id"`
	Number      uint32             `json:"number"`
	Merchant    string             `json:"merchant"`
	Method      payment.Method     `json:"method"`
	Stage       payment.BatchStage `json:"stage"`
	Opened      envelope.Time      `json:"opened"`
	Closed      *envelope.Time     `json:"closed,omitempty"`
	SettledAt   *envelope.Time     `json:"settled,omitempty"`
	Totals      []payment.Total    `json:"totals"`
	Host        []payment.Total    `json:"host,omitempty"` // the acquirer's, where they differ
	Outstanding int64              `json:"outstanding"`
	Unresolved  int64              `json:"unresolved"`
	Done        int64              `json:"done"` // payments settled
}

// Settlement is what a settle did.
type Settlement struct {
	Batches  []Batch `json:"batches"`
	Payments int     `json:"payments"` // settled by this run
}

// PaymentQuery selects payments; zero members do not restrict.
type PaymentQuery struct {
	Merchant string
	Stage    payment.Stage
	Batch    uint32
	After    uint64 // number of the last payment of the page before
	Limit    int    // at most MaxPage
}

// MaxPage bounds one answer of payments.
const MaxPage = 1000

// Payment is a payment as operators see it: never more of its account than the masked number.
type Payment struct {
	Merchant  string             `json:"merchant"`
	ID        string             `json:"id"`
	Number    uint64             `json:"number"` // in the vault, in the order of arrival
	Digest    string             `json:"digest"`
	Stage     payment.Stage      `json:"stage"`
	Code      envelope.Code      `json:"code,omitempty"`
	Operation envelope.Operation `json:"operation,omitempty"`
	Amount    int64              `json:"amount"`
	Currency  string             `json:"currency,omitempty"`
	Reference string             `json:"reference,omitempty"`
	Masked    string             `json:"masked,omitempty"`
	Brand     string             `json:"brand,omitempty"`
	Approval  string             `json:"approval,omitempty"`
	Batch     uint32             `json:"batch,omitempty"`
	Received  envelope.Time      `json:"received"`
	Changed   envelope.Time      `json:"changed"`
	Trace     *payment.Trace     `json:"trace,omitempty"`
	Reversal  *payment.Trace     `json:"reversal,omitempty"`
	Tries     int                `json:"tries,omitempty"`
	Results   []uint64           `json:"results,omitempty"`
}

// Export tells what `audit export` wrote.
type Export struct {
	Dir  string `json:"dir"`
	Size int64  `json:"size"` // entries
	Root string `json:"root"` // base64, as in the checkpoint
}
