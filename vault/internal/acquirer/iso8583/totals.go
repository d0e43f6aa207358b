package iso8583

import (
	"slices"
	"strconv"

	"github.com/moov-io/iso8583"

	"nightdrop/vault/internal/acquirer"
)

// What the settlement code says of the totals. (ISO 8583:1987 field 66)
const (
	settlementAgreed  = "1"
	settlementDiffers = "2"
)

// passing are codes of a host that cannot compare totals now: a request is in progress, is to be
// entered again, a cutover is in process, the switch or the system is down. (ISO 8583:1987 field
// 39)
var passing = []string{"09", "19", "68", "90", "91", "96"}

// fitsTotals compares an answer to a 0500 with it: the type and the trace number must be the
// request's, and so must the terminal, the acceptor, the currency and the batch where the answer
// has them. A host may give the currency as that of settlement.
func (d *Dialect) fitsTotals(asked, got *iso8583.Message) error {
	if err := d.fits(asked, got, d.Place.STAN); err != nil {
		return err
	}
	for _, id := range []int{d.Place.Terminal, d.Place.Acceptor, d.Place.Currency, d.Place.Batch} {
		if given := value(got, id); given != "" && given != value(asked, id) {
			return malformed("field " + strconv.Itoa(id))
		}
	}
	if id := d.Place.SettlementCurrency; id != 0 && value(got, d.Place.Currency) == "" {
		if given := value(got, id); given != "" && given != value(asked, d.Place.Currency) {
			return malformed("field " + strconv.Itoa(id))
		}
	}
	return nil
}

// readTotals returns the host's view of the batch that asked named, in any form that is usual of a
// 0510: the host's own totals, with or without a settlement code; a settlement code alone; or a
// response code alone, which then says whether they agree. A host that answers that it does not
// compare is a RefusedError. What contradicts itself is no answer.
func (d *Dialect) readTotals(m *iso8583.Message, asked acquirer.Totals) (acquirer.Reconciliation, error) {
	none := acquirer.Reconciliation{}
	code, said := value(m, d.Place.Answer), value(m, d.Place.Settlement)
	switch {
	case code != "" && (len(code) != 2 || !alphanumeric(code)):
		return none, malformed("response code")
	case code != "" && !slices.Contains(d.Compared, code):
		return none, &acquirer.RefusedError{Code: code, Passing: slices.Contains(passing, code)}
	}
	host, given, err := d.readFigures(m, asked)
	if err != nil {
		return none, err
	}
	same := standsAs(host, asked)
	var agreed bool
	switch {
	case said == settlementAgreed && code != "" && code != acquirer.Approved:
		return none, malformed("settlement code against the response code")
	case said != "":
		agreed = said == settlementAgreed
		if !agreed && said != settlementDiffers {
			return none, malformed("settlement code")
		}
	case given && (code == "" || code == acquirer.Approved):
		agreed = same
	case code != "":
		agreed = code == acquirer.Approved
	default:
		return none, malformed("the host did not compare the totals")
	}
	// The host's own figures must bear out what it says: an agreement over other sums is none.
	if given && same != agreed || !given && agreed && value(m, d.Place.Net) != "" && value(m, d.Place.Net) != netAmount(asked) {
		return none, malformed("settlement code against the host's own totals")
	}
	if !given && agreed {
		host = asked
	}
	return acquirer.Reconciliation{Agreed: agreed, Host: host, Untold: !given}, nil
}

// readFigures reads the host's own totals; given is false where there are none. A total that it
// leaves out is one of nothing.
func (d *Dialect) readFigures(m *iso8583.Message, asked acquirer.Totals) (host acquirer.Totals, given bool, err error) {
	host = acquirer.Totals{Trace: asked.Trace, Batch: asked.Batch, Currency: asked.Currency}
	for _, f := range d.Place.totals(&host) {
		if value(m, f.at.Number) == "" && value(m, f.at.Sum) == "" {
			continue
		}
		number, err := decimal(value(m, f.at.Number), maxTotal)
		if err != nil {
			return host, false, err
		}
		sum, err := decimal(value(m, f.at.Sum), maxSum)
		if err != nil {
			return host, false, err
		}
		*f.count, given = acquirer.Count{Number: int(number), Amount: sum}, true
	}
	if net := value(m, d.Place.Net); given && net != "" && net != netAmount(host) {
		return host, false, malformed("net amount")
	}
	return host, given, nil
}

func standsAs(a, b acquirer.Totals) bool {
	return a.Standing() == b.Standing() && a.StandingCredits() == b.StandingCredits()
}
