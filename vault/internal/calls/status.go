package calls

import (
	"context"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
)

// Status returns what the vault is doing, as far as a locked one knows it.
func (c *Calls) Status(context.Context) (control.Status, error) {
	s, err := c.config.Daemon.State()
	if err != nil || s.Locked {
		return s, err
	}
	_, err = view(c, func(tx *ledger.Tx) (struct{}, error) { return struct{}{}, fillStatus(tx, &s) })
	return s, err
}

func fillStatus(tx *ledger.Tx, s *control.Status) error {
	v, err := tx.Vault()
	if err != nil {
		return err
	}
	s.Generation, s.Findings, s.Working = v.Generation, v.Findings, map[book.Stage]int{}
	s.OpenFindings = v.OpenFindings()
	if s.LogSize, err = tx.TreeSize(); err != nil {
		return err
	}
	s.Open = map[book.Method]int{}
	err = tx.Merchants(func(m book.Merchant) error {
		s.Merchants++
		for _, method := range book.Methods {
			if m.Open(method) != 0 {
				s.Open[method]++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, stage := range book.Working {
		err := tx.Payments(ledger.Query{Stage: stage, Limit: control.MaxCounted}, func(p book.Payment) error {
			s.Working[stage]++
			repeated(s, p)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
