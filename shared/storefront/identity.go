package storefront

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/redacted"
	"nightdrop/shared/seal"
	"nightdrop/shared/text"
)

// Identity is a storefront's own keys: one that signs envelopes, and reply keys for results, newest
// last. It prints as [redacted]. Safe for concurrent use.
type Identity struct {
	redacted.Secret
	signer *note.Signer
	reply  []replyKey
}

type replyKey struct {
	name    envelope.KeyName
	private hpke.PrivateKey
}

// NewIdentity makes fresh keys for a merchant id: Ed25519, and X-Wing for replies.
func NewIdentity(merchant string) (*Identity, error) {
	if !envelope.ValidMerchant(merchant) {
		return nil, fmt.Errorf("merchant id %q: use 3 to 32 of a-z, 0-9 and -, beginning with a letter, not ending in -", merchant)
	}
	signer, err := note.GenerateSigner(merchant)
	if err != nil {
		return nil, err
	}
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make the reply key: %w", err)
	}
	return &Identity{signer: signer, reply: []replyKey{{replyName(private, envelope.SuiteXWing), private}}}, nil
}

// Renew makes fresh keys for the same merchant. The reply keys are kept, older than the new one:
// results that were sealed to them still open. The old signing key is not.
func (i *Identity) Renew() (*Identity, error) {
	fresh, err := NewIdentity(i.Merchant())
	if err != nil {
		return nil, err
	}
	fresh.reply = slices.Concat(i.reply, fresh.reply)
	return fresh, nil
}

func replyName(private hpke.PrivateKey, suite envelope.Suite) envelope.KeyName {
	return seal.ReplyKeyName(suite, private.PublicKey().Bytes())
}

// Merchant is the id that the identity signs as.
func (i *Identity) Merchant() string { return i.signer.Name() }

// Verifier is the line that the vault enrols (`vault merchant add --verifier`).
func (i *Identity) Verifier() note.Verifier { return i.signer.Verifier() }

// ReplyLine is the newest reply key's public line, KEYNAME+BASE64, for the vault (`--reply-key`).
func (i *Identity) ReplyLine() string {
	newest := i.reply[len(i.reply)-1]
	return string(newest.name) + "+" + base64.StdEncoding.EncodeToString(newest.private.PublicKey().Bytes())
}

func (i *Identity) replyKey(name envelope.KeyName) (hpke.PrivateKey, error) {
	for _, k := range i.reply {
		if k.name == name {
			return k.private, nil
		}
	}
	return nil, fmt.Errorf("sealed to reply key %s, which this identity does not have: load the identity that the vault was given", name)
}

type identityFile struct {
	Merchant string      `json:"merchant"`
	Signer   string      `json:"signer"`
	Reply    []replyFile `json:"reply"`
}

type replyFile struct {
	Name    envelope.KeyName `json:"name"`
	Private []byte           `json:"private"` // RFC 9180 SerializePrivateKey
}

// Save writes the identity to a new file of mode 0600, fsynced. It never overwrites.
func (i *Identity) Save(path string) error {
	file := identityFile{Merchant: i.Merchant(), Signer: string(i.signer.Encode())}
	for _, k := range i.reply {
		private, err := k.private.Bytes()
		if err != nil {
			return fmt.Errorf("encode reply key %s: %w", k.name, err)
		}
		file.Reply = append(file.Reply, replyFile{k.name, private})
	}
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	err = durable.Create(path, append(data, '\n'))
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w and is not overwritten: choose another name, or move it away if you are sure", err)
	}
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return nil
}

// ErrDisclosed is returned when others than its owner may read or write an identity's file.
var ErrDisclosed = errors.New("the identity may be read by others")

// maxIdentityBytes bounds an identity file: some hundred reply keys.
const maxIdentityBytes = 64 << 10

// LoadIdentity reads a file of [Identity.Save]. It refuses one that others may read.
func LoadIdentity(path string) (*Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("identity: %w (make one with `storefront keygen`)", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w (mode %04o): chmod 600 it, and think who has read it", path, ErrDisclosed, info.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxIdentityBytes))
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	identity, err := parseIdentity(data)
	if err != nil {
		return nil, fmt.Errorf("identity %s is damaged (%w): restore it from your own backup, or make a new one and enrol it", path, err)
	}
	return identity, nil
}

func parseIdentity(data []byte) (*Identity, error) {
	var file identityFile
	if json.Unmarshal(text.WithoutMark(data), &file) != nil { // its error would quote secrets
		return nil, errors.New("not an identity's JSON")
	}
	signer, err := note.ParseSigner(file.Signer)
	if err != nil || signer.Name() != file.Merchant {
		return nil, errors.New("signing key")
	}
	identity := &Identity{signer: signer}
	for _, k := range file.Reply {
		kem, ok := kemOf(k.Name.Suite())
		if !ok {
			return nil, errors.New("reply key's suite")
		}
		private, err := kem.NewPrivateKey(k.Private)
		if err != nil || replyName(private, k.Name.Suite()) != k.Name {
			return nil, errors.New("reply key")
		}
		identity.reply = append(identity.reply, replyKey{k.Name, private})
	}
	if len(identity.reply) == 0 {
		return nil, errors.New("no reply key")
	}
	return identity, nil
}

func kemOf(suite envelope.Suite) (hpke.KEM, bool) {
	switch suite {
	case envelope.SuiteXWing:
		return hpke.MLKEM768X25519(), true
	case envelope.SuiteX25519:
		return hpke.DHKEM(ecdh.X25519()), true
	}
	return nil, false
}
