package calls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/report"
	"nightdrop/vault/internal/settings"
)

// Auditors lists all there ever were.
func (c *Calls) Auditors(context.Context) ([]control.Auditor, error) {
	return view(c, func(tx *ledger.Tx) ([]control.Auditor, error) {
		all, err := tx.Auditors()
		if err != nil {
			return nil, err
		}
		shown := []control.Auditor{}
		for _, a := range all {
			one, err := showAuditor(a)
			if err != nil {
				return nil, err
			}
			shown = append(shown, one)
		}
		return shown, nil
	})
}

func showAuditor(a book.Auditor) (control.Auditor, error) {
	key, err := seal.ParseAuditor(a.Key)
	if err != nil {
		return control.Auditor{}, err
	}
	shown := control.Auditor{Name: a.Name, KeyName: key.KeyName(), Added: a.Added}
	if !a.Reads() {
		shown.Removed = &a.Removed
	}
	return shown, nil
}

// AddAuditor begins an auditor's time, and with it a log key.
func (c *Calls) AddAuditor(ctx context.Context, actor operator.Actor, a control.NewAuditor) (control.Auditor, error) {
	key, err := seal.ParseAuditor(a.Key)
	if err != nil {
		return control.Auditor{}, &control.Error{Code: control.CodeUsage, Detail: err.Error()}
	}
	if key.Name() != a.Name {
		return control.Auditor{}, &control.Error{Code: control.CodeUsage, Detail: "the line is the key of an auditor of another name: give that name, or ask for the right line"}
	}
	return c.changeAuditor(ctx, actor, a.Name, book.AuditorAdded{Name: a.Name, Key: a.Key}, func(_ book.Auditor, known bool) error {
		if known {
			return &control.Error{Code: control.CodeConflict, Detail: "there is or was an auditor " + a.Name + ", and names are never used again: choose another"}
		}
		return nil
	})
}

// RemoveAuditor ends an auditor's time.
func (c *Calls) RemoveAuditor(ctx context.Context, actor operator.Actor, name string) (control.Auditor, error) {
	return c.changeAuditor(ctx, actor, name, book.AuditorRemoved{Name: name}, func(a book.Auditor, known bool) error {
		if !known {
			return notFound("auditor", name, envelope.ValidMerchant(name))
		}
		if !a.Reads() {
			return &control.Error{Code: control.CodeConflict, Detail: fmt.Sprintf("auditor %s was removed on %s already", name, a.Removed)}
		}
		return nil
	})
}

// changeAuditor commits an event about an auditor, where allow does not refuse it.
func (c *Calls) changeAuditor(ctx context.Context, actor operator.Actor, name string, body book.Body, allow func(book.Auditor, bool) error) (control.Auditor, error) {
	return commit(ctx, c, func(tx *ledger.Tx) (shown control.Auditor, err error) {
		before, known, err := tx.Auditor(name)
		if err != nil {
			return shown, err
		}
		if err := allow(before, known); err != nil {
			return shown, err
		}
		if _, err := tx.Append(actor.Event("", body)); err != nil {
			return shown, err
		}
		after, _, err := tx.Auditor(name)
		if err != nil {
			return shown, err
		}
		return showAuditor(after)
	})
}

// ExportLog writes the sealed log into a directory. That it goes out stands in the log before
// anything is written, so the export holds itself.
func (c *Calls) ExportLog(ctx context.Context, actor operator.Actor, q control.ExportQuery, progress operator.Progress) (exported control.Export, err error) {
	if !filepath.IsAbs(q.Dir) || settings.Inside(settings.Resolved(q.Dir), settings.Resolved(c.config.Dir)) {
		return control.Export{}, &control.Error{Code: control.CodeUsage, Detail: "export to an absolute path outside the vault's own directory"}
	}
	bodies, err := view(c, func(tx *ledger.Tx) (int64, error) { return firstBody(tx, q) })
	if err != nil {
		return control.Export{}, err
	}
	err = c.goesOut(ctx, actor, book.LogExported{Dir: q.Dir, Bodies: bodies}, func() (err error) {
		exported, err = c.export(ctx, q, bodies, progress)
		return err
	})
	return exported, err
}

// firstBody is the index of the first entry that goes out with its body.
func firstBody(tx *ledger.Tx, q control.ExportQuery) (int64, error) {
	if q.BodiesSince.IsZero() {
		return 0, nil
	}
	index, err := tx.FirstSince(q.BodiesSince)
	return index / audit.Bundle * audit.Bundle, err
}

// goesOut commits that something of the log goes out before write does it, and again where that
// failed.
func (c *Calls) goesOut(ctx context.Context, actor operator.Actor, event book.LogExported, write func() error) error {
	if err := c.append(ctx, actor, event); err != nil {
		return err
	}
	err := write()
	if err == nil {
		return nil
	}
	event.Failed = true
	return errors.Join(err, c.append(context.WithoutCancel(ctx), actor, event))
}

// append commits one event of no merchant.
func (c *Calls) append(ctx context.Context, actor operator.Actor, body book.Body) error {
	_, err := commit(ctx, c, func(tx *ledger.Tx) (uint64, error) { return tx.Append(actor.Event("", body)) })
	return err
}

func (c *Calls) export(ctx context.Context, q control.ExportQuery, bodies int64, progress operator.Progress) (control.Export, error) {
	page, auditors, err := c.summary(ctx, bodies)
	if err != nil {
		return control.Export{}, err
	}
	checkpoint, err := using(c, func(p Parts) (proof.Checkpoint, error) {
		return p.Ledger.Export(ctx, q.Dir, ledger.ExportOptions{Bodies: bodies, Summary: page, Again: q.Again,
			Progress: func(done, total int64) { progress(int(done), int(total)) }})
	})
	if err != nil {
		return control.Export{}, err
	}
	return control.Export{Dir: q.Dir, Size: checkpoint.Size, Root: checkpoint.Root.String(), Bodies: bodies, Auditors: auditors}, nil
}

// summary makes the page beside an export, and counts those who may read it. Payments are read some
// hundred at a time: a long reader would keep the ledger's pages.
func (c *Calls) summary(ctx context.Context, bodies int64) (html []byte, auditors int, err error) {
	s := report.Summary{Vault: c.config.Keys.Name(), Made: envelope.At(c.config.Now()), Bodies: bodies}
	builder := report.NewBuilder(report.Report{})
	for after, more := uint64(0), true; more; {
		n := 0
		_, err := view(c, func(tx *ledger.Tx) (struct{}, error) {
			return struct{}{}, tx.Payments(ledger.Query{After: after, Limit: rowsAtOnce}, func(p book.Payment) error {
				builder.Payment(p)
				after = p.Number
				n++
				return nil
			})
		})
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, 0, err
		}
		more = n == rowsAtOnce
	}
	s.Add(builder)
	if _, err := view(c, func(tx *ledger.Tx) (struct{}, error) { return struct{}{}, fillSummary(tx, &s) }); err != nil {
		return nil, 0, err
	}
	var page bytes.Buffer
	err = s.HTML(&page)
	return page.Bytes(), s.Auditors, err
}

func fillSummary(tx *ledger.Tx, s *report.Summary) error {
	v, err := tx.Vault()
	if err != nil {
		return err
	}
	s.Found(v.Findings)
	if s.Entries, err = tx.TreeSize(); err != nil {
		return err
	}
	auditors, err := tx.Auditors()
	if err != nil {
		return err
	}
	for _, a := range auditors {
		if a.Reads() {
			s.Auditors++
		}
	}
	return tx.Merchants(func(book.Merchant) error {
		s.Merchants++
		return nil
	})
}
