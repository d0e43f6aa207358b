package iso8583

import (
	"maps"
	"slices"
	"strconv"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"
)

// The fields that every message begins with.
const (
	mtiField    = 0
	bitmapField = 1
)

// fieldShape is a field as a dialect file describes it.
type fieldShape struct {
	length int
	fixed  bool
	hex    bool // its fixed length counts bytes of hex
	enc    encoding.Encoder
	pref   prefix.Prefixer
	name   string
}

// fieldRule is what a field must be like to hold a value.
type fieldRule struct {
	name     string
	id       int
	least    int  // characters that must fit
	exact    bool // and no more: a fixed length
	text     bool // not digits alone
	secret   bool // account data
	variable bool // of variable length
	optional bool
}

func (p fieldNumbers) rules() []fieldRule {
	rules := []fieldRule{
		{name: "number", id: p.Number, least: 19, secret: true, variable: true},
		{name: "expiry", id: p.Expiry, least: 4, exact: true, secret: true},
		{name: "code", id: p.Code, least: 4, secret: true, variable: true},
		{name: "processing", id: p.Processing, least: 6, exact: true},
		{name: "amount", id: p.Amount, least: 12, exact: true},
		{name: "transmitted", id: p.Transmitted, least: 10, exact: true},
		{name: "stan", id: p.STAN, least: 6, exact: true},
		{name: "time", id: p.Time, least: 6, exact: true, optional: true},
		{name: "date", id: p.Date, least: 4, exact: true, optional: true},
		{name: "rrn", id: p.RRN, least: 12, exact: true, text: true},
		{name: "approval", id: p.Approval, least: 6, exact: true, text: true},
		{name: "answer", id: p.Answer, least: 2, exact: true, text: true},
		{name: "terminal", id: p.Terminal, least: 8, text: true},
		{name: "acceptor", id: p.Acceptor, least: 15, text: true},
		{name: "descriptor", id: p.Descriptor, least: maxDescriptor, text: true, optional: true},
		{name: "currency", id: p.Currency, least: 3, exact: true},
		{name: "batch", id: p.Batch, least: 6},
		{name: "settlement", id: p.Settlement, least: 1, exact: true},
		{name: "network", id: p.Network, least: 3, exact: true},
		{name: "original", id: p.Original, least: 42, exact: true},
		{name: "settlement-currency", id: p.SettlementCurrency, least: 3, exact: true, optional: true},
		{name: "net", id: p.Net, least: 17, exact: true, text: true},
	}
	for _, t := range []struct {
		name string
		total
	}{{"credits", p.Credits}, {"credit-reversals", p.CreditReversals}, {"debits", p.Debits}, {"debit-reversals", p.DebitReversals}} {
		rules = append(rules, fieldRule{name: t.name + ".number", id: t.Number, least: 10, exact: true},
			fieldRule{name: t.name + ".sum", id: t.Sum, least: 16, exact: true})
	}
	return rules
}

