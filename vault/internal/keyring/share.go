package keyring

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"nightdrop/shared/envelope"
)

const (
	// maxShares bounds the custodians of one vault: more people than that keep no secret.
	maxShares    = 32
	scalarBytes  = 32
	sharingBytes = 8
	// of a share's check in vault.key; it helps no guess, as a share has 252 random bits
	checkBytes    = 16
	lineCheck     = 4 // of the checksum at a share line's end, against mistyping
	maxShareBytes = 512
)

const sharePrefix = "nightdrop-share-v1"

// Share is one custodian's share of the key-encryption key: a point of a polynomial over the
// scalars of ristretto255. k of them open the vault; keep one off all disks but its custodian's
// own.
type Share struct {
	secret
	vault   string
	sharing string // 16 hex digits, random: which sharing of the vault's key it is of
	number  int    // 1 to n
	// value is a scalar, little endian; a pointer, because fmt prints what a struct holds for %p,
	// whatever its methods.
	value *[scalarBytes]byte
}

// Number returns the share's number, 1 to n.
func (s Share) Number() int { return s.number }

// Vault returns the name of the vault that the share belongs to.
func (s Share) Vault() string { return s.vault }

// Encode returns the share as one printable line without a newline,
// "nightdrop-share-v1:VAULT:SHARING:NUMBER:VALUE:CHECK" with VALUE and CHECK in hex. The caller
// gives it to its custodian alone, and clears it.
func (s Share) Encode() []byte {
	line := make([]byte, 0, maxShareBytes)
	line = fmt.Appendf(line, "%s:%s:%s:%d:", sharePrefix, s.vault, s.sharing, s.number)
	line = hex.AppendEncode(line, s.value[:])
	sum := sha256.Sum256(line)
	return hex.AppendEncode(append(line, ':'), sum[:lineCheck])
}

// ParseShare reads what [Share.Encode] wrote, ignoring white space around it. It fails with
// [ErrWrongShare] on a line that is mistyped or no share; [Ring.CheckShare] checks whose it is. It
// keeps no reference to line.
func ParseShare(line []byte) (Share, error) {
	line = bytes.TrimSpace(line)
	if len(line) > maxShareBytes || !bytes.HasPrefix(line, []byte(sharePrefix+":")) {
		return Share{}, fmt.Errorf("%w: a share is one line that begins with %s", ErrWrongShare, sharePrefix)
	}
	fields := bytes.Split(line, []byte{':'})
	if len(fields) != 6 {
		return Share{}, fmt.Errorf("%w: the line is cut or has something added; give the whole line", ErrWrongShare)
	}
	body := line[:len(line)-len(fields[5])-1]
	sum := sha256.Sum256(body)
	if string(fields[5]) != hex.EncodeToString(sum[:lineCheck]) {
		return Share{}, fmt.Errorf("%w: its check does not match; compare the line with the custodian's original", ErrWrongShare)
	}
	number, err := strconv.Atoi(string(fields[3]))
	if err != nil || number < 1 || number > maxShares || strconv.Itoa(number) != string(fields[3]) {
		return Share{}, fmt.Errorf("%w: its number is not from 1 to %d", ErrWrongShare, maxShares)
	}
	s := Share{vault: string(fields[1]), sharing: string(fields[2]), number: number, value: new([scalarBytes]byte)}
	if len(fields[4]) != hex.EncodedLen(scalarBytes) || len(s.sharing) != hex.EncodedLen(sharingBytes) || !envelope.ValidVault(s.vault) {
		return Share{}, fmt.Errorf("%w: a field is malformed", ErrWrongShare)
	}
	if _, err := hex.DecodeString(s.sharing); err != nil {
		return Share{}, fmt.Errorf("%w: its sharing is not hex", ErrWrongShare)
	}
	if _, err := hex.Decode(s.value[:], fields[4]); err != nil {
		return Share{}, fmt.Errorf("%w: its value is not hex", ErrWrongShare)
	}
	return s, nil
}

// Clear overwrites the share, and every copy of it, in memory.
func (s Share) Clear() { clear(s.value[:]) }

// check is what vault.key knows of the share: enough to recognise it, nothing that helps to guess
// it.
func (s Share) check(salt []byte) string {
	h := sha256.New()
	h.Write([]byte("nightdrop/share-check/v1"))
	h.Write(salt)
	h.Write([]byte{byte(s.number)})
	h.Write(s.value[:])
	return hex.EncodeToString(h.Sum(nil)[:checkBytes])
}

// split makes a new random secret and its n shares, any k of which recover it. The caller clears
// the secret.
func split(vault string, k, n int) (secretValue []byte, shares []Share, err error) {
	g := group.Ristretto255
	scalar := g.RandomNonZeroScalar(rand.Reader)
	defer scalar.SetUint64(0)
	if secretValue, err = scalar.MarshalBinary(); err != nil {
		return nil, nil, fmt.Errorf("encode the secret: %w", err)
	}
	id := make([]byte, sharingBytes)
	_, _ = rand.Read(id) // never fails (crypto/rand)

	// circl's t is how many shares may be known without harm: t+1 recover.
	for _, point := range secretsharing.New(rand.Reader, uint(k-1), scalar).Share(uint(n)) {
		value, err := point.Value.MarshalBinary()
		if err != nil {
			return nil, nil, fmt.Errorf("encode a share: %w", err)
		}
		point.Value.SetUint64(0)
		shares = append(shares, Share{vault: vault, sharing: hex.EncodeToString(id), number: len(shares) + 1, value: (*[scalarBytes]byte)(value)})
	}
	return secretValue, shares, nil
}

// recombine returns the secret of k distinct shares of one sharing. Wrong shares give a wrong
// secret, not an error: check them before, and the secret after. The caller clears it.
func recombine(k int, shares []Share) ([]byte, error) {
	points := make([]secretsharing.Share, 0, len(shares))
	for _, s := range shares {
		p := secretsharing.Share{ID: group.Ristretto255.NewScalar().SetUint64(uint64(s.number)), Value: group.Ristretto255.NewScalar()}
		if err := p.Value.UnmarshalBinary(s.value[:]); err != nil {
			return nil, fmt.Errorf("%w: share %d is not a scalar", ErrWrongShare, s.number)
		}
		defer p.Value.SetUint64(0)
		points = append(points, p)
	}
	scalar, err := secretsharing.Recover(uint(k-1), points)
	if err != nil {
		return nil, fmt.Errorf("recover the key from the shares: %w", err)
	}
	defer scalar.SetUint64(0)
	return scalar.MarshalBinary()
}
