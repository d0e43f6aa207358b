package storefront

import (
	"context"
	"crypto/hpke"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
)

// Chain is how far a reader has read its merchant's results. Store it with them, and pass it next
// time; the zero value begins at the first result that the relay still has.
type Chain struct {
	Serial  uint64    `json:"serial"`  // of the last result read
	Digest  string    `json:"digest"`  // of that result
	Created time.Time `json:"created"` // of that result
	First   uint64    `json:"first"`   // serial of the first result read
	Began   time.Time `json:"began"`   // created of that result
	Index   uint64    `json:"index"`   // of the last result's leaf in the vault's log
	// of the last result's checkpoint, 0 while results carry no proof
	Size int64 `json:"size"`
	// results that did not come, by serial: see [Chain.MissingError]
	Missing []Gap `json:"missing,omitempty"`

	start uint64 // a new chain begins above this serial
}

// ChainFrom returns a chain that begins at a serial (1 or more), or the first after it that the
// relay has.
func ChainFrom(serial uint64) Chain { return Chain{start: max(serial, 1) - 1} }

// answerTime is how long after until the vault may give its first result (specification 4).
const answerTime = time.Hour

// ProvesSilence reports whether a result of an envelope of these times would be among those read:
// the chain began before it and reached a result created over an hour after until, with none
// missing that may be about it. If none answers it, none ever will, and it may be paid again under
// a new id.
func (chain Chain) ProvesSilence(created, until time.Time) bool {
	// the vault's clock need not be ours
	covered := chain.First == 1 || chain.Began.Before(created.Add(-envelope.MaxClockSkew))
	return chain.Serial > 0 && covered && !chain.hides(created) && chain.Created.After(until.Add(answerTime))
}

// Opened is a result that verified, followed its predecessor and opened. It is about our envelope
// only if Result.Digest is that of what we posted under Result.ID.
type Opened struct {
	Result    envelope.Result
	Facts     envelope.Facts
	FactsLine []byte         // line 1 of the plaintext: what the log's leaf hashes
	Place     envelope.Place // where the log has it
	Proof     []byte         // C2SP tlog-proof, where the log gave one: checked
	Note      []byte         // the vault's signed note, as received

	Checkpoint proof.Checkpoint // the proof's; zero without a proof
}

// maxResultsBytes bounds a page: 100 notes of about 8 KiB, with JSON escapes.
const maxResultsBytes = 4 << 20

// maxWait is the longest long poll (specification 6).
const maxWait = 60 * time.Second

