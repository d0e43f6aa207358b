package settle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/loggable"
	"nightdrop/vault/internal/operator"
)

// answerLife is how old a file of the bank may be. A return comes within 60 days of settlement, and
// a breach of warranty is claimed within a year, by hand; an older file was found again.
const answerLife = 180 * 24 * time.Hour

// Import is what a file of the bank did.
type Import struct {
	Digest           string // hex SHA-256 of the file
	Created          time.Time
	Returns          int
	Changes          int
	Acknowledgements int
	// answers that were reported before, by another file or by a person; they changed nothing
	Repeats int
	Already bool // the very file was taken before, and nothing more of it could be applied

	Left      []book.AnswerLeft // the first book.MaxAnswersLeft of what was not applied
	LeftCount int
}

func (i *Import) leave(l book.AnswerLeft) {
	if i.LeftCount++; len(i.Left) < book.MaxAnswersLeft {
		i.Left = append(i.Left, l)
	}
}

func (i *Import) applied() int { return i.Returns + i.Changes + i.Acknowledgements }

// ImportAnswers applies what is ours of a file of the bank (returns, notices of change and
// acknowledgements) in one commit. Entries of others, and those that do not answer ours as they
// should, are listed in the import and the log, and stop nothing. A file that its control records
// do not prove is [ErrAnswerFile], which names the record; one that is not from our bank, not for
// us or too old is [ErrOthersFile]: nothing of either is applied, and the log has a finding. The
// same file again applies only what could not be applied before. name is the operator's for the
// file; the log keeps none that [loggable.FileName] refuses. Without a bank it is [ErrConflict].
// Other errors are r's or the ledger's.
func (e *Engine) ImportAnswers(ctx context.Context, name string, r io.Reader, actor operator.Actor) (Import, error) {
	if name = filepath.Base(name); !loggable.FileName(name) {
		name = ""
	}
	answer, err := nacha.Read(r)
	if errors.Is(err, nacha.ErrFile) {
		return Import{}, e.refuseAnswers(ctx, name, "", fmt.Errorf("%w: %w", err, ErrAnswerFile), actor)
	}
	if err != nil {
		return Import{}, fmt.Errorf("read the bank's file: %w", err)
	}
	if e.cfg.Bank == nil {
		return Import{}, fmt.Errorf("no bank is configured, so no file of one is for here: say in the vault's settings who sends files to whom, and import again: %w", ErrConflict)
	}
	if err := e.foreign(answer); err != nil {
		return Import{}, e.refuseAnswers(ctx, name, answer.Digest, err, actor)
	}
	var done Import
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) (err error) {
		done, err = e.takeAnswers(tx, name, answer, actor)
		return err
	})
	return done, err
}

// foreign returns why a file is not our bank's for us, or no longer.
func (e *Engine) foreign(answer nacha.Answer) error {
	bank := e.cfg.Bank
	switch age := e.cfg.Now().Sub(answer.Created); {
	case !named(answer.Origin, bank.Sender.ImmediateDestination, bank.AnswersFrom):
		return fmt.Errorf("its immediate origin is not our bank; if it is a number of our bank's, say so in the vault's settings (bank.answers_from): %w", ErrOthersFile)
	case !named(answer.Destination, bank.Sender.ImmediateOrigin, bank.AnswersTo):
		return fmt.Errorf("its immediate destination is not us; if it is a number of ours at the bank, say so in the vault's settings (bank.answers_to): %w", ErrOthersFile)
	case age > answerLife:
		return fmt.Errorf("it was made on %s, over %d days ago: %w", answer.Created.Format(time.DateOnly), int(answerLife.Hours()/24), ErrOthersFile)
	}
	return nil
}

// named reports whether a number of a file header is one of those known. Where a routing number
// stands in a field of ten, some fill it with a zero.
func named(number, own string, others []string) bool {
	for _, known := range append([]string{own}, others...) {
		if number == known || number == "0"+known || "0"+number == known {
			return true
		}
	}
	return false
}

// refuseAnswers commits the finding that goes with a refusal and returns the refusal.
func (e *Engine) refuseAnswers(ctx context.Context, name, digest string, refusal error, actor operator.Actor) error {
	err := e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error { return answerFinding(tx, name, digest, refusal.Error(), actor) })
	return errors.Join(refusal, err)
}

// answerFinding commits what is wrong with a file of the bank.
func answerFinding(tx *ledger.Tx, name, digest, what string, actor operator.Actor) error {
	event := actor.Event("", book.IntegrityFound{Finding: book.FindingAnswerFile, Detail: fmt.Sprintf("file %q: %s", name, what)})
	event.Evidence = digest
	_, err := tx.Append(event)
	return err
}

