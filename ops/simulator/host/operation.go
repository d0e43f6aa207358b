package host

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/moov-io/iso8583"
)

// takeSale books a 0200 and answers it as the rules say.
func (s *session) takeSale(m *iso8583.Message) bool {
	asked, ok := readSale(m)
	if !ok {
		s.reply(m, "0210", map[int]string{39: codeFormat}, s.host.cfg.AnswerDelay)
		return true
	}
	code, how := rule(asked.Amount, text(m, 48))
	var booked Sale
	return s.host.submit(task{
		decide: func(a *account) line {
			l := s.line(kindSale)
			if before := a.sales[asked.Key]; before != nil {
				booked = *before
				l.Kind, l.Original = kindRepeat, &asked.Key
				return l
			}
			asked.Answer = code
			if a.cancelled[asked.Key] {
				asked.Answer = codeInvalid
			}
			if asked.Answer == codeApproved {
				asked.Approval = fmt.Sprintf("%06d", (len(a.order)+1)%1_000_000)
			}
			booked, l.Sale = asked, &asked
			return l
		},
		done: func() { s.answerSale(m, booked, how) },
	})
}

func (s *session) answerSale(m *iso8583.Message, booked Sale, how manner) {
	fields := map[int]string{39: booked.Answer}
	if booked.Approval != "" {
		fields[38] = booked.Approval
	}
	switch how {
	case atOnce:
		s.reply(m, "0210", fields, s.host.cfg.AnswerDelay)
	case late:
		s.reply(m, "0210", fields, s.host.cfg.LateAfter)
	case hangUp:
		s.queue(nil, 0)
	case never:
	}
}

// takeReversal books a 0420 or 0421. A sale that is not in the book is remembered as reversed: should it come later, it is declined.
func (s *session) takeReversal(m *iso8583.Message) bool {
	original, ok := readOriginal(m)
	amount, amountOK := number(text(m, 4))
	if !ok || !amountOK {
		s.reply(m, "0430", map[int]string{39: codeFormat}, s.host.cfg.AnswerDelay)
		return true
	}
	code := codeApproved
	return s.host.submit(task{
		decide: func(a *account) line {
			l := s.line(kindReversal)
			l.Original = &original
			if sale := a.sales[original]; sale != nil {
				if sale.Amount != amount {
					code = codeAmount
				}
				l.Undone = code == codeApproved && sale.charged()
			}
			return l
		},
		done: func() {
			s.reply(m, "0430", map[int]string{39: code, 90: text(m, 90)}, s.host.cfg.AnswerDelay)
		},
	})
}

// takeTotals compares a 0500 with the book: what stands of acceptor, batch and currency, in number and amount.
func (s *session) takeTotals(m *iso8583.Message) bool {
	asked, ok := readStanding(m)
	if !ok {
		s.reply(m, "0510", map[int]string{39: codeFormat}, s.host.cfg.AnswerDelay)
		return true
	}
	var ours Total
	agreed := false
	return s.host.submit(task{
		decide: func(a *account) line {
			ours = a.total(trimmed(m, 42), text(m, 60), text(m, 49))
			agreed = ours.Standing == asked
			l := s.line(kindTotals)
			l.Totals, l.Agreed = &ours, agreed
			return l
		},
		done: func() { s.reply(m, "0510", totalFields(ours, agreed), s.host.cfg.AnswerDelay) },
	})
}

func totalFields(t Total, agreed bool) map[int]string {
	fields := map[int]string{
		39: codeOutOfBalance, 66: "2",
		74: fmt.Sprintf("%010d", 0), 75: fmt.Sprintf("%010d", 0), 86: fmt.Sprintf("%016d", 0), 87: fmt.Sprintf("%016d", 0),
		76: fmt.Sprintf("%010d", t.Debits.Number), 77: fmt.Sprintf("%010d", t.Reversed.Number),
		88: fmt.Sprintf("%016d", t.Debits.Amount), 89: fmt.Sprintf("%016d", t.Reversed.Amount),
		97: fmt.Sprintf("D%016d", t.Standing.Amount),
	}
	if agreed {
		fields[39], fields[66] = codeApproved, "1"
	}
	return fields
}

func (s *session) line(kind string) line {
	return line{Kind: kind, At: s.host.cfg.Now().UTC().Format(time.RFC3339)}
}

// readSale reads what the book keeps of a 0200; the number goes no further than its mask.
func readSale(m *iso8583.Message) (Sale, bool) {
	pan := text(m, 2)
	amount, ok := number(text(m, 4))
	s := Sale{
		Key:      Key{Terminal: trimmed(m, 41), STAN: text(m, 11), Sent: text(m, 7), RRN: text(m, 37)},
		Acceptor: trimmed(m, 42), Batch: text(m, 60), Amount: amount, Currency: text(m, 49),
	}
	if !allDigits(pan) || len(pan) < 12 || len(text(m, 14)) != 4 {
		return Sale{}, false
	}
	s.Masked = pan[:6] + strings.Repeat("*", len(pan)-10) + pan[len(pan)-4:]
	return s, ok && amount > 0 && s.Terminal != "" && s.Acceptor != "" && s.STAN != "" && s.Sent != "" &&
		s.RRN != "" && len(s.Batch) == 6 && s.Currency != ""
}

// readOriginal reads which sale a reversal is of: terminal, field 37, and of field 90 the type, the trace number and the time.
func readOriginal(m *iso8583.Message) (Key, bool) {
	elements := text(m, 90)
	if len(elements) != 42 || elements[:4] != "0200" {
		return Key{}, false
	}
	k := Key{Terminal: trimmed(m, 41), STAN: elements[4:10], Sent: elements[10:20], RRN: text(m, 37)}
	return k, k.Terminal != "" && k.RRN != ""
}

// readStanding reads debits less their reversals; credits must be none, for the host takes no refunds.
func readStanding(m *iso8583.Message) (Count, bool) {
	var n [8]int64
	for i, id := range []int{74, 75, 86, 87, 76, 77, 88, 89} {
		value, ok := number(text(m, id))
		if !ok {
			return Count{}, false
		}
		n[i] = value
	}
	standing := Count{Number: int(n[4] - n[5]), Amount: n[6] - n[7]}
	noCredits := n[0] == n[1] && n[2] == n[3]
	return standing, noCredits && text(m, 97) == fmt.Sprintf("D%016d", standing.Amount)
}

func trimmed(m *iso8583.Message, id int) string { return strings.TrimRight(text(m, id), " ") }

// number reads decimal digits and nothing else.
func number(s string) (int64, bool) {
	if !allDigits(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func allDigits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
