package book

import "nightdrop/shared/envelope"

// corrections are the steps of a person who corrects a person's word, before the payment's batch is
// closed and after.
func corrections(as envelope.Status) []step {
	one := id(subject)
	correct := PaymentCorrected{ID: one, As: as, Reason: "r"}
	ordered := correct
	ordered.Reverse = true
	return []step{
		{"payment-corrected", func(b *book) Body { b.closeAll(); return ordered }},
		{"payment-resolved", func(*book) Body { return PaymentResolved{ID: one, As: as, Reason: "r", Remembered: true} }},
		{"payment-corrected", func(*book) Body { return correct }},
		{"payment-corrected", func(b *book) Body { b.closeAll(); return correct }},
		{"capture/capture-answered", func(b *book) Body {
			b.try(order(aCap, envelope.OpCapture, 100, subject))
			b.try(b.captureOf(aCap))
			b.try(CaptureAbandoned{ID: id(aCap), Tries: 1})
			return PaymentResolved{ID: id(aCap), As: as, Reason: "r", Remembered: true}
		}},
		{"capture/capture-answered", func(b *book) Body {
			b.try(order(aCap, envelope.OpCapture, 40, subject))
			b.try(b.captureOf(aCap))
			b.try(CaptureAbandoned{ID: id(aCap), Tries: 1})
			return PaymentResolved{ID: id(aCap), As: as, Reason: "r"}
		}},
		{"capture/payment-corrected", func(b *book) Body {
			capture := b.payment(aCap)
			if capture.Stage != StageCaptured {
				capture.ID = id(0) // only a capture that stands changes its authorisation
			}
			return PaymentCorrected{ID: capture.ID, As: as, Reason: "r"}
		}},
	}
}
