package intake

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// group is some messages, judged before the transaction. The commit checks again what may have
// changed in between.
type group struct {
	relays []string // vkeys that the bags were opened with
	keys   []note.Verifier
	bags   []*bag
	slots  []uint32 // that accounts of these bags were sealed into, committed or not
}

func (g *group) sealed(v verdict) {
	if v.stored != nil {
		g.slots = append(g.slots, v.stored.Slot)
	}
}

// bag is one message.
type bag struct {
	message   channel.Message
	finding   book.Finding // where set, the envelopes are not judged
	detail    string       // of the finding
	claim     envelope.Bag // the note's; unproven where there is a finding
	digest    string       // of the note
	envelopes [][]byte
	verdicts  []verdict // one an envelope; none of a bag that was committed before
}

// judgeAll opens bags and judges their envelopes, in parallel, by a snapshot of the ledger.
func (i *Intake) judgeAll(messages []channel.Message) (*group, error) {
	snap := &snapshot{ledger: i.Ledger, merchants: map[string]merchant{}}
	relays, err := snap.relays()
	if err != nil {
		return nil, err
	}
	g := &group{relays: relays, bags: make([]*bag, len(messages))}
	if g.keys, err = verifiers(relays); err != nil {
		return nil, err
	}
	err = i.parallel(len(messages), func(n int) error {
		b := openBag(messages[n], g.keys)
		g.bags[n] = b
		committed, err := snap.committed(b)
		if err == nil && b.finding == "" && !committed {
			b.verdicts = make([]verdict, len(b.envelopes))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	type item struct {
		bag   *bag
		index int
	}
	var items []item
	for _, b := range g.bags {
		for index := range b.verdicts {
			items = append(items, item{b, index})
		}
	}
	err = i.parallel(len(items), func(n int) (err error) {
		p := items[n]
		p.bag.verdicts[p.index], err = i.judge(snap, p.bag.envelopes[p.index])
		return err
	})
	for _, p := range items {
		g.sealed(p.bag.verdicts[p.index])
	}
	return g, err
}

// openBag checks a bag's frames, note, signature, count and body. Envelopes are processed only of
// an intact bag that one of relays signed: the signature bounds the work that a stranger on the
// channel can cause, and a genuine note on another body proves nothing about the body's author. An
// altered bag does not use its number: if the relay's own never comes, the number is missing too.
func openBag(m channel.Message, relays []note.Verifier) *bag {
	b := &bag{message: m}
	signed, envelopes, err := envelope.OpenBag(m.Data, relays...)
	if err == nil {
		b.claim, b.digest, b.envelopes = signed.Value, signed.Digest, envelopes
		return b
	}
	b.finding, b.detail = book.FindingBagAltered, "its count or body is not the one in the note"
	noteBytes, _, _, err := envelope.SplitBag(m.Data)
	if err != nil {
		return b.bySubject("its frames are broken")
	}
	u, err := envelope.Read[envelope.Bag](noteBytes)
	if err != nil {
		return b.bySubject("its note is not a bag's")
	}
	b.claim, b.digest = u.Value, u.Digest()
	listed := slices.ContainsFunc(u.KeyIDs(), func(id note.KeyID) bool {
		return slices.ContainsFunc(relays, func(v note.Verifier) bool { return v.Name() == id.Name && v.Hash() == id.Hash })
	})
	if _, err := u.Verify(relays...); !listed {
		b.finding, b.detail = book.FindingUnknownRelay, "no relay of the directory signed it"
	} else if errors.Is(err, note.ErrUnverified) {
		b.detail = "the relay's signature does not verify"
	}
	return b
}

// bySubject sets the relay of an altered bag by the message's subject.
func (b *bag) bySubject(detail string) *bag {
	b.detail = detail
	if relay, ok := strings.CutPrefix(b.message.Subject, "bag."); ok && envelope.ValidMerchant(relay) {
		b.claim.Relay = relay
	}
	return b
}

// snapshot reads the committed ledger. It is safe for concurrent use and reads each merchant once.
type snapshot struct {
	ledger    *ledger.Ledger
	mu        sync.Mutex
	merchants map[string]merchant
}

func (s *snapshot) relays() (vkeys []string, err error) {
	err = s.ledger.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		vkeys = v.Relays
		return err
	})
	return vkeys, err
}

// committed reports whether a bag was committed: then it needs no judging.
func (s *snapshot) committed(b *bag) (known bool, err error) {
	if b.finding != "" {
		return false, nil
	}
	err = s.ledger.View(func(tx *ledger.Tx) error {
		seen, _, err := tx.Bag(b.claim.Relay, b.claim.Run, b.claim.Number)
		known = slices.Contains(seen.Digests, b.digest)
		return err
	})
	return known, err
}

func (s *snapshot) merchant(id string) (merchant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.merchants[id]; ok {
		return m, nil
	}
	var m merchant
	err := s.ledger.View(func(tx *ledger.Tx) error {
		stored, ok, err := tx.Merchant(id)
		if err == nil {
			m, err = parseMerchant(stored, ok)
		}
		return err
	})
	if err == nil {
		s.merchants[id] = m
	}
	return m, err
}

func (s *snapshot) payment(merchant, id string) (p book.Payment, known bool, err error) {
	err = s.ledger.View(func(tx *ledger.Tx) error {
		p, known, err = tx.Payment(merchant, id)
		return err
	})
	return p, known, err
}

func (s *snapshot) token(merchant, token string) (t book.Token, known bool, err error) {
	err = s.ledger.View(func(tx *ledger.Tx) error {
		t, known, err = tx.Token(merchant, token)
		return err
	})
	return t, known, err
}

func (s *snapshot) stored(merchant, token string) (account ledger.Stored, known bool, err error) {
	err = s.ledger.View(func(tx *ledger.Tx) error {
		account, known, err = tx.Stored(merchant, token)
		account.Sealed = bytes.Clone(account.Sealed)
		return err
	})
	return account, known, err
}

func (s *snapshot) fingerprint(merchant string, whole []byte) (print string, err error) {
	err = s.ledger.View(func(tx *ledger.Tx) error {
		print, err = tx.Fingerprint(merchant, whole)
		return err
	})
	return print, err
}

// txState reads the transaction itself.
type txState struct{ tx *ledger.Tx }

func (s txState) merchant(id string) (merchant, error) {
	m, ok, err := s.tx.Merchant(id)
	if err != nil {
		return merchant{}, err
	}
	return parseMerchant(m, ok)
}

func (s txState) payment(merchant, id string) (book.Payment, bool, error) {
	return s.tx.Payment(merchant, id)
}

func (s txState) token(merchant, token string) (book.Token, bool, error) {
	return s.tx.Token(merchant, token)
}

func (s txState) stored(merchant, token string) (ledger.Stored, bool, error) {
	return s.tx.Stored(merchant, token)
}

func (s txState) fingerprint(merchant string, whole []byte) (string, error) {
	return s.tx.Fingerprint(merchant, whole)
}
