package book

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

// Policy is what a merchant may do beyond selling, and how much. The zero value is a new
// merchant's: no limit but the largest amount; no payouts, stored accounts or bank accounts.
type Policy struct {
	Limits []Limit `json:"limits,omitempty"` // by currency, sorted; none: no limit
	// refunds of this and the last month may be so much of their sales; 0: no limit
	RefundPercent int    `json:"refundPercent,omitempty"`
	Payees        Payees `json:"payees,omitempty"` // whom payouts go to
	// accounts may be stored: the merchant's storage exception
	Storage      bool `json:"storage,omitempty"`
	StoresPerDay int  `json:"storesPerDay,omitempty"` // stores and updates; 0: DefaultStoresPerDay
	// as NACHA files name it; without it no bank accounts
	Company Company `json:"company,omitzero"`
}

// Check returns what is wrong with a policy: bad or unsorted currencies, amounts below 0, or a
// company that no NACHA file can name.
func (p Policy) Check() error {
	for i, l := range p.Limits {
		// no table: a log is folded again when its currencies are withdrawn
		if !envelope.ValidCurrency(l.Currency) {
			return errors.New("a limit is in no currency: a code has three capital letters")
		}
		if i > 0 && p.Limits[i-1].Currency >= l.Currency {
			return errors.New("limits are not sorted by currency, or one is there twice")
		}
		if l.Payment < 0 || l.Day < 0 || l.PayoutDay < 0 {
			return errors.New("a limit is below 0")
		}
	}
	switch {
	case p.RefundPercent < 0 || p.RefundPercent > 1000:
		return errors.New("the refund percentage is not 0 to 1000")
	case p.StoresPerDay < 0:
		return errors.New("the number of accounts stored a day is below 0")
	case p.Payees != "" && p.Payees != PayeesBusiness && p.Payees != PayeesConsumer:
		return errors.New("payees are business or consumer")
	case p.Company != Company{} && !p.Company.valid():
		return errors.New("a company has a name of 1 to 16 printable characters and an id of 10 of 0-9A-Z, neither of zeros and spaces only")
	}
	return nil
}

func (c Company) valid() bool {
	// NACHA counts zeros and spaces as nothing
	if len(c.Name) > 16 || len(c.ID) != 10 || strings.Trim(c.Name, " 0") == "" || strings.Trim(c.ID, "0") == "" {
		return false
	}
	for _, b := range []byte(c.Name) {
		if b < 0x20 || b > 0x7e {
			return false
		}
	}
	for _, b := range []byte(c.ID) {
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') {
			return false
		}
	}
	return true
}

// DefaultStoresPerDay bounds what a stolen storefront key could store. Updates count: each takes a
// key.
const DefaultStoresPerDay = 10_000

// Limit is what a merchant may move in one currency, in minor units; 0 is no limit, for payouts
// none.
type Limit struct {
	Currency string `json:"currency"`
	Payment  int64  `json:"payment,omitempty"` // one sale, authorisation or payout
	// sales and authorisations of a UTC day, as they were asked for
	Day       int64 `json:"day,omitempty"`
	PayoutDay int64 `json:"payoutDay,omitempty"` // payouts of a UTC day
}

// Payees are whom a merchant pays out to: businesses by CCD entries, consumers by PPD.
type Payees string

// The kinds of payees.
const (
	PayeesBusiness Payees = "business" // also the zero value
	PayeesConsumer Payees = "consumer"
)

// Company is how NACHA files name the merchant (batch header fields 3 and 5).
type Company struct {
	Name string `json:"name"` // 1 to 16 printable ASCII
	ID   string `json:"id"`   // 10 of 0-9A-Z
}

// Usage is what a merchant's limits are counted against.
type Usage struct {
	Day    string    `json:"day,omitempty"` // UTC, YYYY-MM-DD
	Stores int       `json:"stores,omitempty"`
	Days   []DayUse  `json:"days,omitempty"` // of Day, by currency, sorted
	Month  string    `json:"month,omitempty"`
	Months []RateUse `json:"months,omitempty"` // of Month and the one before, by currency, sorted
}

// DayUse is what was asked for on a day, in minor units.
type DayUse struct {
	Currency string `json:"currency"`
	Sales    int64  `json:"sales,omitempty"`
	Payouts  int64  `json:"payouts,omitempty"`
}

// RateUse is what refunds are compared with, in minor units: sales and captures that were settled,
// refunds that were asked for and not refused.
type RateUse struct {
	Currency   string `json:"currency"`
	Sold       int64  `json:"sold,omitempty"`
	Refunded   int64  `json:"refunded,omitempty"`
	SoldBefore int64  `json:"soldBefore,omitempty"` // in the month before
	RefBefore  int64  `json:"refBefore,omitempty"`
}

// Limit returns the merchant's limits in a currency.
func (p Policy) Limit(currency string) Limit {
	for _, l := range p.Limits {
		if l.Currency == currency {
			return l
		}
	}
	return Limit{Currency: currency}
}

