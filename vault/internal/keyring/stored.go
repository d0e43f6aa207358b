package keyring

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/tink-crypto/tink-go/v2/tink"

	"nightdrop/shared/envelope"
)

// Sizes of a stored account's key.
const (
	storedKeyBytes = 32
	storedIDBytes  = 16 // distinguishes a key from the earlier one in its slot
)

// storedKey is the key of one stored account, in the clear.
type storedKey struct {
	secret
	id  [storedIDBytes]byte
	key [storedKeyBytes]byte
}

func newStoredKey() *storedKey {
	k := new(storedKey)
	_, _ = rand.Read(k.id[:]) // never fails (crypto/rand)
	_, _ = rand.Read(k.key[:])
	return k
}

func (k *storedKey) clear() { *k = storedKey{} }

func (k *storedKey) aead() (tink.AEAD, error) { return newXAES(k.key[:]) }

// storedAD binds a stored account to vault, merchant and token: the same bytes under another token
// do not open.
func storedAD(vault, merchant, token string) []byte {
	return fmt.Appendf(nil, "nightdrop/stored/v1\x00%s\x00%s\x00%s", vault, merchant, token)
}

// SealStored seals plain, at most 2,048 bytes, under a random key of its own, and returns it (key
// id 16, nonce 24, ciphertext, tag 16) with the slot of stored.keys that holds the key. The key is
// durable when it returns; keys are made ahead, so that one fsync serves many. Both go into the
// ledger next: a crash before that leaves a key without a record, which KeepStored destroys at the
// next start; a caller who gives the account up gives the slot to ForgetStored. Each call takes a
// slot: it is made outside functions that may run again. It fails with ErrLocked, with ErrFull,
// before KeepStored, and after a failed write. The caller clears plain. Safe for concurrent use.
func (r *Ring) SealStored(merchant, token string, plain []byte) (slot uint32, sealed []byte, err error) {
	s, err := r.storedKeys()
	if err != nil {
		return 0, nil, err
	}
	// so that its length does not reveal whether it is a card or a bank account
	padded, err := envelope.Pad(plain)
	if err != nil {
		return 0, nil, fmt.Errorf("seal a stored account: %w", err)
	}
	defer clear(padded)
	slot, key, err := s.take()
	if err != nil {
		return 0, nil, fmt.Errorf("seal a stored account: %w", err)
	}
	defer key.clear()
	a, err := key.aead()
	if err != nil {
		return 0, nil, err
	}
	ciphertext, err := a.Encrypt(padded, storedAD(r.Name(), merchant, token))
	if err != nil {
		return 0, nil, fmt.Errorf("seal a stored account: %w", err)
	}
	return slot, append(key.id[:], ciphertext...), nil
}

// OpenStored returns what SealStored sealed for merchant and token. It fails with ErrForgotten
// where the key is destroyed, also when the slot serves another account since; with ErrForgotten
// and ErrDamaged where both copies of the slot are damaged, so that they cost one account; with
// ErrCannotOpen where the key is there and sealed was altered or is another token's; and with
// ErrLocked. The caller clears the plaintext. Safe for concurrent use.
func (r *Ring) OpenStored(merchant, token string, slot uint32, sealed []byte) ([]byte, error) {
	s, err := r.storedKeys()
	if err != nil {
		return nil, err
	}
	if len(sealed) < storedIDBytes {
		return nil, ErrCannotOpen
	}
	key, err := s.key(slot, [storedIDBytes]byte(sealed))
	if errors.Is(err, ErrDamaged) {
		r.foundInUse(s.path, slot, err)
	}
	if err != nil {
		return nil, err
	}
	defer key.clear()
	a, err := key.aead()
	if err != nil {
		return nil, err
	}
	padded, err := a.Decrypt(sealed[storedIDBytes:], storedAD(r.Name(), merchant, token))
	if err != nil {
		return nil, ErrCannotOpen
	}
	plain, err := envelope.Unpad(padded)
	if err != nil {
		clear(padded)
		return nil, ErrCannotOpen
	}
	return plain, nil
}

