package keyring

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/strictjson"
)

const (
	custodyFile    = "vault.key"
	sealingFile    = "sealing.keys"
	storedFileName = "stored.keys"

	// custodyType is the first line of vault.key; the second is one JSON object (strictjson), the
	// third "sha256 " and the hex SHA-256 of the first two: damage shows before custodians are
	// called.
	custodyType     = "nightdrop/vault-key/v1"
	custodySum      = "sha256 "
	maxCustodyBytes = 64 << 10
	saltBytes       = 32
)

// custody is the public header of vault.key.
type custody struct {
	Vault     string        `json:"vault"`
	VKey      note.Verifier `json:"vkey"`
	Created   envelope.Time `json:"created"`
	Threshold int           `json:"threshold"`
	Shares    int           `json:"shares"`
	Sharing   string        `json:"sharing"` // 16 hex digits, in every share of it
	Salt      []byte        `json:"salt"`    // of HKDF-Extract, 32 bytes
	// of each share, by number, so that a wrong one is named
	Checks []string `json:"checks"`
	Check  string   `json:"check"` // of the key-encryption key
}

// custodyBody is the JSON of vault.key.
type custodyBody struct {
	Header custody `json:"header"`
	Signer []byte  `json:"signer"` // Ed25519 seed, sealed with the header as associated data
}

// CreateOptions say what vault to make.
type CreateOptions struct {
	Name      string           // the vault's name, a DNS name in lower case
	Shares    int              // custodians: 1 to 32
	Threshold int              // how many of them unlock: 1 to Shares; under 2 one person alone can
	Now       func() time.Time // nil: time.Now
}

// Create makes a vault in dir (made 0700 where it is missing): keys, shares and files. It never
// overwrites: [ErrExists]. The shares exist nowhere else; the caller gives each to its custodian
// and clears it. Where Create did not return, the shares are lost: remove the directory.
func Create(dir string, o CreateOptions) ([]Share, note.Verifier, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if !envelope.ValidVault(o.Name) {
		return nil, note.Verifier{}, errors.New("create the vault: its name is a DNS name in lower case, such as vault.example.com")
	}
	if o.Threshold < 1 || o.Shares < o.Threshold || o.Shares > maxShares {
		return nil, note.Verifier{}, fmt.Errorf("create the vault: a threshold from 1 to the number of shares, and at most %d shares", maxShares)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, note.Verifier{}, fmt.Errorf("create the vault: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, note.Verifier{}, err
	}
	defer lock.Close()
	for _, name := range []string{custodyFile, sealingFile, storedFileName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, note.Verifier{}, fmt.Errorf("%s: %w", name, ErrExists)
		}
	}
	return create(dir, o)
}

func create(dir string, o CreateOptions) ([]Share, note.Verifier, error) {
	secretValue, shares, err := split(o.Name, o.Threshold, o.Shares)
	if err != nil {
		return nil, note.Verifier{}, err
	}
	defer clear(secretValue)
	header := custody{Vault: o.Name, Created: envelope.At(o.Now()), Threshold: o.Threshold, Shares: o.Shares,
		Sharing: shares[0].sharing, Salt: make([]byte, saltBytes)}
	_, _ = rand.Read(header.Salt) // never fails (crypto/rand)
	for _, s := range shares {
		header.Checks = append(header.Checks, s.check(header.Salt))
	}
	keys, err := deriveWrapping(secretValue, header.Salt)
	if err != nil {
		return nil, note.Verifier{}, err
	}
	header.Check = hex.EncodeToString(keys.check)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, note.Verifier{}, fmt.Errorf("generate the signing key: %w", err)
	}
	defer clear(private)
	signer, err := note.NewSigner(o.Name, private)
	if err != nil {
		return nil, note.Verifier{}, err
	}
	header.VKey = signer.Verifier()
	file, err := encodeCustody(header, keys, private.Seed())
	if err != nil {
		return nil, note.Verifier{}, err
	}
	if err := createStore(filepath.Join(dir, sealingFile), keys, o.Now()); err != nil {
		return nil, note.Verifier{}, err
	}
	if err := createStored(filepath.Join(dir, storedFileName), keys, o.Name); err != nil {
		return nil, note.Verifier{}, err
	}
	// vault.key comes last: a crash before it leaves no vault.
	if err := writeNew(filepath.Join(dir, custodyFile), file); err != nil {
		return nil, note.Verifier{}, err
	}
	return shares, header.VKey, nil
}

