package main

import (
	"maps"
	"slices"
	"strings"

	"nightdrop/vault/internal/book"
)

// meaning is what a kind of finding means to a person.
type meaning struct{ means, todo string }

// meanings has every kind of finding; a test holds it against them, and against
// ops/docs/findings.md.
var meanings = map[book.Finding]meaning{
	book.FindingBagMissing: {"bags of a relay's run never came",
		"ask the relay's operator what became of them; receipts prove what it took, and shops post again what got no result"},
	book.FindingBagForked: {"a relay signed two bags under one number, or a chain that does not join",
		"two processes use the relay's name or key: find the second; where there is none, take the key for stolen and make a new one"},
	book.FindingBagAltered: {"a bag came whose signature, count or body does not hold",
		"somebody writes into the channel who is not the relay, or its disk is damaged: check the relay's host; the genuine bag counts when it comes"},
	book.FindingRestart: {"a relay began a run without naming the end of the one before",
		"its head file was lost: ask why; compare the receipts of shops from before it with their results"},
	book.FindingUnknownRelay: {"a bag came of a relay that vault.toml does not list",
		"list its key if it is yours; else somebody has the channel's write key: make a new one"},
	book.FindingForgedEnvelope: {"an envelope under a merchant's name came that its keys did not sign",
		"the shop may have changed its key (enrol it); many of them are an attack through the relay"},
	book.FindingBadEnvelope: {"a relay let through what is no envelope", "update the relay, or take its host for owned: a relay of ours refuses these"},
	book.FindingUnknownMerchant: {"an envelope came of a merchant that the vault does not have",
		"enrol the merchant, or find out why the relay's list of members has it"},
	book.FindingSequence: {"the channel lost what the vault had read and counts anew",
		"look at the relay's disk; bags that were lost with it show as bag-missing, and shops post again"},
	book.FindingClockForward: {"the vault's clock jumped ahead, or the vault was off for long; no key is destroyed",
		"check the clock; then custodians confirm it: vault unlock --confirm-clock"},
	book.FindingClockConfirmed: {"custodians confirmed the clock", "nothing"},
	book.FindingTotalsDiffer: {"the acquirer's totals of a batch are not ours",
		"get its listing: vault batch compare names the payments; vault batch adjust, or payment resolve --correct, accepts the difference"},
	book.FindingMessage: {"the acquirer's host sent what it should not", "tell the acquirer, with the time and what the detail says"},
	book.FindingAnswerFile: {"a file of the bank was refused, or entries of it were not applied",
		"fetch it again from the bank, or ask the bank; import it again: what was taken stays taken"},
	book.FindingHostSilent:  {"the acquirer's host takes messages and answers none; new requests wait", "call the acquirer; host-answers tells of the end"},
	book.FindingHostAnswers: {"the acquirer's host answers again", "nothing"},
	book.FindingConflicts: {"one id came with many different instructions",
		"the shop uses an id twice: have it make a fresh one for each order; or its key is stolen"},
	book.FindingKeyLost: {"neither copy of a key in a file of the key ring opens: what was sealed to it stays closed",
		"replace the disk; orders sealed to it are answered key-dead, and a stored account account-gone: its shop stores it again"},
	book.FindingKeyMended: {"one copy of a key was damaged and written anew from the other", "look at the disk, and replace it where it happens again"},
	book.FindingDiskLow: {"a disk has less room than its reserve: what is new waits",
		"make room; disk-room tells of the end, and nobody has to do anything else"},
	book.FindingDiskRoom: {"there is room again on every disk", "nothing"},
	book.FindingMarkMended: {"the mark of how far the ledger has come could not be read, and was written anew",
		"look at the disk; the detail says on whose word the ledger is the newest"},
	book.FindingLedgerRebuilt: {"the ledger was made anew from its own log, for a newer format or because an operator asked for it",
		"when all goes well, remove the file before, which the detail names; until then it is to be kept like the ledger"},
	book.FindingJournalDoubted: {"a place of the journal holds less of the log than was journalled there; the vault takes and sends nothing",
		"find out who shortened or lost it, and ask the acquirer whether it knows of later payments; put it back, or custodians confirm: vault unlock --confirm-ledger"},
	book.FindingLedgerConfirmed: {"custodians said that the ledger is the newest, though a place of the journal holds less", "nothing"},
	book.FindingJournalLost:     {"a place of the journal lost entries of the log; they were sent again", "look at its disk, or ask the relay's operator"},
	book.FindingResultsLost: {"the stream RESULTS lost results that it had taken; they were published again",
		"look at the relay's disk; where it comes again, take its host for owned"},
	book.FindingMismatches: {"refunds named other accounts than the one that paid, until no more were compared",
		"ask the shop; somebody with its key may be trying account numbers"},
}

// findingKinds lists the kinds of findings.
func findingKinds() string {
	var names []string
	for _, kind := range slices.Sorted(maps.Keys(meanings)) {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}
