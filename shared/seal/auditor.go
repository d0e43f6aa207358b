package seal

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"nightdrop/shared/envelope"
	"nightdrop/shared/strictjson"
)

// Sizes of what a log key is wrapped in, in bytes.
const (
	LogKeyBytes = 32 // a log key
	// wrapped: Tink's prefix, X-Wing's encapsulation, ciphertext, tag
	WrapBytes       = 1141 + LogKeyBytes
	WrapPrefixBytes = 5 // of Tink's prefix: 0x01, key id (4 bytes, big endian)
)

// kindAuditor is the first field of an auditor's key name. Such keys open no part.
const kindAuditor envelope.Kind = "auditor"

// Auditor is a name and an X-Wing public key, for wrapped log keys. Safe for concurrent use.
type Auditor struct {
	name    string
	key     string
	public  []byte
	encrypt tink.HybridEncrypt
}

// NewAuditor makes an auditor of a name and a raw X-Wing public key (1,216 bytes). The key's id is
// the first 4 bytes of its SHA-256.
func NewAuditor(name string, public []byte) (*Auditor, error) {
	if !envelope.ValidMerchant(name) {
		return nil, fmt.Errorf("%w: an auditor's name is 3 to 32 of a-z, 0-9 and -, beginning with a letter, not ending in -", ErrKey)
	}
	sum := sha256.Sum256(public)
	id := binary.BigEndian.Uint32(sum[:])
	encrypt, err := encrypter(id, envelope.SuiteXWing, public)
	if err != nil {
		return nil, err
	}
	// the length is right, but it may still be no key
	if _, err := encrypt.Encrypt(nil, nil); err != nil {
		return nil, fmt.Errorf("%w: nothing can be sealed to the auditor's key", ErrKey)
	}
	return &Auditor{name, string(envelope.MakeKeyName(kindAuditor, id, envelope.SuiteXWing)), public, encrypt}, nil
}

// ParseAuditor reads an auditor's line, NAME+KEYNAME+BASE64.
func ParseAuditor(line string) (*Auditor, error) {
	fields := strings.Split(line, "+")
	if len(fields) < 3 { // BASE64 may hold a +
		return nil, fmt.Errorf("%w: an auditor's key is one line, NAME+auditor-ID-xwing+BASE64, as `vault audit auditor keygen` prints it", ErrKey)
	}
	public, err := strictjson.Base64([]byte(strings.Join(fields[2:], "+")))
	if err != nil || len(public) != envelope.SuiteXWing.PublicBytes() {
		return nil, fmt.Errorf("%w: an auditor's base64 is canonical and of 1,216 bytes; give the whole line", ErrKey)
	}
	a, err := NewAuditor(fields[0], public)
	if err != nil {
		return nil, err
	}
	if a.key != fields[1] {
		return nil, fmt.Errorf("%w: the id of the auditor's key is not that of its public key; give the whole line", ErrKey)
	}
	return a, nil
}

// Name returns the auditor's name.
func (a *Auditor) Name() string { return a.name }

// KeyName returns "auditor-<8 hex>-xwing".
func (a *Auditor) KeyName() string { return a.key }

// Line returns the line that [ParseAuditor] reads.
func (a *Auditor) Line() string {
	return a.name + "+" + a.key + "+" + base64.StdEncoding.EncodeToString(a.public)
}

// WrapLogKey seals a log key (32 bytes) of the log of origin to the auditor, in [WrapBytes] bytes.
// The caller clears key.
func (a *Auditor) WrapLogKey(origin string, number uint32, key []byte) ([]byte, error) {
	if len(key) != LogKeyBytes {
		return nil, fmt.Errorf("%w: a log key has %d bytes", ErrKey, LogKeyBytes)
	}
	wrap, err := a.encrypt.Encrypt(key, LogKeyInfo(origin, number, a.name, a.key))
	if err != nil {
		return nil, fmt.Errorf("wrap log key %d for %s: %w", number, a.name, err)
	}
	return wrap, nil
}

// LogKeyInfo is the HPKE info of a wrapped log key, which binds it to its log and auditor.
func LogKeyInfo(origin string, number uint32, auditor, key string) []byte {
	return envelope.PAE("nightdrop/logkey/v1", origin, strconv.FormatUint(uint64(number), 10), auditor, key)
}