// ForgetStored destroys the keys in slots, for ever and in every copy of the ledger: overwritten
// and fsynced when it returns. It is called when the ledger has durably given the records up, never
// before: a crash between leaves a key that KeepStored destroys. A slot whose key is destroyed is
// no error, and its number is not used again before the next KeepStored, so that a call repeated in
// doubt harms nobody else. It fails with ErrLocked, before KeepStored, and after a failed write.
// Safe for concurrent use.
func (r *Ring) ForgetStored(slots ...uint32) error {
	s, err := r.storedKeys()
	if err != nil {
		return err
	}
	if err := s.forget(slots); err != nil {
		return fmt.Errorf("forget stored accounts: %w", err)
	}
	return nil
}

// KeepStored takes the slots that the ledger's records use, once, at start and before SealStored
// and ForgetStored: every other key is destroyed, durably, and its slot free again. So it is called
// with a ledger that is known to be the newest: what an older one does not know of is lost. Used
// slots of which a copy is damaged are mended from the other; those of which none opens stay taken,
// and their accounts answer ErrForgotten. Both are logged and returned by [Ring.Damage]. It fails
// with ErrLocked and after a failed write.
func (r *Ring) KeepStored(used []uint32) error {
	s, err := r.storedKeys()
	if err != nil {
		return err
	}
	kept, err := s.keep(used)
	if err != nil {
		return fmt.Errorf("keep stored accounts: %w", err)
	}
	r.foundAtStart(s.path, slices.Concat(kept.missing, kept.damaged))
	r.found(s.path, false, slotNames(kept.mended))
	if kept.older {
		r.log.Error("the file of stored accounts' keys had an older header: its keys are there and count", "file", s.path)
	}
	if len(kept.mended) > 0 {
		r.log.Warn("copies of keys of stored accounts were damaged and are mended from the other copy; check the disk",
			"file", s.path, "accounts", len(kept.mended), "slots", firstFew(kept.mended))
	}
	if len(kept.missing) > 0 {
		r.log.Error("keys of stored accounts are missing: these accounts cannot be used, their shops must store them again",
			"file", s.path, "accounts", len(kept.missing), "slots", firstFew(kept.missing))
	}
	if len(kept.damaged) > 0 {
		r.log.Error("keys of stored accounts are damaged: these accounts cannot be used; restore the file from the standby's mirror, or let their shops store them again",
			"file", s.path, "accounts", len(kept.damaged), "slots", firstFew(kept.damaged))
	}
	if kept.destroyed > 0 {
		r.log.Info("keys of stored accounts that no record uses were destroyed", "file", s.path, "keys", kept.destroyed)
	}
	return nil
}

// firstFew keeps a log line short.
func firstFew(slots []uint32) []uint32 { return slots[:min(len(slots), 20)] }

// storedKeys returns the open file of an unlocked ring.
func (r *Ring) storedKeys() (*storedFile, error) {
	s := r.stored.Load()
	if s == nil || r.Locked() {
		return nil, ErrLocked
	}
	return s, nil
}

// openStored loads stored.keys, made anew where it is missing.
func (r *Ring) openStored(keys *wrapping) (*storedFile, error) {
	path := filepath.Join(r.dir, storedFileName)
	if r.storedDisk == nil {
		r.log.Warn("keys of stored accounts are missing, a new file is made; accounts that were stored before can never be opened", "file", path)
		if err := createStored(path, keys, r.Name()); err != nil {
			return nil, err
		}
		f, _, err := openPrivate(path)
		if err != nil {
			return nil, fmt.Errorf("open the stored accounts' keys: %w", err)
		}
		r.storedDisk = f
	}
	s := &storedFile{keyFile: keyFile{f: r.storedDisk, path: path, vault: r.Name(), keys: keys, report: r.failed}}
	return s, s.load()
}

// openStoredDisk opens stored.keys where it is there.
func (r *Ring) openStoredDisk() error {
	f, _, err := openPrivate(filepath.Join(r.dir, storedFileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("open the stored accounts' keys: %w", err)
	}
	r.storedDisk = f
	return nil
}

// without returns all that is not in some.
func without(all, some []uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(all), func(slot uint32) bool { return slices.Contains(some, slot) })
}
