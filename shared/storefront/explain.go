package storefront

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"nightdrop/shared/envelope"
)

// Outcome is what became of an envelope, as far as the evidence shows.
type Outcome string

// The outcomes of an explanation.
const (
	// nothing is kept of it, and the vault never answered it
	OutcomeNeverPosted Outcome = "never-posted"
	// kept, without a relay's answer: any post of it is in doubt
	OutcomeNoReceipt  Outcome = "no-receipt"
	OutcomeRefused    Outcome = "refused"     // a relay refused it, and none gave a receipt
	OutcomeNoPosition Outcome = "no-position" // receipted; the relay shows no position of the vault
	OutcomeTooEarly   Outcome = "too-early"   // receipted after the vault's last position
	// receipted, and a later position of the vault does not reach its bag
	OutcomeNotAtVault Outcome = "not-at-vault"
	OutcomeAtVault    Outcome = "at-vault" // the vault has passed its bag; no result yet
	OutcomeOverdue    Outcome = "overdue"  // the vault has passed its bag, and had to answer by now
	OutcomeAnswered   Outcome = "answered" // a result with its digest came
	OutcomeConflict   Outcome = "conflict" // the vault answered another envelope under its id
	OutcomeWithheld   Outcome = "withheld" // the chain of results has a gap
	// the chain proves that it will never be answered
	OutcomeLapsed        Outcome = "lapsed"
	OutcomeContradiction Outcome = "log-contradicts" // the vault's log is not one story
)

// Explanation is what became of an envelope, who is answerable, and what to do. Its evidence is
// signed by the party it is about, and is in the outbox.
type Explanation struct {
	ID      string  `json:"id"`
	Outcome Outcome `json:"outcome"`
	// who dropped or delayed it, empty if nobody did
	By       string             `json:"by,omitempty"`
	Means    string             `json:"means"`
	Next     string             `json:"next"`
	Warnings []string           `json:"warnings,omitempty"`
	Digest   string             `json:"digest,omitempty"` // of the envelope kept
	Created  *envelope.Time     `json:"created,omitempty"`
	Until    *envelope.Time     `json:"until,omitempty"`
	Receipts []envelope.Receipt `json:"receipts,omitempty"`
	Refused  *Refusal           `json:"refused,omitempty"`
	// the vault's newest that the relay shows
	Position *envelope.Position `json:"position,omitempty"`
	// how far the results were followed, just now
	Chain   Chain  `json:"chain,omitzero"`
	Results []Told `json:"results,omitempty"`
	broken  error  // why the chain could not be followed further

	otherKey bool // an earlier key of the storefront's signed it
}

// Told is a result about the envelope.
type Told struct {
	Serial  uint64          `json:"serial"`
	Created envelope.Time   `json:"created"`
	Digest  string          `json:"digest"` // of the envelope that it answers
	Status  envelope.Status `json:"status"`
	Code    envelope.Code   `json:"code"`
	Index   uint64          `json:"index"`
	// size of the log by which it was proved; absent without a proof
	Checkpoint int64 `json:"checkpoint,omitempty"`
}

// Explain follows an envelope by what the outbox has of it, the results (to their end, without
// moving the outbox's chain) and the vault's position. It changes only what was seen of the log. It
// returns an error only if the relay or the outbox cannot be read: what is wrong with results is
// the explanation.
func (c *Client) Explain(ctx context.Context, box *Outbox, id string) (Explanation, error) {
	x := Explanation{ID: id}
	if err := x.readOutbox(c, box); err != nil {
		return x, err
	}
	for _, read := range []func(context.Context, *Client, *Outbox) error{x.readKept, x.readOfID, x.readChain} {
		err := read(ctx, c, box)
		switch {
		case errors.Is(err, ErrChain), errors.Is(err, ErrLog):
			x.broken = err
		case err != nil:
			return x, err
		}
	}
	if len(x.Receipts) > 0 {
		position, err := c.Position(ctx)
		refused, wasRefused := errors.AsType[*Refused](err)
		switch {
		case wasRefused && refused.Status == http.StatusNotFound:
		case err != nil:
			return x, err
		default:
			x.Position = &position
		}
	}
	x.judge(c.now())
	return x, nil
}

func (x *Explanation) readOutbox(c *Client, box *Outbox) (err error) {
	kept, err := box.Find(x.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		created, until := envelope.At(kept.Created), envelope.At(kept.Until)
		x.Digest, x.Created, x.Until = kept.Digest, &created, &until
		_, err := c.own(kept.Note)
		x.otherKey = errors.Is(err, ErrOtherKey)
	}
	if x.Receipts, x.Refused, err = box.Receipts(x.ID); err != nil {
		return err
	}
	if x.Digest == "" && len(x.Receipts) > 0 {
		x.Digest = x.Receipts[0].Digest
	}
	x.Chain, err = box.Chain()
	return err
}

func (x *Explanation) readKept(ctx context.Context, c *Client, box *Outbox) error {
	notes, err := box.answers(x.ID)
	if err != nil || len(notes) == 0 {
		return err
	}
	opened, err := c.openListed(ctx, notes, func(Opened, string) error { return nil })
	x.add(opened)
	return err
}

