package settle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/loggable"
	"nightdrop/vault/internal/payment"
)

// answerLife is how old a file of the bank may be. A return for any reason comes within 60 days of settlement and a breach of warranty is
// claimed within a year, by hand; what is older than this is a file that was found again.
const answerLife = 180 * 24 * time.Hour

// Import is what a file of the bank did.
type Import struct {
	Digest           string // hex SHA-256 of the file
	Created          time.Time
	Returns          int
	Changes          int
	Acknowledgements int
	Repeats          int  // answers that another file had brought before; they changed nothing
	Already          bool // the very file was taken before; nothing was done
}

// ImportAnswers takes a file of the bank, of returns, notices of change and acknowledgements, whole or not at all: a refusal is
// ErrAnswerFile, which names the record, and a finding in the log. The same file again does nothing, and an answer that another file brought
// before is counted and does nothing. name is the file's, as the operator gave it, for the log, which keeps none that
// loggable.FileName refuses. Other errors are r's or the ledger's.
func (e *Engine) ImportAnswers(ctx context.Context, name string, r io.Reader, actor Actor) (Import, error) {
	if name = filepath.Base(name); !loggable.FileName(name) {
		name = ""
	}
	answer, err := nacha.Read(r)
	if errors.Is(err, nacha.ErrFile) {
		return Import{}, e.refuseAnswers(ctx, name, "", err, actor)
	}
	if err != nil {
		return Import{}, fmt.Errorf("read the bank's file: %w", err)
	}
	if age := e.cfg.Now().Sub(answer.Created); age > answerLife {
		err := fmt.Errorf("it was made on %s, over %d days ago: %w", answer.Created.Format(time.DateOnly), int(answerLife.Hours()/24), ErrAnswerFile)
		return Import{}, e.refuseAnswers(ctx, name, answer.Digest, err, actor)
	}
	var done Import
	err = e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) (err error) {
		done, err = takeAnswers(tx, name, answer, actor)
		return err
	})
	if errors.Is(err, ErrAnswerFile) {
		return Import{}, e.refuseAnswers(ctx, name, answer.Digest, err, actor)
	}
	return done, err
}

// refuseAnswers commits the finding that goes with a refusal and returns the refusal.
func (e *Engine) refuseAnswers(ctx context.Context, name, digest string, refusal error, actor Actor) error {
	event := actor.Event("", payment.IntegrityFound{Finding: payment.FindingAnswerFile, Detail: fmt.Sprintf("file %q: %v", name, refusal)})
	event.Evidence = digest
	err := e.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		_, err := tx.Append(event)
		return err
	})
	if !errors.Is(refusal, ErrAnswerFile) {
		refusal = fmt.Errorf("%w: %w", refusal, ErrAnswerFile)
	}
	return errors.Join(refusal, err)
}

// takeAnswers applies a file's items, in their order.
func takeAnswers(tx *ledger.Tx, name string, answer nacha.Answer, actor Actor) (Import, error) {
	done := Import{Digest: answer.Digest, Created: answer.Created}
	if _, taken, err := tx.File(answer.Digest); err != nil || taken {
		done.Already = taken
		return done, err
	}
	for _, item := range answer.Items {
		merchant, body, err := answerTo(tx, item)
		if err != nil {
			return Import{}, err
		}
		if body == nil {
			done.Repeats++
			continue
		}
		event := actor.Event(merchant, body)
		event.Evidence = answer.Digest
		if _, err := tx.Append(event); err != nil {
			return Import{}, err
		}
		switch item.Kind {
		case nacha.Return:
			done.Returns++
		case nacha.Change:
			done.Changes++
		case nacha.Acknowledgement:
			done.Acknowledgements++
		}
	}
	event := actor.Event("", payment.AnswerTaken{Name: name, Digest: answer.Digest, Created: envelope.At(answer.Created), Items: len(answer.Items)})
	event.Evidence = answer.Digest
	_, err := tx.Append(event)
	return done, err
}

// answerTo finds the entry that an item is about, and the event that it makes of it; none where it was told before.
func answerTo(tx *ledger.Tx, item nacha.Item) (merchant string, body payment.Body, err error) {
	refuse := func(problem string) (string, payment.Body, error) {
		return "", nil, fmt.Errorf("record %d, trace number %s: %s: %w", item.Record, item.Trace, problem, ErrAnswerFile)
	}
	entry, found, err := tx.Entry(item.Trace)
	if err != nil {
		return "", nil, err
	}
	if !found {
		return refuse("no entry of ours has it")
	}
	p, found, err := tx.Payment(entry.Merchant, entry.ID)
	if err != nil || !found {
		return "", nil, orMissing(err, "payment "+entry.ID+" of "+entry.Merchant)
	}
	switch {
	case item.Credit != p.Credit():
		return refuse("it answers a debit, and ours was a credit, or the other way round")
	case item.Kind == nacha.Return && item.Amount != p.Amount:
		return refuse("its amount is not that of the entry")
	case p.Stage != payment.StageSettled && p.Stage != payment.StageReturned:
		return refuse(fmt.Sprintf("the entry is %s, and the bank cannot have had it; if its file is out, settle its batch and import again", p.Stage))
	}
	switch item.Kind {
	case nacha.Return:
		code := envelope.Code("ach-" + item.Code)
		if p.Stage == payment.StageSettled {
			return p.Merchant, payment.PaymentReturned{ID: p.ID, Code: code}, nil
		}
		if p.Code != code {
			return refuse("the entry was returned before, for another reason")
		}
	case nacha.Change:
		if p.Notice != item.Code {
			return p.Merchant, payment.ChangeNotified{ID: p.ID, Code: item.Code}, nil
		}
	case nacha.Acknowledgement:
		if !p.Acked {
			return p.Merchant, payment.EntryAcknowledged{ID: p.ID}, nil
		}
	}
	return p.Merchant, nil, nil
}
