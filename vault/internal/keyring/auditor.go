package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	stdhpke "crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
	"nightdrop/shared/text"
)

// ErrNotYours is returned for a log key that was wrapped for another auditor, of another log, or
// altered.
var ErrNotYours = errors.New("the log key does not open with this auditor's key")

// LogKeyPurpose is the purpose of the box of a log key.
func LogKeyPurpose(number uint32) string { return fmt.Sprintf("log/%d", number) }

// WrapLogKey seals the key of the box of [LogKeyPurpose], as [Ring.NewBox] wrapped it, to an
// auditor, who from then on opens what that box sealed. It returns [seal.WrapBytes] bytes, for a
// log's key only. It fails with [ErrLocked].
func (r *Ring) WrapLogKey(number uint32, wrapped []byte, to *seal.Auditor) ([]byte, error) {
	keys := r.keys.Load()
	if keys == nil {
		return nil, ErrLocked
	}
	key, err := keys.wrap.Decrypt(wrapped, boxAD(LogKeyPurpose(number)))
	if err != nil || len(key) != boxKeyBytes {
		return nil, fmt.Errorf("unwrap log key %d: altered, or of another vault or purpose; restore the ledger from a backup", number)
	}
	defer clear(key)
	return to.WrapLogKey(r.Name(), number, key)
}

// Auditor is an auditor's key, on the auditor's own machine: its holder reads the log of the
// auditor's time. It prints as "[redacted]" and is safe for concurrent use.
type Auditor struct {
	secret
	public  *seal.Auditor
	private stdhpke.PrivateKey
}

// NewAuditor makes a fresh key.
func NewAuditor(name string) (*Auditor, error) {
	private, err := stdhpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make the auditor's key: %w", err)
	}
	return auditorOf(name, private)
}

func auditorOf(name string, private stdhpke.PrivateKey) (*Auditor, error) {
	public, err := seal.NewAuditor(name, private.PublicKey().Bytes())
	if err != nil {
		return nil, err
	}
	return &Auditor{public: public, private: private}, nil
}

// Name returns the auditor's name.
func (a *Auditor) Name() string { return a.public.Name() }

// Line returns what the vault's operator enrols: NAME+KEYNAME+BASE64.
func (a *Auditor) Line() string { return a.public.Line() }

// OpenLogKey opens a log key that was wrapped for this auditor. It fails with [ErrNotYours].
func (a *Auditor) OpenLogKey(origin string, number uint32, wrap []byte) (Box, error) {
	id := envelope.KeyName(a.public.KeyName()).ID()
	if len(wrap) != seal.WrapBytes || wrap[0] != 1 || binary.BigEndian.Uint32(wrap[1:]) != id {
		return nil, ErrNotYours
	}
	info := seal.LogKeyInfo(origin, number, a.public.Name(), a.public.KeyName())
	key, err := stdhpke.Open(a.private, stdhpke.HKDFSHA256(), stdhpke.AES256GCM(), info, wrap[seal.WrapPrefixBytes:])
	if err != nil || len(key) != boxKeyBytes {
		return nil, ErrNotYours
	}
	defer clear(key)
	return newBox(key)
}

// Vouch returns a MAC of 32 bytes over a text of a kind, which only the holder of this key can make
// or check: for what an auditor keeps where others may change it. It is HMAC-SHA-256; its key,
// HKDF-SHA-256 (RFC 5869) of the private key.
func (a *Auditor) Vouch(kind string, text []byte) ([]byte, error) {
	private, err := a.encode()
	if err != nil {
		return nil, err
	}
	defer clear(private)
	key, err := hkdf.Key(sha256.New, private, nil, "nightdrop/auditor/v1/vouch/"+kind, sha256.Size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	code := hmac.New(sha256.New, key)
	code.Write(text)
	return code.Sum(nil), nil
}

// encode returns a copy of the private key's bytes, for the caller to clear: crypto/hpke returns
// its own.
func (a *Auditor) encode() ([]byte, error) {
	private, err := a.private.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode the auditor's key: %w", err)
	}
	return bytes.Clone(private), nil
}

type auditorFile struct {
	Format  string `json:"format"`
	Name    string `json:"name"`
	Private []byte `json:"private"` // X-Wing, RFC 9180 SerializePrivateKey
}

const auditorFormat = "nightdrop/auditor/v1"

// Save writes the key to a new file of mode 0600, whole and durable. It never overwrites.
func (a *Auditor) Save(path string) error {
	private, err := a.encode()
	if err != nil {
		return err
	}
	defer clear(private)
	text, err := json.MarshalIndent(auditorFile{auditorFormat, a.Name(), private}, "", "  ")
	if err != nil {
		return err
	}
	defer clear(text)
	return writeNew(path, append(text, '\n'))
}

// LoadAuditor reads a file that [Auditor.Save] wrote. It fails with [ErrMode] where others may read
// it, and with [ErrDamaged].
func LoadAuditor(path string) (*Auditor, error) {
	written, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("auditor's key: %w", err)
	}
	defer clear(written)
	var file auditorFile
	if err := json.Unmarshal(text.WithoutMark(written), &file); err != nil || file.Format != auditorFormat {
		return nil, damaged(path, "not an auditor's key", "restore it from your own backup, or make a new one and have it enrolled under another name")
	}
	defer clear(file.Private)
	private, err := stdhpke.MLKEM768X25519().NewPrivateKey(file.Private)
	if err != nil {
		return nil, damaged(path, "its key is malformed", "restore it from your own backup, or make a new one and have it enrolled under another name")
	}
	return auditorOf(file.Name, private)
}
