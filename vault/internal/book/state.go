package book

import (
	"fmt"
	"maps"

	"nightdrop/shared/envelope"
)

// State is what the fold reads and writes. The ledger keeps it in sealed records inside one transaction, a replay in
// maps. Get methods report false where there is nothing; every error is the store's own and aborts the transaction.
// Implementations need not be safe for concurrent use.
type State interface {
	Vault() (Vault, error) // the zero Vault before VaultCreated
	PutVault(Vault) error
	Merchant(id string) (Merchant, bool, error)
	PutMerchant(Merchant) error
	Payment(merchant, id string) (Payment, bool, error)
	PutPayment(Payment) error
	Batch(number uint32) (Batch, bool, error)
	PutBatch(Batch) error
	Run(relay, run string) (Run, bool, error)
	PutRun(Run) error
	Bag(relay, run string, number uint64) (Bag, bool, error)
	PutBag(Bag) error
	Token(merchant, token string) (Token, bool, error)
	PutToken(Token) error
	Block(merchant, fingerprint string) (Block, bool, error)
	PutBlock(Block) error
	File(name string) (File, bool, error)
	PutFile(File) error
	Entry(trace string) (Entry, bool, error)
	PutEntry(Entry) error
	Auditor(name string) (Auditor, bool, error)
	PutAuditor(Auditor) error
	Finding(number uint64) (Found, bool, error)
	PutFinding(Found) error
}

// Vault is the state of the vault itself.
type Vault struct {
	Name       string              `json:"name"`
	Generation uint64              `json:"generation"`
	Signer     string              `json:"signer"` // vkey
	Relays     []string            `json:"relays,omitempty"`
	Keys       []envelope.KeyName  `json:"keys,omitempty"` // sealing keys that live, as far as the log tells; sorted
	Directory  uint64              `json:"directory"`      // serial of the newest directory
	Members    uint64              `json:"members"`        // serial of the newest members note
	Payments   uint64              `json:"payments"`       // how many there are: the number of the newest
	NextBatch  uint32              `json:"nextBatch"`      // 1 to 999999
	Terminals  map[string]Terminal `json:"terminals,omitempty"`
	LatestRun  map[string]string   `json:"latestRun,omitempty"` // by relay: its newest run
	Findings   map[Finding]uint64  `json:"findings,omitempty"`  // how many of each
	// Acknowledged is how many of them people have acknowledged.
	Acknowledged map[Finding]uint64 `json:"acknowledged,omitempty"`
	Files        FileCounter        `json:"files,omitzero"`
}

// Terminal is the trace counter of one terminal: STANs count from 1 in each business day (UTC date of Sent).
type Terminal struct {
	Day    string `json:"day"` // YYYY-MM-DD
	STAN   uint32 `json:"stan"`
	Number int    `json:"number"` // of the terminal in the vault for ever, 0 to 99, in the order of first use
}

// MaxTerminals bounds how many terminal names a vault can use in its life: two digits of the RRN.
const MaxTerminals = 100

// NextTrace gives the trace numbers of the next message of the first terminal that has one left on that day; committing an
// event that carries them uses them up, so it is called in the transaction that appends that event. A number that held says an open message
// of an earlier day has is passed over (nil: there are none): an answer to the one must not be taken for an answer to the other. It fails
// when no terminal has one of its 999,999 numbers of that day left.
func (v Vault) NextTrace(terminals []string, acceptor string, now envelope.Time, held func(terminal string, stan uint32) bool) (Trace, error) {
	day := now.DateText("")
	for _, name := range terminals {
		used, known := v.Terminals[name]
		if !known {
			used.Number = len(v.Terminals)
		}
		if used.Day < day {
			used.Day, used.STAN = day, 0
		}
		if used.Day != day || used.Number >= MaxTerminals {
			continue
		}
		stan := used.STAN + 1
		for held != nil && stan <= maxSTAN && held(name, stan) {
			stan++
		}
		if stan <= maxSTAN {
			// Year digit, day of the year, terminal, STAN: unique for ten years, whatever the order of the configuration.
			rrn := fmt.Sprintf("%d%03d%02d%06d", now.Year()%10, now.YearDay(), used.Number, stan)
			return Trace{STAN: stan, RRN: rrn, Terminal: name, Acceptor: acceptor, Sent: now}, nil
		}
	}
	return Trace{}, fmt.Errorf("all %d terminals have used their trace numbers of %s: configure more terminals", len(terminals), day)
}

