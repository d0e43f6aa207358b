package control

import (
	"context"
	"io"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/report"
)

// Vault is what the server serves: the daemon. Methods may be called concurrently. Those that need
// the ledger fail with an error of code locked while the vault is.
type Vault interface {
	Status(ctx context.Context) (Status, error)
	Unlock(ctx context.Context, actor operator.Actor, shares Shares, o UnlockOptions) (Unlocked, error)
	// CheckShare says whose share each is, locked or not, and changes nothing.
	CheckShare(ctx context.Context, shares Shares) (CheckedShare, error)
	Lock(ctx context.Context, actor operator.Actor) error

	Merchants(ctx context.Context) ([]Merchant, error)
	Merchant(ctx context.Context, id string) (Merchant, error)
	AddMerchant(ctx context.Context, actor operator.Actor, m NewMerchant) (Merchant, error)
	UpdateMerchant(ctx context.Context, actor operator.Actor, id string, change MerchantChange) (Merchant, error)
	SuspendMerchant(ctx context.Context, actor operator.Actor, id string) (Merchant, error)
	ResumeMerchant(ctx context.Context, actor operator.Actor, id string) (Merchant, error)
	SetPolicy(ctx context.Context, actor operator.Actor, id string, change PolicyChange) (Merchant, error)

	Directory(ctx context.Context) (Directory, error)
	PublishDirectory(ctx context.Context, actor operator.Actor) (Directory, error)
	Keys(ctx context.Context) ([]Key, error)

	Batches(ctx context.Context, q BatchQuery) ([]Batch, error)
	Batch(ctx context.Context, number uint32) (Batch, error)
	CloseBatches(ctx context.Context, actor operator.Actor, q BatchQuery, progress operator.Progress) ([]Batch, error)
	Settle(ctx context.Context, actor operator.Actor, batch uint32, method book.Method, progress operator.Progress) (Settlement, error)
	// FileAgain puts a settlement file that was out into the bank's outbox once more; the actor's
	// purpose says why.
	FileAgain(ctx context.Context, actor operator.Actor, name string) (File, error)
	// Compare holds an acquirer's listing against a batch; it reads no further than it needs.
	Compare(ctx context.Context, batch uint32, listing io.Reader) (Comparison, error)
	// Agree takes an acquirer's listing that agrees with a batch in place of its host's 0510.
	Agree(ctx context.Context, actor operator.Actor, batch uint32, listing io.Reader) (Comparison, error)
	// Adjust takes a named difference into a batch; the actor's purpose is the reason.
	Adjust(ctx context.Context, actor operator.Actor, batch uint32, a Adjustment) (Batch, error)
	// Report gives the rows of a report to each, at most some hundred at a time, and then the
	// report. Where each is nil none are read; its error ends the report.
	Report(ctx context.Context, q ReportQuery, each func([]report.Payment) error) (report.Report, error)

	Payments(ctx context.Context, q PaymentQuery) (PaymentPage, error)
	Payment(ctx context.Context, merchant, id string) (Payment, error)
	Resolve(ctx context.Context, actor operator.Actor, r Resolution) (Payment, error)
	Resend(ctx context.Context, actor operator.Actor, r Resend) (PaymentsResent, error)
	// ImportReturns takes what is ours of a file of the bank; name is what the log calls it.
	ImportReturns(ctx context.Context, actor operator.Actor, name string, file io.Reader) (Import, error)

	// ResendResults publishes results of a merchant again, as many as fit its share of the channel.
	ResendResults(ctx context.Context, actor operator.Actor, q ResendQuery, progress operator.Progress) (Resent, error)

	// Check checks the whole ledger, and reports its progress in entries of the log.
	Check(ctx context.Context, progress operator.Progress) (Checked, error)

	// Findings lists integrity findings, the newest first.
	Findings(ctx context.Context, q FindingQuery) ([]Finding, error)
	Finding(ctx context.Context, number uint64) (Finding, error)
	// Acknowledge takes a person's word about findings, the actor's purpose, and returns those that
	// it changed.
	Acknowledge(ctx context.Context, actor operator.Actor, a Acknowledging) ([]Finding, error)

	Auditors(ctx context.Context) ([]Auditor, error)
	AddAuditor(ctx context.Context, actor operator.Actor, a NewAuditor) (Auditor, error)
	RemoveAuditor(ctx context.Context, actor operator.Actor, name string) (Auditor, error)
	ExportLog(ctx context.Context, actor operator.Actor, q ExportQuery, progress operator.Progress) (Export, error)
	WriteOpening(ctx context.Context, actor operator.Actor, q OpeningQuery, progress operator.Progress) (Opening, error)
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
	Disks     []Disk        `json:"disks"`     // what the vault writes to

	Rebuilding *Rebuilding `json:"rebuilding,omitempty"` // while an unlock rebuilds the ledger

	Messages `json:"messages"`

	Generation uint64 `json:"generation,omitempty"`
	LogSize    int64  `json:"logSize,omitempty"` // entries
	Merchants  int    `json:"merchants,omitempty"`
	// payments that are not final, by stage, counted to MaxCounted
	Working map[book.Stage]int  `json:"working,omitempty"`
	Open    map[book.Method]int `json:"open,omitempty"` // open batches, by method
	// settlement files that the bank has not fetched; absent where there is no bank
	Outbox   *int                    `json:"outbox,omitempty"`
	Findings map[book.Finding]uint64 `json:"findings,omitempty"` // integrity findings, ever
	Ready    *Ready                  `json:"ready,omitempty"`
	// what is repeated until it is answered, by kind
	Repeating map[string]Repeating `json:"repeating,omitempty"`
	// the acquirer's host takes messages and answers none
	HostSilent *Silence       `json:"hostSilent,omitempty"`
	Journals   []JournalPlace `json:"journals,omitempty"` // each place of the journal
	// of Findings, those that somebody has to look at and acknowledge
	OpenFindings uint64 `json:"openFindings,omitempty"`

	// of the channel, as they were last seen
	Streams      []Stream      `json:"streams,omitempty"`
	ResultShares *ResultShares `json:"resultShares,omitempty"` // of RESULTS
}

