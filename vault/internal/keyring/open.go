package keyring

import (
	stdhpke "crypto/hpke"

	"nightdrop/shared/envelope"
)

// prefixBytes is Tink's: 0x01 and the key id.
const prefixBytes = 5

// OpenPart opens one sealed part of (merchant, id) and returns its plaintext without padding. It
// fails with exactly [ErrKeyDead] where no living key of this vault has the part's key name,
// [ErrCannotOpen] where the seal is malformed or not of that key, part, merchant and id, and
// [ErrLocked]. A key past its death by the trusted clock is dead even before [Ring.Tick] has
// destroyed it. The caller clears the plaintext after use, and opens account and code only to
// transact. Safe for concurrent use.
func (r *Ring) OpenPart(part envelope.PartName, merchant, id string, p envelope.Part) ([]byte, error) {
	if r.Locked() {
		return nil, ErrLocked
	}
	r.openMu.RLock()
	k := r.opened[p.Key]
	r.openMu.RUnlock()
	if k == nil || !k.life.Dies.After(r.clock.read()) {
		return nil, ErrKeyDead
	}
	// A code sealed to a day key would outlive its retention limit.
	if !p.Key.Serves(part) || p.CheckForm(part) != nil {
		return nil, ErrCannotOpen
	}
	info := envelope.PartInfo(part, merchant, id, p.Key)
	padded, err := stdhpke.Open(k.private, stdhpke.HKDFSHA256(), stdhpke.AES256GCM(), info, p.Sealed[prefixBytes:])
	if err != nil {
		return nil, ErrCannotOpen
	}
	plaintext, err := envelope.Unpad(padded)
	if err != nil {
		clear(padded)
		return nil, ErrCannotOpen
	}
	return plaintext, nil
}
