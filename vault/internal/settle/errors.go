package settle

import "errors"

// Errors of closing, settling and what an operator does beside them.
var (
	// ErrNotFound is returned when there is no such merchant, batch or payment.
	ErrNotFound = errors.New("not found")
	// ErrConflict is returned when the state does not allow it yet: payments are in flight, the
	// batch is open, or another close or settlement is under way.
	ErrConflict = errors.New("refused as things stand")
	// ErrTotalsDiffer is returned when the acquirer's totals of a batch are not ours. Nothing of
	// that batch is settled.
	ErrTotalsDiffer = errors.New("the acquirer's totals are not ours")
	// ErrUnavailable is returned when the acquirer could not be asked, or the day has no more
	// settlement files or trace numbers. Run it again later.
	ErrUnavailable = errors.New("not to be had now")
	// ErrFileThere is returned when another file than the one in the log stands in the outbox under
	// its name. Nothing was overwritten.
	ErrFileThere = errors.New("another file of that name is in the bank's outbox; find out who put it there, move it away, and settle again")
	// ErrAnswerFile is returned when the control records of a file of the bank do not prove it:
	// nothing of it was applied, and the log has a finding.
	ErrAnswerFile = errors.New("nothing of the file was applied; keep it as it is, and ask the bank for a correct one")
	// ErrOthersFile is returned when a bank's file is sound but not for us, or too old: nothing of
	// it was applied, and the log has a finding.
	ErrOthersFile = errors.New("nothing of the file was applied; keep it as it is, and find out whose it is")
	// ErrListing is returned when an acquirer's listing is malformed. Nothing was compared.
	ErrListing = errors.New("the listing is refused whole; ask the acquirer for a correct one")
	// ErrReturn is returned when a person records a return that no bank makes, or without what
	// proves it.
	ErrReturn = errors.New("a return is recorded with its code, ach-R01 to ach-R60 or ach-R78 to ach-R99, and the SHA-256 of what proves it")
	// ErrRefused is returned when the acquirer's host does not compare totals; asking again is
	// useless.
	ErrRefused = errors.New("the acquirer's host refuses to compare totals")
	// ErrReason is returned when a person's reason cannot be kept.
	ErrReason = errors.New("a reason is 1 to 200 printable ASCII characters, without anything that could be a card number")
)
