package iso8583

import (
	"slices"
	"strconv"

	"github.com/moov-io/iso8583"

	"nightdrop/vault/internal/acquirer"
)

// Settlement codes. (ISO 8583:1987 field 66)
const (
	settlementAgreed  = "1"
	settlementDiffers = "2"
)

// temporary are codes of a host that cannot compare totals now: a request is in progress or to be
// entered again, a cutover is in process, the switch or system is down. (ISO 8583:1987 field 39)
var temporary = []string{"09", "19", "68", "90", "91", "96"}

// fitsTotals compares an answer to a 0500 with it: type and trace number must be the request's, and
// terminal, acceptor, currency (or that of settlement) and batch where the answer has them.
func (d *Dialect) fitsTotals(asked, got *iso8583.Message) error {
	if err := d.fits(asked, got, d.Field.STAN); err != nil {
		return err
	}
	for _, id := range []int{d.Field.Terminal, d.Field.Acceptor, d.Field.Currency, d.Field.Batch} {
		if given := value(got, id); given != "" && given != value(asked, id) {
			return malformed("field " + strconv.Itoa(id))
		}
	}
	if id := d.Field.SettlementCurrency; id != 0 && value(got, d.Field.Currency) == "" {
		if given := value(got, id); given != "" && given != value(asked, d.Field.Currency) {
			return malformed("field " + strconv.Itoa(id))
		}
	}
	return nil
}

// readTotals reads a 0510 in any usual form: the host's own totals, with or without a settlement
// code; a settlement code alone; or a response code alone, which then says whether they agree.
// Where the host did not compare, the error is an [acquirer.RefusedError]. One that contradicts
// itself is malformed.
func (d *Dialect) readTotals(m *iso8583.Message, asked acquirer.Totals) (acquirer.Reconciliation, error) {
	none := acquirer.Reconciliation{}
	code, said := value(m, d.Field.Answer), value(m, d.Field.Settlement)
	switch {
	case code != "" && (len(code) != 2 || !alphanumeric(code)):
		return none, malformed("response code")
	case code != "" && !slices.Contains(d.Compared, code):
		return none, &acquirer.RefusedError{Code: code, Passing: slices.Contains(temporary, code)}
	}
	host, given, err := d.readFigures(m, asked)
	if err != nil {
		return none, err
	}
	same := sameStanding(host, asked)
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
	// The host's own totals must bear out what it says.
	if given && same != agreed || !given && agreed && value(m, d.Field.Net) != "" && value(m, d.Field.Net) != netAmount(asked) {
		return none, malformed("settlement code against the host's own totals")
	}
	if !given && agreed {
		host = asked
	}
	return acquirer.Reconciliation{Agreed: agreed, Host: host, Untold: !given}, nil
}

// readFigures reads the host's own totals; given is false where there are none. One left out is
// zero.
func (d *Dialect) readFigures(m *iso8583.Message, asked acquirer.Totals) (host acquirer.Totals, given bool, err error) {
	host = acquirer.Totals{Trace: asked.Trace, Batch: asked.Batch, Currency: asked.Currency}
	for _, f := range d.Field.totals(&host) {
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
	if net := value(m, d.Field.Net); given && net != "" && net != netAmount(host) {
		return host, false, malformed("net amount")
	}
	return host, given, nil
}

func sameStanding(a, b acquirer.Totals) bool {
	return a.Standing() == b.Standing() && a.StandingCredits() == b.StandingCredits()
}