func (x *Explanation) readOfID(ctx context.Context, c *Client, _ *Outbox) error {
	opened, err := c.ResultsOf(ctx, x.ID)
	if refused, ok := errors.AsType[*Refused](err); ok && refused.Status == http.StatusNotFound {
		return nil
	}
	x.add(opened)
	return err
}

func (x *Explanation) readChain(ctx context.Context, c *Client, _ *Outbox) error {
	for {
		page, err := c.Results(ctx, &x.Chain, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		x.add(page)
	}
}

// add adds the results that are about the id, each once.
func (x *Explanation) add(results []Opened) {
	known := map[uint64]bool{}
	for _, earlier := range x.Results {
		known[earlier.Serial] = true
	}
	for _, o := range results {
		if r := o.Result; r.ID == x.ID && !known[r.Serial] {
			x.Results = append(x.Results, Told{r.Serial, r.Created, r.Digest, o.Facts.Status, o.Facts.Code, o.Place.Index, o.Checkpoint.Size})
		}
	}
}

// answer returns the last result about what was posted, or nil.
func (x *Explanation) answer() (last *Told) {
	for i := range x.Results {
		if r := &x.Results[i]; (x.Digest == "" || r.Digest == x.Digest) && (last == nil || r.Serial > last.Serial) {
			last = r
		}
	}
	return last
}

// judge weighs the evidence: an answer first, then proof that there is none, then how far it came.
func (x *Explanation) judge(now time.Time) {
	answer := x.answer()
	switch {
	case answer != nil:
		x.judgeAnswer(answer)
	case x.broken != nil:
		x.judgeBroken()
	case x.Created != nil && x.Chain.hides(x.Created.Time):
		x.say(OutcomeWithheld, "relay or its channel", "one of the results that are missing may be this envelope's: "+x.Chain.missingText(),
			"ask the vault's operator to publish them again, then read the results")
	case x.Created != nil && x.Chain.ProvesSilence(x.Created.Time, x.Until.Time):
		x.judgeLapsed()
	case len(x.Results) > 0:
		x.say(OutcomeConflict, "storefront", "the vault took another envelope under this id first, and takes one only",
			"seal the payment again under a new id, if the one that was taken is not it")
	case len(x.Receipts) > 0:
		x.judgeReceipts(now)
	case x.Refused != nil:
		x.say(OutcomeRefused, "storefront", fmt.Sprintf("a relay refused it with %d %s at %s, and none gave a receipt", x.Refused.Status, x.Refused.Code, x.Refused.At),
			"put right what the code says; an earlier copy may have been taken, so post the same bytes, or wait until the chain proves silence")
	case x.Created != nil:
		x.say(OutcomeNoReceipt, "storefront", "it is kept, and no receipt is: it was never posted, or the answer was lost", "post the same bytes again")
	default:
		x.say(OutcomeNeverPosted, "storefront", "this outbox has no envelope of this id, and the vault has answered none", "check the id, and which outbox it was posted from")
	}
	if x.otherKey && slices.Contains([]Outcome{OutcomeRefused, OutcomeNoReceipt, OutcomeNotAtVault}, x.Outcome) {
		x.Next = "an earlier key of yours signed it: while the vault knows that key, post the same bytes with the identity file of then; " + retiredNext
	}
	if x.Until != nil && answer == nil && now.After(x.Until.Time) && x.Outcome != OutcomeLapsed {
		x.Warnings = append(x.Warnings, fmt.Sprintf("its until, %s, has passed: the vault begins nothing more for it, but what it began before may still be told; "+
			"pay under a new id only when the chain of results has reached one created after %s", x.Until, envelope.At(x.Until.Add(answerTime))))
	}
	if missing := x.Chain.MissingError(); missing != nil && x.Outcome != OutcomeWithheld {
		x.Warnings = append(x.Warnings, "later results may be missing: "+missing.Error())
	}
	if x.broken != nil && x.Outcome != OutcomeWithheld && x.Outcome != OutcomeContradiction {
		x.Warnings = append(x.Warnings, "later results may be missing: "+x.broken.Error())
	}
}

func (x *Explanation) say(outcome Outcome, by, means, next string) {
	x.Outcome, x.By, x.Means, x.Next = outcome, by, means, next
}

func (x *Explanation) judgeAnswer(answer *Told) {
	proved := "without a proof that it is in the log"
	if answer.Checkpoint > 0 {
		proved = fmt.Sprintf("proved to be leaf %d of the vault's log of %d", answer.Index, answer.Checkpoint)
	}
	means := fmt.Sprintf("result %d of %s says %s, %s; it is %s", answer.Serial, answer.Created, answer.Status, answer.Code, proved)
	x.say(OutcomeAnswered, "", means, "nothing: this is the vault's word")
	if answer.Status == envelope.StatusNoted {
		x.Next = "ask the customer for the account as it is now; where it is stored, send an update with all of it: until then the vault refuses its entries"
	}
	switch {
	case answer.Code == envelope.CodeLimit:
		x.Next = fmt.Sprintf("ask the vault's operators which limit it was and when it ends: `vault payment show MERCHANT/%s` says both", x.ID)
	case answer.Code != envelope.CodeUnknownSigner:
	case x.otherKey:
		x.By, x.Next = "storefront", "pay under a new id: the key that signed it was retired, and never counts again"
	default:
		x.By, x.Next = "storefront", "have the vault's operators look at the merchant's keys (vault merchant show): where this identity's was retired, pay under a new id with new keys (storefront keygen --from); "+
			"where it was never added, they add it, and the same bytes can be posted again"
	}
	if answer.Code != envelope.CodeLate || x.Until == nil {
		return
	}
	x.By, x.Next = "storefront", "pay under a new id"
	for _, r := range x.Receipts {
		if r.Received.Before(x.Until.Time) {
			x.By = fmt.Sprintf("relay %s, its channel, or the vault's own pause", r.Relay)
			x.Means += fmt.Sprintf("; the relay had it at %s, and the vault opened it only after %s", r.Received, x.Until)
			return
		}
	}
}

func (x *Explanation) judgeBroken() {
	if errors.Is(x.broken, ErrLog) {
		x.say(OutcomeContradiction, "vault", x.broken.Error(), "keep the outbox as it is, and show it to the vault's auditors")
		return
	}
	x.say(OutcomeWithheld, "relay or its channel", fmt.Sprintf("the results end at %d and go on elsewhere, so at least one was withheld, which may be this envelope's: %v",
		x.Chain.Serial, x.broken), "keep the outbox as it is; ask the relay's operators for the missing results, and the vault's for their copy")
}

func (x *Explanation) judgeLapsed() {
	by := "storefront, or whoever was to carry it"
	if len(x.Receipts) > 0 {
		by = fmt.Sprintf("relay %s or its channel", x.Receipts[0].Relay)
	}
	x.say(OutcomeLapsed, by, fmt.Sprintf("the unbroken chain of results has reached %s, over an hour after its until, and none answers it: it was never taken, and never will be",
		envelope.At(x.Chain.Created)), "pay under a new id, if it is still wanted; where there is a receipt, show it to the relay's operators")
}

// judgeReceipts compares the receipts with the vault's position (specification 5): one arrived bag
// is enough.
func (x *Explanation) judgeReceipts(now time.Time) {
	r := x.Receipts[len(x.Receipts)-1]
	if x.Position == nil {
		x.say(OutcomeNoPosition, fmt.Sprintf("relay %s or its channel, or the vault", r.Relay), "the relay has it, and shows no position of the vault: the vault has not spoken, or its word is withheld",
			"wait, then ask the vault's operators")
		return
	}
	issued := x.Position.Issued.Time
	if age := now.Sub(issued); age > 2*time.Hour {
		x.Warnings = append(x.Warnings, fmt.Sprintf("the vault's position is %s old, and it says one at least every hour: it is locked or stopped, or the relay is cut off from it or withholds it",
			age.Round(time.Minute)))
	}
	missing := false
	for _, receipt := range x.Receipts {
		number := reached(*x.Position, receipt)
		if number >= receipt.Number {
			x.judgeReached(receipt, issued)
			return
		}
		if !issued.Before(receipt.Received.Time) {
			missing = true
			x.say(OutcomeNotAtVault, fmt.Sprintf("relay %s or its channel", receipt.Relay), fmt.Sprintf("the relay signed that bag %.8s/%d holds it, at %s, and the vault's position of %s ends at bag %d of that run",
				receipt.Run, receipt.Number, receipt.Received, x.Position.Issued, number),
				"wait while the channel catches up; if it stays so, show the receipt to the relay's operators and post the same bytes again")
		}
	}
	if !missing {
		x.say(OutcomeTooEarly, "", fmt.Sprintf("the relay took it at %s, and the vault's newest position is of %s: it has not spoken since", r.Received, x.Position.Issued), "wait")
	}
}

// judgeReached judges a bag that the vault has passed: if it came, its content is answered.
func (x *Explanation) judgeReached(r envelope.Receipt, issued time.Time) {
	if x.Until == nil || !issued.After(x.Until.Add(answerTime)) {
		x.say(OutcomeAtVault, "", fmt.Sprintf("the vault has passed bag %.8s/%d, which holds it; no result has come yet", r.Run, r.Number), "wait: the first result comes within an hour of the vault's acting on it")
		return
	}
	x.say(OutcomeOverdue, fmt.Sprintf("relay %s or its channel", r.Relay), fmt.Sprintf("the vault's position of %s has passed bag %.8s/%d, and every envelope in a bag that came is answered within an hour of its until: "+
		"the bag was left out, or the result is withheld", x.Position.Issued, r.Run, r.Number),
		"show the receipt to the vault's operators: a bag that was left out is an integrity finding there; pay under a new id only when the chain of results proves silence")
}

// reached returns the last bag of a receipt's run in a position, 0 for none.
func reached(p envelope.Position, r envelope.Receipt) uint64 {
	for _, entry := range p.Relays {
		if entry.Relay == r.Relay && entry.Run == r.Run {
			return entry.Number
		}
	}
	return 0
}
