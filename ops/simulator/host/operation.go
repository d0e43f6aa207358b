package host

import (
	"fmt"
	"time"

	"github.com/moov-io/iso8583"
)

// takeRequest books a 0100, 0200 or 0220 and answers it as the rules say.
func (s *session) takeRequest(m *iso8583.Message, key Key, how Mishap) bool {
	asked, of, ok := readRequest(m, key)
	if !ok {
		s.reply(m, how, map[int]string{39: codeFormat})
		return true
	}
	ruled, manners := rule(key, asked.Amount, text(m, 48))
	var booked Transaction
	var again bool
	return s.host.submit(task{
		crash: how == Crash,
		decide: func(a *account) (l line) {
			l, booked = s.bookRequest(a, asked, of, ruled)
			again = l.Kind == lineRepeat
			return l
		},
		done: func() {
			fields := map[int]string{39: said(how, key, asked.Amount, again, booked.Answer)}
			if booked.Approval != "" {
				fields[38] = booked.Approval
			}
			if booked.Asked != 0 {
				fields[4] = fmt.Sprintf("%012d", booked.Amount)
			}
			s.reply(m, manner(manners, how, key, asked.Amount, again), fields)
		},
	})
}

// bookRequest returns the line to book for a request and the transaction to answer from.
func (s *session) bookRequest(a *account, asked Transaction, of *reference, ruled string) (line, Transaction) {
	if before := a.taken[asked.Key]; before != nil {
		if before.sameAs(&asked) {
			return line{Kind: lineRepeat, At: s.now(), Asked: &asked.Key}, *before
		}
		return line{Kind: lineConflict, At: s.now(), Asked: &asked.Key}, Transaction{Answer: codeDuplicate}
	}
	asked.Answer = a.judge(&asked, of, ruled)
	if asked.Amount == amountPart && asked.Answer == codeApproved && (asked.Kind == KindSale || asked.Kind == KindHold) {
		asked.Answer, asked.Asked, asked.Amount = codePart, asked.Amount, asked.Amount/2
	}
	if approves(asked.Answer) {
		asked.Approval = approval(asked.Key)
	}
	return line{Kind: lineTransaction, At: s.now(), Transaction: &asked}, asked
}

// takeReversal books a 0420 or 0421. A request that is not in the book is remembered as reversed:
// should it come later, it is declined.
func (s *session) takeReversal(m *iso8583.Message, key Key, how Mishap) bool {
	original, ok := readReversed(m)
	amount, amountOK := number(text(m, 4))
	if !ok || !amountOK {
		s.reply(m, how, map[int]string{39: codeFormat})
		return true
	}
	var code string
	var again bool
	return s.host.submit(task{
		crash: how == Crash,
		decide: func(a *account) line {
			again = a.advised[key]
			l := line{Kind: lineReversal, At: s.now(), Asked: &key, Original: &original}
			code, l.Undone = a.reverse(original, amount)
			return l
		},
		done: func() {
			fields := map[int]string{39: said(how, key, amount, again, code), 90: text(m, 90)}
			s.reply(m, manner("", how, key, amount, again), fields)
		},
	})
}

// takeTotals compares a 0500 with the book: what stands of acceptor, batch and currency, debits and
// credits, in number and amount.
func (s *session) takeTotals(m *iso8583.Message, key Key, how Mishap) bool {
	debits, credits, ok := readStanding(m)
	if !ok {
		s.reply(m, how, map[int]string{39: codeFormat})
		return true
	}
	var ours Total
	agreed := false
	return s.host.submit(task{
		crash: how == Crash,
		decide: func(a *account) line {
			ours = a.total(trimmed(m, 42), text(m, 60), text(m, 49))
			agreed = ours.Standing == debits && ours.CreditsStanding == credits
			return line{Kind: lineTotals, At: s.now(), Asked: &key, Totals: &ours, Agreed: agreed}
		},
		done: func() {
			form := s.host.cfg.Totals
			s.reply(m, form.manner(how), form.fields(ours, agreed, text(m, 49)))
		},
	})
}

// totalFields returns the host's own figures, and whether those that stand are the asker's. (fields
// 66, 74 to 77, 86 to 89, 97)
func totalFields(t Total, agreed bool) map[int]string {
	fields := map[int]string{39: codeOutOfBalance, 66: "2", 97: netAmount(t.Standing, t.CreditsStanding)}
	if agreed {
		fields[39], fields[66] = codeApproved, "1"
	}
	for i, c := range []Count{t.Credits, t.CreditsReversed, t.Debits, t.Reversed} {
		fields[countFields[i]] = fmt.Sprintf("%010d", c.Number)
		fields[sumFields[i]] = fmt.Sprintf("%016d", c.Amount)
	}
	return fields
}

// Where a 0500 and its answer hold the numbers and sums of credits, credits reversed, debits and
// debits reversed.
var (
	countFields = [4]int{74, 75, 76, 77}
	sumFields   = [4]int{86, 87, 88, 89}
)

// netAmount returns field 97: D when debits outweigh credits or are as many, else C, and the
// difference.
func netAmount(debits, credits Count) string {
	if credits.Amount > debits.Amount {
		return fmt.Sprintf("C%016d", credits.Amount-debits.Amount)
	}
	return fmt.Sprintf("D%016d", debits.Amount-credits.Amount)
}

func (s *session) now() string { return s.host.cfg.Now().UTC().Format(time.RFC3339) }
