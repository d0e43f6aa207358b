package daemon

import (
	"context"
	"fmt"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
)

// mendMark rewrites an unreadable high-water mark where a journal shows that the ledger is the
// newest (confirmed), or custodians say so (vouched). Otherwise the vault does not start: an older
// copy of the sound ledger would charge again what it forgot. A crash after the commit leaves the
// mark as it was, and the next unlock mends it.
func (u *unlocked) mendMark(ctx context.Context, confirmed, vouched bool, actor operator.Actor, shares []int) error {
	bad := u.ledger.MarkDamaged()
	if bad == nil {
		return nil
	}
	by := "the journal"
	switch {
	case confirmed:
	case vouched:
		by = fmt.Sprintf("shares %v", shares)
	default:
		return fmt.Errorf("%w. Leave the ledger as it is: it is sound, but nothing shows that it is the newest, and what an older copy forgot would be charged again. %s",
			bad, u.markAdvice())
	}
	mended := book.IntegrityFound{Finding: book.FindingMarkMended, Detail: "the ledger is the newest by " + by}
	if err := u.commit(ctx, actor.Event("", mended)); err != nil {
		return err
	}
	u.config.Logger.Warn("the high-water mark could not be read and is written anew", "error", bad, "by", by)
	return u.ledger.TrustMark()
}

// markAdvice is what to do where nothing shows that the ledger is the newest.
func (u *unlocked) markAdvice() string {
	const vouch = "where no copy was put in its place since the vault last stopped, custodians say so: vault unlock --confirm-ledger"
	if u.journal == nil {
		return "There is no journal to ask; " + vouch
	}
	return "Bring the journal back and unlock again; or, " + vouch
}
