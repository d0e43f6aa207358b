package publisher

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/ledger"
)

// sealResults makes notes of results as they are issued.
func (o *Publisher) sealResults(ctx context.Context) error { return o.rounds(ctx, o.sealRound) }

// sealRound seals, chains, signs and commits one round of n pending results.
func (o *Publisher) sealRound(ctx context.Context) (int, error) {
	signer, err := o.signer()
	if err != nil {
		return 0, err
	}
	chains, n, err := o.pending(signer)
	if err != nil || n == 0 {
		return n, err
	}
	if err := o.sealParts(chains); err != nil {
		return n, err
	}
	if err := o.sign(chains, signer); err != nil {
		return n, err
	}
	err = o.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		for _, c := range chains {
			if err := c.commit(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("commit %d sealed results: %w", n, err)
	}
	return n, nil
}

// chain is one merchant's pending results, in order of serial, and where its chain ends.
type chain struct {
	merchant string
	serial   uint64 // of the last sealed result, 0 for none
	previous string // its digest
	results  []*result
}

type result struct {
	pending ledger.Pending
	proof   []byte // C2SP tlog-proof that the log holds pending
	sealed  envelope.Part
	note    []byte
	digest  string
}

// pending reads one round of issued results, by merchant, each with the proof that it is in the
// log. The round's proofs have one checkpoint, of the snapshot that the results are read from, so
// that their readers can compare them.
func (o *Publisher) pending(signer *note.Signer) (chains []*chain, n int, err error) {
	err = o.Ledger.View(func(tx *ledger.Tx) error {
		list, err := tx.PendingResults(roundResults)
		if err != nil || len(list) == 0 {
			return err
		}
		n = len(list)
		prover, err := newProver(tx, signer)
		if err != nil {
			return err
		}
		byMerchant := map[string]*chain{}
		for _, p := range list {
			c := byMerchant[p.Merchant]
			if c == nil {
				c = &chain{merchant: p.Merchant}
				if c.serial, c.previous, err = tx.PreviousDigest(p.Merchant); err != nil {
					return err
				}
				byMerchant[p.Merchant] = c
				chains = append(chains, c)
			}
			text, err := prover.prove(p.Place.Index)
			if err != nil {
				return fmt.Errorf("result %d of merchant %s: %w", p.Serial, p.Merchant, err)
			}
			c.results = append(c.results, &result{pending: p, proof: text})
		}
		return nil
	})
	return chains, n, err
}

func (o *Publisher) sealParts(chains []*chain) error {
	tasks := new(errgroup.Group)
	tasks.SetLimit(o.Workers)
	for _, c := range chains {
		for _, r := range c.results {
			tasks.Go(func() error { return o.sealPart(r) })
		}
	}
	return tasks.Wait()
}

func (o *Publisher) sealPart(r *result) error {
	sealer, err := o.sealer(r.pending.ReplyKey)
	if err != nil {
		return fmt.Errorf("reply key of merchant %s: %w", r.pending.Merchant, err)
	}
	plain, err := envelope.EncodeResult(r.pending.Facts, r.pending.Place, r.proof)
	if err != nil {
		return fmt.Errorf("result %d of merchant %s: %w", r.pending.Serial, r.pending.Merchant, err)
	}
	r.sealed, err = sealer.Seal(envelope.PartResult, r.pending.Merchant, r.pending.ID, plain)
	return err
}

// sealer returns the sealer of a reply key, KEYNAME+BASE64.
func (o *Publisher) sealer(line string) (*seal.Sealer, error) {
	if s, ok := o.sealers.Get(line); ok {
		return s, nil
	}
	name, public, err := seal.ReplyKey(line)
	if err != nil {
		return nil, err
	}
	s, err := seal.NewSealer(name, public)
	if err != nil {
		return nil, err
	}
	o.sealers.Add(line, s)
	return s, nil
}

// sign links and signs each merchant's results, chains in parallel.
func (o *Publisher) sign(chains []*chain, signer *note.Signer) error {
	tasks := new(errgroup.Group)
	tasks.SetLimit(o.Workers)
	for _, c := range chains {
		tasks.Go(func() error {
			serial, previous := c.serial, c.previous
			for _, r := range c.results {
				p := r.pending
				if p.Serial != serial+1 {
					return fmt.Errorf("results of merchant %s: serial %d follows %d: %w", c.merchant, p.Serial, serial, ledger.ErrDamaged)
				}
				signed, err := envelope.Sign(envelope.Result{Merchant: p.Merchant, Serial: p.Serial, Previous: previous,
					ID: p.ID, Digest: p.Digest, Created: p.Created, Sealed: r.sealed}, signer)
				if err != nil {
					return fmt.Errorf("sign result %d of merchant %s: %w", p.Serial, p.Merchant, err)
				}
				r.note, r.digest = signed.Note, signed.Digest
				serial, previous = p.Serial, signed.Digest
			}
			return nil
		})
	}
	return tasks.Wait()
}

var errChain = errors.New("a merchant's chain of results moved while results were sealed: is another publisher running?")

// commit stores a chain's notes if the chain has not moved. After this the bytes are fixed for
// ever.
func (c *chain) commit(tx *ledger.Tx) error {
	serial, previous, err := tx.PreviousDigest(c.merchant)
	if err != nil {
		return err
	}
	if serial != c.serial || previous != c.previous {
		return errChain
	}
	for _, r := range c.results {
		p := r.pending
		if err := tx.PutResult(p.Merchant, p.Serial, p.ID, r.digest, r.note); err != nil {
			return err
		}
	}
	return nil
}
