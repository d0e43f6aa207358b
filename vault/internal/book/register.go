package book

// Tables lists every kind of record, in the order in which a saved state has them.
var Tables = numbered(TheVault, Merchants, Batches, Files, Auditors, Findings, Runs, Tokens, BlockList, Bags, Payments, Entries)

// register has every kind of event by its permanent name: its decoder, its fold, and the last
// numbers of the requirements of PCI DSS 10.2.1 that it answers (none: what the vault does by
// itself for storefronts). A new event has its body, name and fold in one file, and its line here.
var register = byKind(
	event((*fold).created, 6, 7),
	event[VaultUnlocked](nil, 6),
	event[VaultLocked](nil, 6),
	event((*fold).keysChanged, 5, 7),
	event((*fold).relaysSet, 2, 5),
	event((*fold).directoryIssued, 2, 7),
	event((*fold).membersIssued, 7),
	event((*fold).finding, 4),
	event((*fold).acknowledged, 4),
	event((*fold).added, 2, 5),
	event((*fold).updated, 2, 5),
	event((*fold).suspended, 2),
	event((*fold).resent, 2),
	event((*fold).resumed, 2),
	event((*fold).bag),
	event((*fold).received, 1),
	event((*fold).rejected, 4),
	event((*fold).refused),
	event((*fold).intended, 1),
	event((*fold).answered),
	event((*fold).unanswered),
	event((*fold).reversalIntended),
	event((*fold).reversalAnswered),
	event((*fold).reversalAbandoned),
	event((*fold).batchOpened, 7),
	event((*fold).batchClosing, 2),
	event((*fold).batchClosed, 2),
	event((*fold).reconciling, 2),
	event((*fold).reconciled, 2),
	event((*fold).settled, 2),
	event((*fold).batchSettled, 2),
	event((*fold).captureIntended, 1),
	event((*fold).captureAnswered),
	event((*fold).captureAbandoned),
	event((*fold).outcomeUnknown),
	event((*fold).expired),
	event((*fold).resolved, 1),
	event((*fold).sentAgain, 1),
	event((*fold).voided),
	event((*fold).accepted),
	event((*fold).fileBegun, 2, 7),
	event((*fold).entryIntended, 1),
	event((*fold).fileIntended, 2),
	event((*fold).fileWritten, 2, 7),
	event((*fold).answerTaken, 2),
	event((*fold).returned),
	event((*fold).changeNotified),
	event((*fold).entryAcknowledged),
	event((*fold).stored, 1),
	event((*fold).accountUpdated, 1),
	event((*fold).accountForgotten, 1),
	event((*fold).policySet, 2),
	event[VaultStarted](nil, 6),
	event[VaultStopped](nil, 6),
	event[AccessRefused](nil, 4),
	event((*fold).auditorAdded, 3, 5),
	event((*fold).auditorRemoved, 3, 5),
	event[LogExported](nil, 3),
	event((*fold).madeAgain, 2),
	event((*fold).corrected, 1),
	event((*fold).adjusted, 2),
	event((*fold).agreed, 2),
)

// registered is one kind's line of the register.
type registered struct {
	kind string
	decoder
	fold func(*fold, Body) error
	pci  []int
}

// event is the line of the events with a body of type B. A fold of nil changes nothing.
func event[B Body](does func(*fold, B) error, pci ...int) registered {
	r := registered{kind: (*new(B)).Kind(), decoder: decoding[B](), pci: pci}
	r.fold = func(f *fold, body Body) error {
		b, ok := body.(B)
		if !ok {
			return ErrUnknownKind
		}
		if does == nil {
			return nil
		}
		return does(f, b)
	}
	return r
}

func byKind(all ...registered) map[string]registered {
	kinds := make(map[string]registered, len(all))
	for _, r := range all {
		kinds[r.kind] = r
	}
	return kinds
}
