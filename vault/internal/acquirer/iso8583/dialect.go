// Package iso8583 speaks ISO 8583:1987 over TCP to an acquirer host: moov-io/iso8583 packs and reads the fields,
// moov-io/iso8583-connection owns the socket's loops, and this package says what the messages are and what silence means.
//
// # The dialect
//
// A message is a two-byte big-endian length and so many bytes of ASCII: the message type, the bitmaps in upper-case hex, the
// fields. 0800 signs on (field 70 001) and asks for an echo (301); 0200 is a sale, 0420 and 0421 its reversal, 0500 a batch's
// totals. An answer has the request's type plus ten (0421's is 0430) and its terminal and trace number.
package iso8583

import (
	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"
)

// Message types.
const (
	mtiAuthorise       = "0100"
	mtiSale            = "0200"
	mtiCapture         = "0220"
	mtiCaptureRepeat   = "0221"
	mtiReversal        = "0420"
	mtiReversalRepeat  = "0421"
	mtiReconcile       = "0500"
	mtiNetwork         = "0800"
	mtiNetworkAnswer   = "0810"
	mtiReversalAnswer  = "0430"
	mtiAuthoriseAnswer = "0110"
	mtiSaleAnswer      = "0210"
	mtiCaptureAnswer   = "0230"
	mtiReconcileAnswer = "0510"
)

// Field numbers of ISO 8583:1987, and what the dialect puts there where the standard leaves a choice.
const (
	fieldMTI             = 0
	fieldBitmap          = 1
	fieldNumber          = 2  // account number; only in 0200
	fieldProcessing      = 3  // 000000: purchase
	fieldAmount          = 4  // minor units
	fieldTransmitted     = 7  // MMDDhhmmss, UTC
	fieldSTAN            = 11 // unique per terminal and business day
	fieldTime            = 12 // hhmmss, UTC
	fieldDate            = 13 // MMDD, UTC
	fieldExpiry          = 14 // YYMM
	fieldEntryMode       = 22 // 012: keyed, no PIN
	fieldCondition       = 25 // 59: electronic commerce
	fieldRRN             = 37
	fieldApproval        = 38
	fieldAnswer          = 39
	fieldTerminal        = 41
	fieldAcceptor        = 42
	fieldDescriptor      = 43
	fieldCode            = 48 // the card security code, nothing else; only in 0200
	fieldCurrency        = 49 // ISO 4217 number
	fieldBatch           = 60 // private: the batch, six digits
	fieldSettlement      = 66 // 1: the totals agree, 2: they do not
	fieldNetwork         = 70 // 001: sign on, 301: echo
	fieldCredits         = 74 // a number of transactions, as 75 to 77
	fieldCreditReversals = 75
	fieldDebits          = 76
	fieldDebitReversals  = 77
	fieldCreditSum       = 86 // an amount, as 87 to 89
	fieldCreditRevSum    = 87
	fieldDebitSum        = 88
	fieldDebitRevSum     = 89
	fieldOriginal        = 90 // type, STAN and field 7 of the original, and two institution codes of zeros
	fieldNet             = 97 // C or D and the net amount
)

// Values that never change.
const (
	processingPurchase = "000000"
	processingRefund   = "200000"
	entryKeyed         = "012"
	conditionECommerce = "59"
	networkSignOn      = "001"
	networkEcho        = "301"
	settlementAgreed   = "1"
	settlementDiffers  = "2"
	codeOutOfBalance   = "95" // field 39 of a 0510 whose totals differ: reconcile error
)

// newDialect returns the message specification. No field is padded by the library: what is on the wire is what is written and
// checked here, so an answer packs to the very bytes that it was read from.
func newDialect() *iso8583.MessageSpec {
	fields := map[int]field.Field{
		fieldBitmap: field.NewBitmap(field.NewSpec(8, "Bitmap", encoding.BytesToASCIIHex, prefix.Hex.Fixed)),
		fieldNumber: secretField(19, "Primary account number", prefix.ASCII.LL),
		fieldExpiry: secretField(4, "Expiration date", prefix.ASCII.Fixed),
		fieldCode:   secretField(4, "Card security code", prefix.ASCII.LLL),
		fieldBatch:  field.NewString(field.NewSpec(6, "Batch", encoding.ASCII, prefix.ASCII.LLL)),
	}
	for _, f := range fixedFields() {
		fields[f.id] = field.NewString(field.NewSpec(f.length, f.name, encoding.ASCII, prefix.ASCII.Fixed))
	}
	return &iso8583.MessageSpec{Name: "ISO 8583:1987 ASCII, card sales", Fields: fields}
}

type fixedField struct {
	id, length int
	name       string
}

func fixedFields() []fixedField {
	return []fixedField{
		{fieldMTI, 4, "Message type"},
		{fieldProcessing, 6, "Processing code"},
		{fieldAmount, 12, "Amount"},
		{fieldTransmitted, 10, "Transmission date and time"},
		{fieldSTAN, 6, "Systems trace audit number"},
		{fieldTime, 6, "Local time"},
		{fieldDate, 4, "Local date"},
		{fieldEntryMode, 3, "Point of service entry mode"},
		{fieldCondition, 2, "Point of service condition"},
		{fieldRRN, 12, "Retrieval reference number"},
		{fieldApproval, 6, "Authorization identification response"},
		{fieldAnswer, 2, "Response code"},
		{fieldTerminal, 8, "Card acceptor terminal"},
		{fieldAcceptor, 15, "Card acceptor"},
		{fieldDescriptor, 40, "Card acceptor name and location"},
		{fieldCurrency, 3, "Currency"},
		{fieldSettlement, 1, "Settlement code"},
		{fieldNetwork, 3, "Network management information"},
		{fieldCredits, 10, "Credits, number"},
		{fieldCreditReversals, 10, "Credits, reversals, number"},
		{fieldDebits, 10, "Debits, number"},
		{fieldDebitReversals, 10, "Debits, reversals, number"},
		{fieldCreditSum, 16, "Credits, amount"},
		{fieldCreditRevSum, 16, "Credits, reversals, amount"},
		{fieldDebitSum, 16, "Debits, amount"},
		{fieldDebitRevSum, 16, "Debits, reversals, amount"},
		{fieldOriginal, 42, "Original data elements"},
		{fieldNet, 17, "Net settlement amount"},
	}
}
