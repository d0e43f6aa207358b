package calls

import (
	"context"
	"errors"
	"io/fs"

	"nightdrop/shared/config"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/journal"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/publisher"
	"nightdrop/vault/internal/replay"
	"nightdrop/vault/internal/settle"
)

// kinds has the kind of failure of each sentinel error; the first that matches counts, the worst
// come first.
var kinds = [...]struct {
	is   error
	kind control.Code
}{
	{config.ErrInvalid, control.CodeUsage},
	{settle.ErrReason, control.CodeUsage},
	{settle.ErrReturn, control.CodeUsage},
	{keyring.ErrDamaged, control.CodeIntegrity},
	{ledger.ErrDamaged, control.CodeIntegrity},
	{ledger.ErrRolledBack, control.CodeIntegrity},
	{ledger.ErrUnknownOutcome, control.CodeFailed},
	{keyring.ErrUnknownOnDisk, control.CodeFailed},
	{keyring.ErrNewer, control.CodeConflict},
	{ledger.ErrMarkDamaged, control.CodeIntegrity},
	{ledger.ErrNewer, control.CodeConflict},
	{ledger.ErrFormat, control.CodeConflict},
	{ledger.ErrNoSpace, control.CodeConflict},
	{journal.ErrForeign, control.CodeIntegrity},
	{journal.ErrFenced, control.CodeIntegrity},
	{journal.ErrDamaged, control.CodeIntegrity},
	{audit.ErrOccupied, control.CodeConflict},
	{audit.ErrIntegrity, control.CodeIntegrity},
	{replay.ErrDiverged, control.CodeIntegrity},
	{replay.ErrState, control.CodeIntegrity},
	{replay.ErrStory, control.CodeIntegrity},
	{replay.ErrForm, control.CodeUsage},
	{replay.ErrOperation, control.CodeUsage},
	{replay.ErrNoKey, control.CodeNotAllowed},
	{replay.ErrNoState, control.CodeNotFound},
	{replay.ErrNoPayment, control.CodeNotFound},
	{replay.ErrNoMerchant, control.CodeNotFound},
	{note.ErrUnverified, control.CodeIntegrity},
	{settle.ErrTotalsDiffer, control.CodeIntegrity},
	{settle.ErrAnswerFile, control.CodeIntegrity},
	{settle.ErrFileThere, control.CodeIntegrity},
	{keyring.ErrWrongShare, control.CodeNotAllowed},
	{keyring.ErrSameShare, control.CodeNotAllowed},
	{keyring.ErrMode, control.CodeNotAllowed},
	{fs.ErrPermission, control.CodeNotAllowed},
	{keyring.ErrLocked, control.CodeLocked},
	{keyring.ErrExists, control.CodeConflict},
	{keyring.ErrInUse, control.CodeConflict},
	{ledger.ErrInUse, control.CodeConflict},
	{journal.ErrInUse, control.CodeConflict},
	{settle.ErrConflict, control.CodeConflict},
	{settle.ErrRefused, control.CodeConflict},
	{book.ErrTransition, control.CodeConflict},
	{fs.ErrExist, control.CodeConflict},
	{settle.ErrNotFound, control.CodeNotFound},
	{fs.ErrNotExist, control.CodeNotFound},
	{publisher.ErrNoResults, control.CodeNotFound},
	{publisher.ErrResendWaits, control.CodeUnavailable},
	{settle.ErrUnavailable, control.CodeUnavailable},
	{journal.ErrUnavailable, control.CodeUnavailable},
	{context.Canceled, control.CodeUnavailable},
	{context.DeadlineExceeded, control.CodeUnavailable},
}

// KindOf returns the kind of a failure: that of the call that it ends, and of a command that needs
// no daemon.
func KindOf(err error) control.Code {
	if known, ok := errors.AsType[*control.Error](err); ok {
		return known.Code
	}
	if _, few := errors.AsType[keyring.ErrFewShares](err); few {
		return control.CodeNotAllowed
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return k.kind
		}
	}
	return control.CodeFailed
}
