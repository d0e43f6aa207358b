package calls

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// SetPolicy changes parts of a merchant's policy. A change to what is so already is none.
func (c *Calls) SetPolicy(ctx context.Context, actor operator.Actor, id string, change control.PolicyChange) (control.Merchant, error) {
	return c.changeMerchant(ctx, id, func(tx *ledger.Tx) error {
		m, err := readMerchant(tx, id)
		if err != nil {
			return err
		}
		policy, err := changedPolicy(m, change)
		if err != nil {
			return &control.Error{Code: control.CodeUsage, Detail: err.Error()}
		}
		if reflect.DeepEqual(policy, m.Policy) {
			return nil
		}
		_, err = tx.Append(actor.Event(id, book.MerchantPolicySet{Policy: policy, Checked: true}))
		return err
	})
}

// changedPolicy is a merchant's policy after a change, or what is wrong with it.
func changedPolicy(m book.Merchant, change control.PolicyChange) (book.Policy, error) {
	p := m.Policy
	p.Limits = slices.Clone(p.Limits)
	for _, c := range change.Limits {
		if !slices.Contains(m.Currencies, c.Currency) {
			return p, fmt.Errorf("%s does not sell in %q; it sells in %s", m.ID, c.Currency, strings.Join(m.Currencies, ","))
		}
		p.Limits = withLimit(p.Limits, c)
	}
	set(&p.RefundPercent, change.RefundPercent)
	set(&p.Payees, change.Payees)
	set(&p.Storage, change.Storage)
	set(&p.StoresPerDay, change.StoresPerDay)
	set(&p.Company.Name, change.CompanyName)
	set(&p.Company.ID, change.CompanyID)
	if err := checkCompany(m.Policy.Company, p.Company); err != nil {
		return p, err
	}
	for _, l := range p.Limits {
		if l.PayoutDay > 0 && p.Company.ID == "" {
			return p, errors.New("payouts are bank entries: give --company-id and --company-name too")
		}
	}
	return p, p.Check()
}

func set[T any](place *T, value *T) {
	if value != nil {
		*place = *value
	}
}

// withLimit changes the limits of one currency; a row that limits nothing is left out.
func withLimit(limits []book.Limit, c control.LimitChange) []book.Limit {
	i, found := slices.BinarySearchFunc(limits, c.Currency, func(l book.Limit, code string) int { return strings.Compare(l.Currency, code) })
	if !found {
		limits = slices.Insert(limits, i, book.Limit{Currency: c.Currency})
	}
	set(&limits[i].Payment, c.Payment)
	set(&limits[i].Day, c.Day)
	set(&limits[i].PayoutDay, c.PayoutDay)
	if limits[i] == (book.Limit{Currency: c.Currency}) {
		limits = slices.Delete(limits, i, i+1)
	}
	if len(limits) == 0 {
		return nil
	}
	return limits
}

// checkCompany refuses also a company that no NACHA file can name.
func checkCompany(before, after book.Company) error {
	if after != before && after.ID != "" && after.Name != "" {
		if err := (nacha.Company{Name: after.Name, ID: after.ID}).Check(); err != nil {
			return err
		}
	}
	return book.CheckCompany(before, after)
}