// Results reads the next page of results after chain, waiting up to wait (at most 60 s) for the
// first, checks that they follow one another and that the vault's log holds them, opens them, and
// moves chain. An empty page means nothing new. If results are missing, the chain goes on after
// them ([Chain].Missing, [Chain.MissingError]); they are asked for again with later pages, and come
// first. After ErrChain, ErrLog or ErrUnverified chain is unchanged: keep it and the notes as
// evidence, and inform the vault's operators and auditors.
func (c *Client) Results(ctx context.Context, chain *Chain, wait time.Duration) ([]Opened, error) {
	next := *chain
	next.Missing = slices.Clone(chain.Missing)
	late, err := c.missed(ctx, &next)
	if err != nil {
		return nil, err
	}
	if len(late) > 0 {
		*chain = next
		return late, nil
	}
	wait = min(max(wait, 0), maxWait)
	path := fmt.Sprintf("/v1/results?after=%d&wait=%d", max(chain.Serial, chain.start), int(wait/time.Second))
	notes, err := c.fetchResults(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	opened, err := c.openListed(ctx, notes, func(o Opened, digest string) error { return next.follow(o, digest) })
	if err != nil {
		return nil, err
	}
	*chain = next
	return opened, nil
}

// ResultsOf reads and checks the results of one envelope, oldest first. Only the chain proves that
// none is missing.
func (c *Client) ResultsOf(ctx context.Context, id string) ([]Opened, error) {
	if !envelope.ValidID(id) {
		return nil, fmt.Errorf("%q is not an envelope id: give the UUID under which it was posted", id)
	}
	notes, err := c.fetchResults(ctx, "/v1/envelopes/"+id)
	if err != nil {
		return nil, fmt.Errorf("read results of %s: %w", id, err)
	}
	return c.openListed(ctx, notes, func(o Opened, _ string) error {
		if o.Result.ID != id {
			return fmt.Errorf("result of another envelope: %w", ErrUnverified)
		}
		return nil
	})
}

// openListed is openAll by the directory's keys.
func (c *Client) openListed(ctx context.Context, notes []string, accept func(Opened, string) error) ([]Opened, error) {
	directory, err := c.Directory(ctx)
	if err != nil {
		return nil, err
	}
	return c.openAll(directory.Value.Signers, notes, accept)
}

// openAll opens results, checks each by accept, and then their proofs, which are kept only if all
// hold.
func (c *Client) openAll(signers []note.Verifier, notes []string, accept func(Opened, string) error) ([]Opened, error) {
	opened := make([]Opened, 0, len(notes))
	err := c.look(func(seen *proof.History) error {
		for _, text := range notes {
			o, digest, err := c.open(signers, []byte(text))
			if err != nil {
				return err
			}
			if err := o.checkProof(seen, signers); err != nil {
				return fmt.Errorf("result %d: %w", o.Result.Serial, err)
			}
			if err := accept(o, digest); err != nil {
				return err
			}
			opened = append(opened, o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

func (c *Client) fetchResults(ctx context.Context, path string) ([]string, error) {
	body, err := c.get(ctx, path, maxResultsBytes, true)
	if err != nil {
		return nil, err
	}
	var page struct {
		Results []string `json:"results"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("not a page of results: %w", errors.Join(ErrUnverified, err))
	}
	return page.Results, nil
}

// follow moves the chain to o: the next, a later, or a missing one. A new chain begins anywhere.
func (chain *Chain) follow(o Opened, digest string) error {
	r := o.Result
	fresh := chain.Serial == 0
	if !fresh && r.Serial <= chain.Serial {
		return chain.fill(o, digest)
	}
	next := fresh || r.Serial == chain.Serial+1
	if !fresh && next && r.Previous != chain.Digest || r.Serial == 1 && r.Previous != envelope.ZeroDigest {
		return fmt.Errorf("result %d does not name result %d: %w", r.Serial, r.Serial-1, ErrChain)
	}
	before := *chain
	if err := chain.grow(o); err != nil {
		return fmt.Errorf("result %d: %w", r.Serial, err)
	}
	if !next {
		if err := before.skip(o); err != nil {
			return err
		}
		chain.Missing = before.Missing
	}
	if fresh {
		chain.First, chain.Began = r.Serial, r.Created.Time
	}
	chain.Serial, chain.Digest, chain.Created = r.Serial, digest, r.Created.Time
	return nil
}

// grow checks that the log grows from result to result: each is a later leaf, by a checkpoint that
// is not smaller, and once results carry proofs all do, or the vault could claim what is not in the
// log.
func (chain *Chain) grow(o Opened) error {
	switch {
	case chain.Index > 0 && o.Place.Index <= chain.Index:
		return fmt.Errorf("%w: it is leaf %d, after leaf %d", ErrLog, o.Place.Index, chain.Index)
	case chain.Size > 0 && o.Proof == nil:
		return fmt.Errorf("%w: it has no proof, and those before it have", ErrLog)
	case o.Proof != nil && o.Checkpoint.Size < chain.Size:
		return fmt.Errorf("%w: %w: %d entries, after %d", ErrLog, proof.ErrRewound, o.Checkpoint.Size, chain.Size)
	}
	chain.Index, chain.Size = o.Place.Index, o.Checkpoint.Size
	return nil
}

func (c *Client) open(signers []note.Verifier, msg []byte) (Opened, string, error) {
	signed, err := envelope.Open[envelope.Result](msg, signers...)
	if err != nil {
		return Opened{}, "", fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	r := signed.Value
	if r.Merchant != c.Merchant() {
		return Opened{}, "", fmt.Errorf("result %d of another merchant: %w", r.Serial, ErrUnverified)
	}
	private, err := c.identity.replyKey(r.Sealed.Key)
	if err != nil {
		return Opened{}, "", err
	}
	info := envelope.PartInfo(envelope.PartResult, r.Merchant, r.ID, r.Sealed.Key)
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info, r.Sealed.Sealed[tinkPrefix:])
	if err != nil {
		return Opened{}, "", fmt.Errorf("result %d does not open: %w", r.Serial, ErrUnverified)
	}
	facts, place, line, proved, err := envelope.DecodeResult(plain)
	if err != nil {
		return Opened{}, "", fmt.Errorf("result %d: %w: %w", r.Serial, ErrUnverified, err)
	}
	return Opened{Result: r, Facts: facts, FactsLine: line, Place: place, Proof: proved, Note: msg}, signed.Digest, nil
}

// tinkPrefix is the length of 0x01 and the key id before the HPKE ciphertext (specification 3).
const tinkPrefix = 5

// tokenLife is within the 5 minutes that a relay allows.
const tokenLife = 4 * time.Minute

// token proves who reads results (RFC 7519 JWT, EdDSA).
func (c *Client) token() (string, error) {
	now := c.now()
	nonce := make([]byte, 8)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.RegisteredClaims{
		ID: hex.EncodeToString(nonce), Subject: c.Merchant(), Audience: jwt.ClaimStrings{c.relay},
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(tokenLife)),
	})
	token.Header["kid"] = c.identity.Verifier().HashHex()
	signed, err := token.SignedString(c.identity.signer.PrivateKey())
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}
