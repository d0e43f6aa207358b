package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

// demands are what an operation takes beside its reference, named as the flags of seal and the
// columns of a CSV file name it (specification 3).
type demands struct {
	needs  []string // all of these
	either []string // exactly one of these
	may    []string
}

// operations lists them as --help does.
func operations() []envelope.Operation {
	return []envelope.Operation{envelope.OpSale, envelope.OpAuthorize, envelope.OpCapture, envelope.OpVoid, envelope.OpRefund, envelope.OpPayout,
		envelope.OpStore, envelope.OpUpdate, envelope.OpForget}
}

func demandsOf(op envelope.Operation) (demands, bool) {
	money, by := []string{"amount", "currency"}, []string{"account", "token"}
	switch op {
	case envelope.OpSale, envelope.OpAuthorize:
		return demands{money, by, []string{"descriptor", "code"}}, true
	case envelope.OpCapture:
		return demands{needs: []string{"of", "amount"}}, true
	case envelope.OpVoid:
		return demands{needs: []string{"of"}}, true
	case envelope.OpRefund:
		return demands{needs: []string{"of", "amount"}, may: []string{"account"}}, true
	case envelope.OpPayout:
		return demands{needs: money, either: by}, true
	case envelope.OpStore:
		return demands{needs: []string{"account"}}, true
	case envelope.OpUpdate:
		return demands{needs: []string{"token", "account"}}, true
	case envelope.OpForget:
		return demands{needs: []string{"token"}}, true
	}
	return demands{}, false
}

// instruction is an order with whether an account and a code come with it.
type instruction struct {
	order         envelope.Order
	account, code bool
}

// check returns what an operation lacks or does not take, and what of the order the vault would
// refuse. Its errors name flags or columns with the given prefix, and never quote a value: a number
// may stand in any place.
func (i instruction) check(prefix string) error {
	d, ok := demandsOf(i.order.Operation)
	if !ok {
		return fmt.Errorf("%soperation is one of %s", prefix, joined(operations()))
	}
	given, op := i.given(), i.order.Operation
	for _, name := range d.needs {
		if !slices.Contains(given, name) {
			return fmt.Errorf("%s needs %s%s", op, prefix, name)
		}
	}
	if len(d.either) > 0 {
		if one := slices.Contains(given, d.either[0]); one == slices.Contains(given, d.either[1]) {
			return fmt.Errorf("%s needs either %s%s or %s%s", op, prefix, d.either[0], prefix, d.either[1])
		}
	}
	for _, name := range given {
		if !slices.Contains(slices.Concat(d.needs, d.either, d.may), name) {
			return fmt.Errorf("%s takes no %s%s", op, prefix, name)
		}
	}
	return i.checkValues(prefix)
}

func (i instruction) given() (names []string) {
	o := i.order
	for _, m := range []struct {
		name  string
		there bool
	}{
		{"amount", o.Amount != 0}, {"currency", o.Currency != ""}, {"token", o.Token != ""}, {"of", o.Of != ""},
		{"descriptor", o.Descriptor != ""}, {"account", i.account}, {"code", i.code},
	} {
		if m.there {
			names = append(names, m.name)
		}
	}
	return names
}

func (i instruction) checkValues(prefix string) error {
	o := i.order
	wrong := func(name, what string) error { return errors.New(prefix + name + what) }
	if o.Amount < 0 || o.Amount > envelope.MaxAmount {
		return wrong("amount", fmt.Sprintf(" is from 1 to %d, in minor units", envelope.MaxAmount))
	}
	if o.Currency != "" {
		if _, ok := envelope.LookupCurrency(o.Currency); !ok {
			return wrong("currency", " is an active ISO 4217 code, such as EUR")
		}
	}
	if o.Of != "" && !envelope.ValidID(o.Of) {
		return wrong("of", " is the id of the payment, a UUID in lower case")
	}
	if o.Token != "" && !envelope.ValidToken(o.Token) {
		return wrong("token", " is tok_ and 26 characters, as the result of a store gave it")
	}
	if o.Descriptor != "" {
		if err := envelope.CheckDescriptor(o.Descriptor); err != nil {
			return fmt.Errorf("%sdescriptor: %w", prefix, err)
		}
	}
	if err := envelope.CheckReference(o.Reference); err != nil {
		return fmt.Errorf("%sreference: %w", prefix, err)
	}
	return nil
}

// joined lists words for a sentence.
func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}