// traced returns the terminals' counters after a message of trace t; it refuses a trace number that was used before.
func (v Vault) traced(t Trace) (map[string]Terminal, error) {
	used, known := v.Terminals[t.Terminal]
	day := t.Sent.DateText(used.Day)
	if !known {
		used.Number = len(v.Terminals)
	}
	if used.Number >= MaxTerminals || used.Day > day || used.Day == day && t.STAN <= used.STAN || t.STAN < 1 || t.STAN > maxSTAN {
		return nil, misfit("trace number %d of terminal %s on %s is used", t.STAN, t.Terminal, day)
	}
	terminals := maps.Clone(v.Terminals)
	if terminals == nil {
		terminals = map[string]Terminal{}
	}
	terminals[t.Terminal] = Terminal{Day: day, STAN: t.STAN, Number: used.Number}
	return terminals, nil
}

const maxSTAN = 999_999

// MaxBatch is the last number of a batch, of either method: six digits on the wire to the acquirer. No number is used twice.
const MaxBatch = 999_999

// MayOpenBatch tells whether there is a number left for another batch. Without, what would join one is refused (result code limit).
func (v Vault) MayOpenBatch() bool { return v.NextBatch <= MaxBatch }

// MerchantStatus is active or suspended.
type MerchantStatus string

// The statuses of a merchant, as in a members note.
const (
	MerchantActive  MerchantStatus = "active"
	MerchantStopped MerchantStatus = "suspended"
)

// Merchant is a business whose storefronts send envelopes.
type Merchant struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Status     MerchantStatus `json:"status"`
	Verifiers  []string       `json:"verifiers"`
	ReplyKeys  []string       `json:"replyKeys"`
	Acceptor   string         `json:"acceptor"`
	Currencies []string       `json:"currencies"`
	Added      envelope.Time  `json:"added"`
	Results    uint64         `json:"results"`             // serial of the newest result
	OpenBatch  uint32         `json:"openBatch,omitempty"` // card batch that new authorisations and captures join
	OpenBank   uint32         `json:"openBank,omitempty"`  // bank batch that new entries join
	Policy     Policy         `json:"policy,omitzero"`
	Usage      Usage          `json:"usage,omitzero"`
	Version    uint64         `json:"version"` // grows when verifiers or status change
	Refusals   Refusals       `json:"refusals"`
	Compared   Comparisons    `json:"compared,omitzero"`

	Republished envelope.Time `json:"republished,omitzero"` // when the vault last published by itself what RESULTS had lost: once a day at most
}

// Refusals bounds what a stranger can make the vault say: results of code unknown-signer per UTC day.
type Refusals struct {
	Day   string `json:"day,omitempty"`
	Count int    `json:"count,omitempty"`
}

// MaxRefusals is how many unknown-signer results a merchant gets a day: enough for a storefront whose key was removed to
// learn of it, too few for a stolen relay to flood a merchant's chain. Above it only the integrity finding remains.
const MaxRefusals = 100

