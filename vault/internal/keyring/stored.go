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

// storedKey is the key of one stored account, in clear.
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

// storedAD binds a stored account to vault, merchant and token.
func storedAD(vault, merchant, token string) []byte {
	return fmt.Appendf(nil, "nightdrop/stored/v1\x00%s\x00%s\x00%s", vault, merchant, token)
}

// SealStored seals plain, at most 2,048 bytes, under a random key of its own, and returns it (key
// id 16, nonce 24, ciphertext, tag 16) with the slot of stored.keys that holds the key, which is
// durable; keys are made ahead, so that one fsync serves many. Both go into the ledger next: a
// crash before that leaves a key without a record, which [Ring.KeepStored] destroys at the next
// start; a caller who drops the account calls [Ring.ForgetStored]. Each call uses a slot: do not
// call it in functions that may run again. It fails with [ErrLocked], with [ErrFull], before
// KeepStored, and after a failed write. The caller clears plain. Safe for concurrent use.
func (r *Ring) SealStored(merchant, token string, plain []byte) (slot uint32, sealed []byte, err error) {
	s, err := r.storedKeys()
	if err != nil {
		return 0, nil, err
	}
	// its length must not reveal whether it is a card or a bank account
	padded, err := envelope.Pad(plain)
	if err != nil {
		return 0, nil, fmt.Errorf("seal a stored account: %w", err)
	}
	defer clear(padded)
	slot, key, err := s.allocate()
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

// OpenStored returns what [Ring.SealStored] sealed for merchant and token. It fails with
// [ErrForgotten] where the key is destroyed, even if the slot serves another account since; with
// ErrForgotten and [ErrDamaged] where both copies of the slot are damaged; with [ErrCannotOpen]
// where the key is there and sealed was altered or is another token's; and with [ErrLocked]. The
// caller clears the plaintext. Safe for concurrent use.
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
		r.recordLostInUse(s.path, slot, err)
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

// ForgetStored destroys the keys in slots, and so the accounts in every copy of the ledger:
// overwritten and fsynced when it returns. Call it when the ledger has durably deleted the records,
// never before: a crash between leaves a key that [Ring.KeepStored] destroys. A slot whose key is
// destroyed already is no error, and its number is not used again before the next KeepStored, so a
// repeated call harms no other account. It fails with [ErrLocked], before KeepStored, and after a
// failed write. Safe for concurrent use.
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

// KeepStored is called once, at start, with the slots that the ledger's records use, before
// [Ring.SealStored] and [Ring.ForgetStored]: every other key is destroyed, durably, and its slot
// freed. So the ledger must be known to be the newest: what an older one does not have is lost. A
// damaged copy of a used slot is repaired from the other; where neither opens, the slot stays in
// use and its account fails with [ErrForgotten]. Both are logged and returned by [Ring.Damage]. It
// fails with [ErrLocked] and after a failed write.
func (r *Ring) KeepStored(used []uint32) error {
	s, err := r.storedKeys()
	if err != nil {
		return err
	}
	kept, err := s.keep(used)
	if err != nil {
		return fmt.Errorf("keep stored accounts: %w", err)
	}
	r.recordLost(s.path, slices.Concat(kept.missing, kept.damaged))
	r.recordDamage(s.path, false, slotNames(kept.repaired))
	if kept.older {
		r.log.Error("the file of stored accounts' keys had an older header: the keys beyond it are kept", "file", s.path)
	}
	if len(kept.repaired) > 0 {
		r.log.Warn("copies of keys of stored accounts were damaged and have been repaired from the other copy; check the disk",
			"file", s.path, "accounts", len(kept.repaired), "slots", firstFew(kept.repaired))
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

func firstFew(slots []uint32) []uint32 { return slots[:min(len(slots), 20)] }

func (r *Ring) storedKeys() (*storedFile, error) {
	s := r.stored.Load()
	if s == nil || r.Locked() {
		return nil, ErrLocked
	}
	return s, nil
}

// openStored loads stored.keys, or creates it where it is missing.
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

// openStoredDisk opens stored.keys where it exists.
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

// without returns all minus some.
func without(all, some []uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(all), func(slot uint32) bool { return slices.Contains(some, slot) })
}