// Permits reports whether the merchant may use an operation at all (result code not-permitted).
// Bank accounts need a company.
func (p Policy) Permits(op envelope.Operation, currency string) bool {
	switch op {
	case envelope.OpPayout:
		return p.Company.ID != "" && p.Limit(currency).PayoutDay > 0
	case envelope.OpStore, envelope.OpUpdate:
		return p.Storage
	}
	return true
}

// Exceeds returns which limit of the merchant an operation exceeds at a time, "" for none.
func (m Merchant) Exceeds(op envelope.Operation, amount int64, currency string, now envelope.Time) Exceeded {
	u := m.Usage.at(now)
	l := m.Policy.Limit(currency)
	day := dayUse(u.Days, currency)
	switch op {
	case envelope.OpSale, envelope.OpAuthorize, envelope.OpPayout:
		switch {
		case l.Payment > 0 && amount > l.Payment:
			return ExceededPayment
		case op == envelope.OpPayout && day.Payouts+amount > l.PayoutDay:
			return ExceededPayouts
		case op != envelope.OpPayout && l.Day > 0 && day.Sales+amount > l.Day:
			return ExceededDay
		}
	case envelope.OpRefund:
		r := rateUse(u.Months, currency)
		if m.Policy.RefundPercent > 0 && (r.Refunded+r.RefBefore+amount)*100 > (r.Sold+r.SoldBefore)*int64(m.Policy.RefundPercent) {
			return ExceededRefunds
		}
	case envelope.OpStore, envelope.OpUpdate:
		if u.Stores >= cmp.Or(m.Policy.StoresPerDay, DefaultStoresPerDay) {
			return ExceededStores
		}
	}
	return ""
}

// at is the usage at a time: a new day and month begin with nothing. It shares rows with u.
func (u Usage) at(now envelope.Time) Usage {
	day, month := now.DateText(u.Day), now.MonthText(u.Month)
	if u.Day != day {
		u.Day, u.Stores, u.Days = day, 0, nil
	}
	if u.Month != month {
		u.Months = slices.Clone(u.Months)
		next := u.Month == monthBefore(now)
		for i, r := range u.Months {
			u.Months[i] = RateUse{Currency: r.Currency}
			if next {
				u.Months[i].SoldBefore, u.Months[i].RefBefore = r.Sold, r.Refunded
			}
		}
		u.Month = month
	}
	return u
}

// monthBefore is the month that ended last.
func monthBefore(now envelope.Time) string {
	return envelope.Time{Time: now.AddDate(0, 0, -now.Day())}.MonthText("")
}

func dayUse(days []DayUse, currency string) DayUse {
	for _, d := range days {
		if d.Currency == currency {
			return d
		}
	}
	return DayUse{Currency: currency}
}

func rateUse(months []RateUse, currency string) RateUse {
	for _, r := range months {
		if r.Currency == currency {
			return r
		}
	}
	return RateUse{Currency: currency}
}

// used counts an operation that was taken.
func (u Usage) used(op envelope.Operation, amount int64, currency string, now envelope.Time) Usage {
	u = u.at(now)
	switch op {
	case envelope.OpSale, envelope.OpAuthorize, envelope.OpPayout:
		i, found := slices.BinarySearchFunc(u.Days, currency, func(d DayUse, c string) int { return strings.Compare(d.Currency, c) })
		u.Days = slices.Clone(u.Days)
		if !found {
			u.Days = slices.Insert(u.Days, i, DayUse{Currency: currency})
		}
		if op == envelope.OpPayout {
			u.Days[i].Payouts += amount
		} else {
			u.Days[i].Sales += amount
		}
	case envelope.OpRefund:
		u.rate(currency).Refunded += amount
	case envelope.OpStore, envelope.OpUpdate:
		u.Stores++
	}
	return u
}

// sold counts a sale or capture that was settled, or takes one off again (amount below 0).
func (u Usage) sold(amount int64, currency string, now envelope.Time) Usage {
	u = u.at(now)
	u.rate(currency).Sold += amount
	return u
}

// unrefunded takes a refund that failed off the month that it was asked for in, if still counted.
func (u Usage) unrefunded(amount int64, currency string, asked, now envelope.Time) Usage {
	u = u.at(now)
	switch asked.MonthText(u.Month) {
	case u.Month:
		u.rate(currency).Refunded -= amount
	case monthBefore(now):
		u.rate(currency).RefBefore -= amount
	}
	return u
}

// rate returns the currency's row, made where there is none, in rows of its own.
func (u *Usage) rate(currency string) *RateUse {
	i, found := slices.BinarySearchFunc(u.Months, currency, func(r RateUse, c string) int { return strings.Compare(r.Currency, c) })
	u.Months = slices.Clone(u.Months)
	if !found {
		u.Months = slices.Insert(u.Months, i, RateUse{Currency: currency})
	}
	return &u.Months[i]
}
