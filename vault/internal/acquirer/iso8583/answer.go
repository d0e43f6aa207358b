package iso8583

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moov-io/iso8583"

	"nightdrop/vault/internal/acquirer"
)

// key matches an answer with its request: the message class (02, 04, 05, 08), the terminal and the
// trace number, which is unique only per terminal. Network messages have no terminal.
type key struct{ class, terminal, stan string }

// keyOf returns a message's key; ok is false when it has no type or trace number.
func (d *Dialect) keyOf(m *iso8583.Message) (k key, mti string, ok bool) {
	mti, _ = m.GetMTI()
	stan := value(m, d.Field.STAN)
	if len(mti) != 4 || len(stan) != 6 {
		return key{}, mti, false
	}
	return key{class: mti[:2], terminal: value(m, d.Field.Terminal), stan: stan}, mti, true
}

// value returns a field, which must not be secret, or "".
func value(m *iso8583.Message, id int) string {
	s, err := m.GetString(id)
	if err != nil {
		return ""
	}
	return s
}

// fits checks that an answer's type fits the request and that its given fields are the request's.
func (d *Dialect) fits(asked, got *iso8583.Message, fields ...int) error {
	wanted, _ := asked.GetMTI()
	if mti, _ := got.GetMTI(); mti != d.answerType(wanted) {
		return malformed("message type")
	}
	for _, id := range fields {
		if value(asked, id) != value(got, id) {
			return malformedField(id)
		}
	}
	return nil
}

func malformedField(id int) error { return malformed("field " + strconv.Itoa(id)) }

func malformed(what string) error {
	return fmt.Errorf("%w: %s", acquirer.ErrMalformedAnswer, what)
}

// readAnswer returns the response code, its outcome, and the approval. (ISO 8583:1987 fields 39 and
// 38)
func (d *Dialect) readAnswer(m *iso8583.Message, means func(code string) acquirer.Outcome) (acquirer.Answer, error) {
	a := acquirer.Answer{Code: value(m, d.Field.Answer)}
	if len(a.Code) != 2 || !alphanumeric(a.Code) {
		return acquirer.Answer{}, malformed("response code")
	}
	a.Approval = strings.TrimRight(value(m, d.Field.Approval), " ")
	if !alphanumeric(a.Approval) {
		return acquirer.Answer{}, malformed("approval")
	}
	if a.Outcome = means(a.Code); a.Outcome != acquirer.Approves && a.Outcome != acquirer.Stands {
		a.Approval = ""
	}
	return a, nil
}

func decimal(s string, limit int64) (int64, error) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, malformed("totals")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > limit {
		return 0, malformed("totals")
	}
	return n, nil
}