// takeAnswers applies a file's items, in their order.
func (e *Engine) takeAnswers(tx *ledger.Tx, name string, answer nacha.Answer, actor operator.Actor) (Import, error) {
	done := Import{Digest: answer.Digest, Created: answer.Created}
	before, taken, err := tx.File(answer.Digest)
	if err != nil || taken && before.Left == 0 {
		done.Already = taken
		return done, err
	}
	for _, l := range answer.Left {
		done.leave(book.AnswerLeft{Record: l.Record, Trace: e.ownTrace(l.Trace), Code: l.Code, Problem: l.Problem})
	}
	for _, item := range answer.Items {
		if err := e.takeAnswer(tx, &done, item, actor); err != nil {
			return Import{}, err
		}
	}
	if taken && done.applied() == 0 {
		done.Already = true
		return done, nil
	}
	event := actor.Event("", book.AnswerTaken{Name: name, Digest: answer.Digest, Created: envelope.At(answer.Created), Items: len(answer.Items),
		Left: done.Left, LeftCount: done.LeftCount})
	event.Evidence = answer.Digest
	if _, err := tx.Append(event); err != nil || done.LeftCount == 0 || taken {
		return done, err
	}
	first := done.Left[0]
	return done, answerFinding(tx, name, answer.Digest, fmt.Sprintf("%d of its entries are not applied, the first in record %d: %s", done.LeftCount, first.Record, first.Problem), actor)
}

// ownTrace is a trace number of our bank's, or "": another could be anything.
func (e *Engine) ownTrace(trace string) string {
	if !strings.HasPrefix(trace, e.cfg.Bank.Sender.ODFI) {
		return ""
	}
	return trace
}

// takeAnswer applies one item, or leaves it.
func (e *Engine) takeAnswer(tx *ledger.Tx, done *Import, item nacha.Item, actor operator.Actor) error {
	merchant, body, problem, err := answerTo(tx, item)
	switch {
	case err != nil:
		return err
	case problem != "":
		done.leave(book.AnswerLeft{Record: item.Record, Trace: e.ownTrace(item.Trace), Code: item.Code, Problem: problem})
		return nil
	case body == nil:
		done.Repeats++
		return nil
	}
	event := actor.Event(merchant, body)
	event.Evidence = done.Digest
	if _, err := tx.Append(event); err != nil {
		return err
	}
	switch item.Kind {
	case nacha.Return:
		done.Returns++
	case nacha.Change:
		done.Changes++
	case nacha.Acknowledgement:
		done.Acknowledgements++
	}
	return nil
}

// answerTo looks up the entry that an item is about and returns the event that it makes of it, none
// where it was reported before. A problem is why it is not applied.
func answerTo(tx *ledger.Tx, item nacha.Item) (merchant string, body book.Body, problem string, err error) {
	entry, found, err := tx.Entry(item.Trace)
	if err != nil || !found {
		return "", nil, "no entry of ours has its trace number", err
	}
	p, found, err := tx.Payment(entry.Merchant, entry.ID)
	if err != nil || !found {
		return "", nil, "", orMissing(err, "payment "+entry.Merchant+"/"+entry.ID)
	}
	m, found, err := tx.Merchant(entry.Merchant)
	if err != nil || !found {
		return "", nil, "", orMissing(err, "merchant "+entry.Merchant)
	}
	switch {
	case item.Company == "" || item.Company != entry.Company && item.Company != m.Policy.Company.ID:
		problem = "its company is not the one that the entry was of"
	case item.Credit != p.Credit():
		problem = "it answers a debit, and ours was a credit, or the other way round"
	case item.Kind == nacha.Return && item.Amount != p.Amount:
		problem = "its amount is not that of the entry"
	case p.Stage != book.StageSettled && p.Stage != book.StageReturned:
		problem = fmt.Sprintf("the entry is %s, and the bank cannot have had it; if its file is out, settle its batch and import again", p.Stage)
	default:
		body, problem = consequence(p, item)
	}
	return p.Merchant, body, problem, nil
}

// consequence is what an item makes of a payment whose entry it is about.
func consequence(p book.Payment, item nacha.Item) (body book.Body, problem string) {
	switch item.Kind {
	case nacha.Return:
		code := envelope.ACHCode(item.Code)
		if p.Stage == book.StageSettled {
			return book.PaymentReturned{ID: p.ID, Code: code}, ""
		}
		if p.Code != code {
			return nil, fmt.Sprintf("the entry came back before, with %s, and comes back once; ask the bank which of the two it is", strings.TrimPrefix(string(p.Code), "ach-"))
		}
	case nacha.Change:
		if p.MayNote(item.Code) { // older logs have some that were reported to nobody
			return book.ChangeNotified{ID: p.ID, Code: item.Code, Told: true}, ""
		}
	case nacha.Acknowledgement:
		if !p.Acked {
			return book.EntryAcknowledged{ID: p.ID}, ""
		}
	}
	return nil, ""
}
