package ingest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
)

// Board holds the newest notes that the vault has published, each checked against the pinned key
// before it counts. It is safe for concurrent use; readers never wait.
type Board struct {
	pin    *envelope.Pin
	relay  note.Verifier
	now    func() time.Time
	logger *slog.Logger

	mu      sync.Mutex // of Offer
	refused map[channel.Notice][]byte

	onMembers  func(active int)
	onPosition func(envelope.Position)

	directory  atomic.Pointer[envelope.Signed[envelope.Directory]]
	members    atomic.Pointer[roster]
	position   atomic.Pointer[[]byte]
	checkpoint atomic.Pointer[checkpoint]
}

type roster struct {
	note    envelope.Members
	members map[string]envelope.Member
}

type checkpoint struct {
	note []byte
	size int64
}

// NewBoard returns an empty board that trusts only the pinned vault. relay is the relay's own key.
func NewBoard(pin *envelope.Pin, relay note.Verifier, now func() time.Time, logger *slog.Logger) *Board {
	return &Board{pin: pin, relay: relay, now: now, logger: logger, refused: make(map[channel.Notice][]byte),
		onMembers: func(int) {}, onPosition: func(envelope.Position) {}}
}

// Observe sets what is called with the number of active merchants, and with each position, as they
// are accepted. Call it before [Board.Watch].
func (b *Board) Observe(members func(active int), position func(envelope.Position)) {
	b.onMembers, b.onPosition = members, position
}

const noticesAgain = time.Second

// Watch offers the board what the vault publishes until ctx ends.
func (b *Board) Watch(ctx context.Context, notices func(context.Context, func(channel.Notice, []byte)) error) {
	for ctx.Err() == nil {
		err := notices(ctx, b.Offer)
		if ctx.Err() != nil {
			return
		}
		b.logger.Warn("the vault's notices cannot be read; trying again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(noticesAgain):
		}
	}
}

// Offer accepts a note that is newer and verifies. A directory may bring a new signer, so notes
// that were refused before it are offered again.
func (b *Board) Offer(kind channel.Notice, msg []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.accept(kind, msg); err != nil {
		b.refused[kind] = msg
		b.logger.Warn("a notice was refused", "notice", kind, "error", err)
		return
	}
	delete(b.refused, kind)
	if kind != channel.NoticeDirectory {
		return
	}
	for again, msg := range b.refused {
		if b.accept(again, msg) == nil {
			delete(b.refused, again)
		}
	}
}

func (b *Board) accept(kind channel.Notice, msg []byte) error {
	switch kind {
	case channel.NoticeDirectory:
		return b.takeDirectory(msg)
	case channel.NoticeMembers:
		signed, err := b.pin.Members(msg, b.now())
		if err != nil {
			return err
		}
		r := &roster{note: signed.Value, members: make(map[string]envelope.Member, len(signed.Value.Merchants))}
		active := 0
		for _, m := range signed.Value.Merchants {
			r.members[m.ID] = m
			if m.Status == envelope.MemberActive {
				active++
			}
		}
		b.members.Store(r)
		b.onMembers(active)
		b.logger.Info("members accepted", "serial", r.note.Serial, "merchants", len(r.members), "expires", r.note.Expires)
		return nil
	case channel.NoticePosition:
		signed, err := b.pin.Position(msg, b.now())
		if err != nil {
			return err
		}
		b.position.Store(&signed.Note)
		b.onPosition(signed.Value)
		return nil
	case channel.NoticeCheckpoint:
		return b.takeCheckpoint(msg)
	default:
		return errors.New("unknown kind of notice")
	}
}

func (b *Board) takeDirectory(msg []byte) error {
	signed, err := b.pin.Directory(msg, b.now())
	if err != nil {
		return err
	}
	b.directory.Store(&signed)
	d := signed.Value
	b.logger.Info("directory accepted", "serial", d.Serial, "generation", d.Generation, "keys", len(d.Keys), "expires", d.Expires)
	if !slices.Contains(d.Relays, b.relay) {
		b.logger.Warn("the directory does not list this relay's key: nothing is accepted until the vault's operators add it to relays in vault.toml",
			"verifier", b.relay.String())
	}
	return nil
}

func (b *Board) takeCheckpoint(msg []byte) error {
	for _, signer := range b.pin.Signers() {
		c, err := proof.OpenCheckpoint(msg, signer)
		if err != nil {
			continue
		}
		if old := b.checkpoint.Load(); old != nil && c.Size < old.size {
			b.logger.Warn("the vault's log has become shorter: its auditors should know", "was", old.size, "is", c.Size)
		}
		b.checkpoint.Store(&checkpoint{msg, c.Size})
		return nil
	}
	return note.ErrUnverified
}

// Directory returns the newest directory that has not expired, with its note, or nil.
func (b *Board) Directory() *envelope.Signed[envelope.Directory] {
	d := b.directory.Load()
	if d == nil || !b.now().Before(d.Value.Expires.Time) {
		return nil
	}
	return d
}

// Listed reports whether the newest directory lists this relay's key: storefronts accept no receipt
// of another relay, and the vault no bag.
func (b *Board) Listed() bool {
	d := b.Directory()
	return d != nil && slices.Contains(d.Value.Relays, b.relay)
}

// Member returns a merchant. known is false while there is no members note that has not expired;
// found is false when the merchant is not on it.
func (b *Board) Member(merchant string) (m envelope.Member, found, known bool) {
	r := b.members.Load()
	if r == nil || !b.now().Before(r.note.Expires.Time) {
		return envelope.Member{}, false, false
	}
	m, found = r.members[merchant]
	return m, found, true
}

// HasMembers reports whether an unexpired members note is known.
func (b *Board) HasMembers() bool {
	_, _, known := b.Member("")
	return known
}

// Position returns the newest position note, or nil.
func (b *Board) Position() []byte {
	if p := b.position.Load(); p != nil {
		return *p
	}
	return nil
}

// Checkpoint returns the newest checkpoint note, or nil.
func (b *Board) Checkpoint() []byte {
	if c := b.checkpoint.Load(); c != nil {
		return c.note
	}
	return nil
}