// assignFields checks that each field can hold its value, and sets the widths.
func (f *dialectFile) assignFields(d *Dialect, spec *iso8583.MessageSpec) error {
	used := map[int]string{}
	for _, r := range d.Field.rules() {
		path := "nightdrop.place." + r.name
		if r.id == 0 && r.optional {
			continue
		}
		shape, ok := described(spec, r.id)
		switch {
		case !ok || r.id <= bitmapField || r.id == 65:
			return f.fail(path, `name a field, 2 to %d, that stands under "fields"`, maxField)
		case used[r.id] != "":
			return f.fail(path, "field %d holds the %s already", r.id, used[r.id])
		}
		if why := r.fits(shape); why != "" {
			return f.fail("fields."+strconv.Itoa(r.id), "it holds the %s (nightdrop.place), so %s", r.name, why)
		}
		used[r.id] = r.name
		if !r.secret {
			d.widths[r.id] = width{length: shape.length, fixed: shape.fixed}
		}
	}
	shape, _ := described(spec, mtiField)
	if why := (fieldRule{least: 4, exact: true}).fits(shape); why != "" {
		return f.fail("fields.0", "it holds the message type, so %s", why)
	}
	for _, m := range d.Messages.named() {
		for _, name := range slices.Sorted(maps.Keys(m.Constants)) {
			path := "nightdrop.messages." + m.name + ".constants." + name
			id, err := strconv.Atoi(name)
			shape, ok := described(spec, id)
			switch {
			case err != nil || strconv.Itoa(id) != name || !ok || id <= bitmapField || id == 65:
				return f.fail(path, `name a field, 2 to %d, that stands under "fields"`, maxField)
			case used[id] != "":
				return f.fail(path, "field %d holds the %s already", id, used[id])
			}
			if why := (fieldRule{least: 1}).fits(shape); why != "" {
				return f.fail("fields."+name, "it holds a constant, so %s", why)
			}
			d.widths[id] = width{length: shape.length, fixed: shape.fixed}
		}
	}
	return nil
}

// fits returns "", or what the field's description must be.
func (r fieldRule) fits(s fieldShape) string {
	_, packed := packedDigits(s.enc)
	switch {
	case !characters(s.enc) && !packed:
		return "its encoding must be ASCII, EBCDIC, EBCDIC1047, BCD or LBCD"
	case r.text && packed:
		return "its encoding must be ASCII, EBCDIC or EBCDIC1047: it holds letters too"
	case s.hex:
		return "its prefix must not be Hex.Fixed: write ASCII.Fixed"
	case r.exact && (!s.fixed || s.length != r.least):
		return "it must be of fixed length " + strconv.Itoa(r.least)
	case r.variable && s.fixed:
		return "its length must be variable: write a prefix such as ASCII.LL"
	case s.length < r.least:
		return "it must have room for " + strconv.Itoa(r.least) + " characters"
	}
	return ""
}

// characters reports whether the encoding has one byte a character.
func characters(e encoding.Encoder) bool {
	return e == encoding.ASCII || e == encoding.EBCDIC || e == encoding.EBCDIC1047
}

// packedDigits reports whether the encoding has two digits in a byte; left, whether an odd one is
// the high half of its byte.
func packedDigits(e encoding.Encoder) (left, packed bool) {
	return e == encoding.LBCD, e == encoding.LBCD || e == encoding.BCD
}

// specifications returns the fields of messages written and read. Fields of ours are strings of
// their whole length; account data is a secretPacker's in the one and opaque in the other; all
// other fields are opaque.
func (d *Dialect) specifications(from *iso8583.MessageSpec) (asks, reads *iso8583.MessageSpec) {
	asks = &iso8583.MessageSpec{Name: d.name, Fields: map[int]field.Field{}}
	reads = &iso8583.MessageSpec{Name: d.name, Fields: map[int]field.Field{}}
	for id := range from.Fields {
		s, _ := described(from, id)
		_, ours := d.widths[id]
		switch {
		case id == bitmapField:
			asks.Fields[id], reads.Fields[id] = from.Fields[id], from.Fields[id]
			continue
		case id == mtiField || ours:
			asks.Fields[id] = field.NewString(field.NewSpec(s.length, s.name, s.enc, s.pref))
			reads.Fields[id] = asks.Fields[id]
			continue
		case slices.Contains([]int{d.Field.Number, d.Field.Expiry, d.Field.Code}, id):
			asks.Fields[id] = field.NewBinary(&field.Spec{Length: s.length, Description: s.name, Pref: s.pref, Packer: secretPacker{s.enc}})
		}
		reads.Fields[id] = field.NewBinary(&field.Spec{Length: s.length, Description: s.name, Pref: s.pref,
			Packer: opaque{}, Unpacker: opaque{s.enc}})
	}
	return asks, reads
}