// Messages are sentences for people: how parts of the vault stand, and what to do.
type Messages struct {
	Clock    string `json:"clock,omitempty"`    // "steady", or what to do about it
	Channel  string `json:"channel,omitempty"`  // "connected" or why not
	Acquirer string `json:"acquirer,omitempty"` // "ready" or why not
	// "ready" and how far it has come, or why not and what to do about it
	Journal      string   `json:"journal,omitempty"`
	Certificates []string `json:"certificates,omitempty"` // that are near their end, or past it
	// what destroying a key does not reach on this host
	Remains []string `json:"remains,omitempty"`
}

// Ready reports which parts of an unlocked vault are as they should be.
type Ready struct {
	Clock    bool `json:"clock"`    // keys are destroyed by it
	Channel  bool `json:"channel"`  // it is connected
	Acquirer bool `json:"acquirer"` // new requests are sent to it
	Journal  bool `json:"journal"`  // it lets requests be sent and bags be read
}

// Disk is the room where the vault writes, in bytes.
type Disk struct {
	Place   string `json:"place"` // "ledger", "journal" or "bank outbox"
	Path    string `json:"path"`
	Free    int64  `json:"free"`
	Size    int64  `json:"size"`              // of the file system
	Reserve int64  `json:"reserve"`           // below which what is new waits
	Note    string `json:"message,omitempty"` // what waits, and what to do; or that it is near
}

// Stream is how full a stream of the channel is.
type Stream struct {
	Name     string   `json:"name"`
	Bytes    int64    `json:"bytes"`
	MaxBytes int64    `json:"maxBytes"` // 0 before it was seen
	Messages uint64   `json:"messages,omitempty"`
	Since    string   `json:"since,omitempty"`  // when the oldest message came, where that is known
	Notes    []string `json:"advice,omitempty"` // what is wrong with it, and what to do
}

// ResultShares is how merchants share RESULTS.
type ResultShares struct {
	// that each merchant may have there while it is over three quarters full; 0 before it was seen
	Results uint64 `json:"results"`
	// merchants over their share when it was last so full, with what they have there; at most 100
	Over []Holding `json:"over,omitempty"`
	// merchants with how many of their results were purged since the unlock; at most 100
	Purged []Holding `json:"purged,omitempty"`
}

// Holding is a merchant and a number of its results.
type Holding struct {
	Merchant string `json:"merchant"`
	Results  uint64 `json:"results"`
}

// MaxCounted bounds the counts of a Status, so that asking costs the same however much waits.
const MaxCounted = 100_000

// CheckedShare is a share that is the vault's.
type CheckedShare struct {
	Number    int `json:"number"`    // 1 to n
	Threshold int `json:"threshold"` // shares that unlock
}

// Unlocked is what an unlock did.
type Unlocked struct {
	Vault string `json:"vault"`
	// it was unlocked before; the shares were checked all the same
	Already   bool   `json:"already"`
	Clock     string `json:"message"`        // as in Messages
	Confirmed bool   `json:"clockConfirmed"` // by this call
	// LedgerConfirmed reports that this call put the custodians' word into the log for a journal
	// that was in doubt.
	LedgerConfirmed bool `json:"ledgerConfirmed"`
	// Rebuilt is there where the ledger was rebuilt first.
	Rebuilt *Rebuilt `json:"rebuilt,omitempty"`
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