// encodeCustody returns vault.key. It clears seed, the signing key's.
func encodeCustody(header custody, keys *wrapping, seed []byte) ([]byte, error) {
	defer clear(seed)
	ad, err := header.associated()
	if err != nil {
		return nil, err
	}
	sealed, err := keys.own.Encrypt(seed, ad)
	if err != nil {
		return nil, fmt.Errorf("seal the signing key: %w", err)
	}
	body, err := strictjson.Marshal(custodyBody{Header: header, Signer: sealed})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", custodyFile, err)
	}
	text := fmt.Appendf(nil, "%s\n%s\n", custodyType, body)
	sum := sha256.Sum256(text)
	return fmt.Appendf(text, "%s%x\n", custodySum, sum), nil
}

// readCustody reads vault.key and checks what can be checked without a key.
func readCustody(path string) (custodyBody, error) {
	var body custodyBody
	text, err := readPrivate(path)
	if err != nil {
		return body, fmt.Errorf("open the vault: %w", err)
	}
	lines := bytes.SplitN(text, []byte{'\n'}, 4)
	if len(lines) != 4 || string(lines[0]) != custodyType || len(lines[3]) != 0 {
		return body, damaged(path, "not three lines of its type", restoreCustody)
	}
	sum := sha256.Sum256(text[:len(lines[0])+len(lines[1])+2])
	if string(lines[2]) != custodySum+hex.EncodeToString(sum[:]) {
		return body, damaged(path, "its checksum does not match", restoreCustody)
	}
	if err := strictjson.Unmarshal(lines[1], &body); err != nil {
		return body, damaged(path, "its header is not of this format", restoreCustody)
	}
	h := body.Header
	if !envelope.ValidVault(h.Vault) || h.VKey.Name() != h.Vault || h.Threshold < 1 || h.Shares < h.Threshold ||
		h.Shares > maxShares || len(h.Checks) != h.Shares || len(h.Salt) != saltBytes {
		return body, damaged(path, "its header contradicts itself", restoreCustody)
	}
	return body, nil
}

// associated is what the signing key's seal is bound to: the whole header.
func (h custody) associated() ([]byte, error) {
	text, err := strictjson.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode the header of %s: %w", custodyFile, err)
	}
	return append([]byte(custodyType+"\n"), text...), nil
}

// checkShare fails with [ErrWrongShare] where s is not one of this vault's newest sharing.
func (h custody) checkShare(s Share) error {
	switch {
	case s.vault != h.Vault:
		return fmt.Errorf("%w: share %d belongs to vault %s, this is %s", ErrWrongShare, s.number, s.vault, h.Vault)
	case s.sharing != h.Sharing:
		return fmt.Errorf("%w: share %d is of another sharing of this vault's key (%s, now %s); use the newest", ErrWrongShare, s.number, s.sharing, h.Sharing)
	case s.number < 1 || s.number > h.Shares:
		return fmt.Errorf("%w: the vault has shares 1 to %d, not %d", ErrWrongShare, h.Shares, s.number)
	case subtle.ConstantTimeCompare([]byte(s.check(h.Salt)), []byte(h.Checks[s.number-1])) != 1:
		return fmt.Errorf("%w: share %d does not have the value that this vault issued", ErrWrongShare, s.number)
	}
	return nil
}

// checkShares checks that shares are valid, none of them twice, and reach the threshold.
func (h custody) checkShares(shares []Share) error {
	seen := make(map[int]bool, len(shares))
	for _, s := range shares {
		if err := h.checkShare(s); err != nil {
			return err
		}
		if seen[s.number] {
			return fmt.Errorf("%w: number %d", ErrSameShare, s.number)
		}
		seen[s.number] = true
	}
	if len(shares) < h.Threshold {
		return ErrFewShares{Have: len(shares), Need: h.Threshold}
	}
	return nil
}

// open derives the keys from checked shares and opens the signing key. path is named in errors.
func (b custodyBody) open(path string, shares []Share) (*wrapping, *note.Signer, error) {
	secretValue, err := recombine(b.Header.Threshold, shares)
	if err != nil {
		return nil, nil, err
	}
	defer clear(secretValue)
	keys, err := deriveWrapping(secretValue, b.Header.Salt)
	if err != nil {
		return nil, nil, err
	}
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(keys.check)), []byte(b.Header.Check)) != 1 {
		return nil, nil, damaged(path, "good shares do not give its key", restoreCustody)
	}
	ad, err := b.Header.associated()
	if err != nil {
		return nil, nil, err
	}
	seed, err := keys.own.Decrypt(b.Signer, ad)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, nil, damaged(path, "its signing key does not open", restoreCustody)
	}
	defer clear(seed)
	private := ed25519.NewKeyFromSeed(seed)
	defer clear(private)
	signer, err := note.NewSigner(b.Header.Vault, private)
	if err != nil || signer.Verifier() != b.Header.VKey {
		return nil, nil, damaged(path, "its signing key is not that of its vkey", restoreCustody)
	}
	return keys, signer, nil
}