// Payment is one instruction and what became of it. (Merchant, ID) is Digest for ever.
type Payment struct {
	Merchant    string             `json:"merchant"`
	ID          string             `json:"id"`
	Number      uint64             `json:"number"` // in the vault, from 1, in the order of arrival
	Digest      string             `json:"digest"`
	Stage       Stage              `json:"stage"`
	Received    envelope.Time      `json:"received"`
	Changed     envelope.Time      `json:"changed"`
	Until       envelope.Time      `json:"until,omitzero"`
	Operation   envelope.Operation `json:"operation,omitempty"`
	Amount      int64              `json:"amount,omitempty"`
	Currency    string             `json:"currency,omitempty"`
	Reference   string             `json:"reference,omitempty"`
	Descriptor  string             `json:"descriptor,omitempty"`
	Masked      string             `json:"masked,omitempty"`
	Brand       string             `json:"brand,omitempty"`
	Fingerprint string             `json:"fingerprint,omitempty"`
	WithCode    bool               `json:"withCode,omitempty"`
	Method      Method             `json:"method,omitempty"`
	Of          string             `json:"of,omitempty"`    // id of the payment that a capture, refund or void is about
	Token       string             `json:"token,omitempty"` // of the stored account that it uses, made or changed
	Authorised  envelope.Time      `json:"authorised,omitzero"`
	Capturing   int64              `json:"capturing,omitempty"` // of an authorisation: captured, or about to be
	Captured    int64              `json:"captured,omitempty"`  // of an authorisation: captures that the host took
	Refunded    int64              `json:"refunded,omitempty"`  // of a sale or authorisation: refunded, or about to be
	Void        string             `json:"void,omitempty"`      // id of the void that takes it back
	Standard    string             `json:"standard,omitempty"`  // of a bank entry: WEB, PPD or CCD
	Entry       string             `json:"entry,omitempty"`     // of a bank entry: its trace number, 15 digits
	File        string             `json:"file,omitempty"`      // of a bank entry: the settlement file
	Notice      string             `json:"notice,omitempty"`    // of a bank entry: code of the newest notice of change, C01 to C99
	Notices     []string           `json:"notices,omitempty"`   // of a bank entry: codes of the notices that its merchant was told, oldest first
	Acked       bool               `json:"acked,omitempty"`     // of a bank entry: the receiving bank acknowledged it
	Code        envelope.Code      `json:"code,omitempty"`
	Approval    string             `json:"approval,omitempty"`
	Batch       uint32             `json:"batch,omitempty"`
	Trace       *Trace             `json:"trace,omitempty"`
	Reversal    *Trace             `json:"reversal,omitempty"`
	Tries       int                `json:"tries,omitempty"`   // reversals sent, or of a capture: captures
	Resent      *Resent            `json:"resent,omitempty"`  // a person had that sent again
	Answer      envelope.Code      `json:"answer,omitempty"`  // of what is being reversed or captured: the newest answer, where it settled nothing
	First       envelope.Code      `json:"first,omitempty"`   // of a capture: the answer to its first try, where it settled nothing
	Results     []uint64           `json:"results,omitempty"` // serials, oldest first
	Conflicts   []Conflict         `json:"conflicts,omitempty"`
	Mismatches  int                `json:"mismatches,omitempty"` // refunds of it that named another account
	Decisions   []Decision         `json:"decisions,omitempty"`  // what people said became of it, oldest first
	AtHost      bool               `json:"atHost,omitempty"`     // a person said so: it stands at the host, though its merchant was told otherwise
	InTotals    bool               `json:"inTotals,omitempty"`   // its batch's fixed totals count it, though its merchant was told otherwise since
}

// Conflict is another digest of a payment's id, and the result that refused it.
type Conflict struct {
	Digest string `json:"digest"`
	Serial uint64 `json:"serial"`
}

// MaxConflicts bounds how many id-conflict results one id can cause: enough for a sender with a bug to learn of it, too few
// for a relay that repeats old envelopes to flood a merchant's chain. The last of them, the ninth (specification 7), goes with a
// finding; later ones are counted in their bag, and no more. Logs of before 2026-12 have eight at most.
const MaxConflicts = 9

// Refused returns the serial of the result that refused digest under p's id before.
func (p Payment) Refused(digest string) (serial uint64, ok bool) {
	for _, c := range p.Conflicts {
		if c.Digest == digest {
			return c.Serial, true
		}
	}
	return 0, false
}

// MayRefuse tells whether digest may get an id-conflict result: it is another one than p's, was not refused before, and
// there is room to remember it.
func (p Payment) MayRefuse(digest string) bool {
	_, refused := p.Refused(digest)
	return digest != p.Digest && !refused && len(p.Conflicts) < MaxConflicts
}

// Method is how money moves.
type Method string

// The methods.
const (
	MethodCard Method = "card" // authorised by an acquirer host, settled by reconciliation with it
	MethodBank Method = "bank" // an entry of a NACHA file
)

// Methods are how money moves.
var Methods = [...]Method{MethodCard, MethodBank}

// BatchStage is where a batch stands.
type BatchStage string

// The stages of a batch.
const (
	BatchOpen    BatchStage = "open"    // new authorisations join
	BatchCutover BatchStage = "closing" // none join; some are still in flight
	BatchFixed   BatchStage = "closed"  // immutable
	BatchDiffers BatchStage = "differs" // the acquirer's totals are not ours
	BatchDone    BatchStage = "settled" // final
)

// Batch collects a merchant's payments of one method.
type Batch struct {
	Number      uint32        `json:"number"` // 1 to 999999, unique in the vault
	Merchant    string        `json:"merchant"`
	Method      Method        `json:"method"`
	Stage       BatchStage    `json:"stage"`
	Opened      envelope.Time `json:"opened"`
	Closed      envelope.Time `json:"closed,omitzero"`
	Settled     envelope.Time `json:"settled,omitzero"`
	Totals      []Total       `json:"totals,omitempty"`      // of what stands, by currency, sorted
	HashTotal   uint64        `json:"hashTotal,omitempty"`   // sum of the numbers of what stands, modulo 10^10: tells whether it is the same payments
	Outstanding int64         `json:"outstanding,omitempty"` // authorising, capturing, voiding: answers to come
	Unresolved  int64         `json:"unresolved,omitempty"`  // unknown or manual: reversals, or a person's word, to come
	Done        int64         `json:"done,omitempty"`        // payments settled
	Failed      []Total       `json:"failed,omitempty"`      // bank: entries whose account could not be opened for the file
	File        string        `json:"file,omitempty"`        // bank: the settlement file
	Agreed      []Total       `json:"agreed,omitempty"`      // currencies whose totals the host confirmed
	Host        []Total       `json:"host,omitempty"`        // the host's totals where they differ
	Corrected   int64         `json:"corrected,omitempty"`   // of Totals: payments that a person's correction has taken out since
	Lines       []Adjustment  `json:"lines,omitempty"`       // what the acquirer has otherwise, and why that is accepted; oldest first
	By          Way           `json:"by,omitempty"`          // what it was agreed by, where not by the host's 0510
}

// ID is the batch's name to the outside: "card-000017".
func (b Batch) ID() string { return BatchID(b.Method, b.Number) }

// AllBatches stands for every batch where one may be named: their numbers begin at 1.
const AllBatches uint32 = 0

// BatchID is a batch's name to the outside: 1 to 32 of a-z0-9-.
func BatchID(m Method, number uint32) string { return fmt.Sprintf("%s-%06d", m, number) }

// Count is the number of payments that stand, in all currencies.
func (b Batch) Count() int64 { return countOf(b.Totals) }

// Due is how many of them are still to be settled.
func (b Batch) Due() int64 { return b.Count() - countOf(b.Failed) - b.Done - b.Corrected }

func countOf(totals []Total) (n int64) {
	for _, t := range totals {
		n += t.Count + t.Credits
	}
	return n
}

// Run is what the vault knows of one relay process's chain of bags.
type Run struct {
	Relay  string            `json:"relay"`
	ID     string            `json:"id"`              // 32 hex
	Number uint64            `json:"number"`          // the signed position: every bag at or below it came or is a finding
	Digest string            `json:"digest"`          // of that bag
	Ahead  map[uint64]string `json:"ahead,omitempty"` // digests of bags that came above Number+1, at most MaxAhead
	Window int               `json:"window"`
	Before string            `json:"before,omitempty"` // the relay's newest run when the vault first heard of this one
	Latest envelope.Time     `json:"latest"`           // when a bag of it last came
}

// MaxAhead bounds Run.Ahead: a relay has at most 8 bags in flight (specification 8).
const MaxAhead = 8

// Bag is one committed bag number and the digests seen under it: more than one is a fork.
type Bag struct {
	Relay   string   `json:"relay"`
	Run     string   `json:"run"`
	Number  uint64   `json:"number"`
	Digests []string `json:"digests"` // at most MaxForks
}

// MaxForks bounds Bag.Digests. Envelopes of further forks are still processed; their digests are not remembered.
const MaxForks = 8
