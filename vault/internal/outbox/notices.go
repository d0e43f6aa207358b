package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// notice is the newest note of a kind.
type notice struct {
	note   []byte
	says   string    // its content without serial and times: a change means a new note
	issued time.Time // by the outbox's clock
	sent   bool      // over the connection that stands
}

// order is how notices go out: who may post before how far we came.
func order() [4]channel.Notice {
	return [...]channel.Notice{channel.NoticeDirectory, channel.NoticeMembers, channel.NoticePosition, channel.NoticeCheckpoint}
}

// Newest returns the newest note of a kind, nil before the first. The caller must not change it.
func (o *Outbox) Newest(kind channel.Notice) []byte {
	return o.newest(kind).note
}

// IssueDirectory issues a directory at once, as `directory publish` does, and returns its serial.
// It is published as soon as the channel is there.
func (o *Outbox) IssueDirectory(ctx context.Context, actor, origin, purpose string) (uint64, error) {
	serial, err := o.directory(ctx, book.Event{Actor: actor, Origin: origin, Purpose: purpose})
	if err == nil {
		o.lookNow()
	}
	return serial, err
}

// lookNow has the notices' loop look now.
func (o *Outbox) lookNow() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// AwaitMember waits until the newest members note has the merchant as it is now, and the channel
// has taken that note. It reports false where ctx ends before, or the channel is away and the
// outbox not new. The channel's answer is no proof that a relay has read it.
func (o *Outbox) AwaitMember(ctx context.Context, m book.Merchant) (bool, error) {
	now, err := memberOf(m)
	if err != nil {
		return false, err
	}
	o.lookNow()
	again := time.NewTicker(memberEvery)
	defer again.Stop()
	for o.Channel.Connected() || time.Since(o.made) < connectGrace {
		if n, line := o.newest(channel.NoticeMembers), memberSays(now); n.sent && strings.Contains("\n"+n.says, "\n"+line) {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-again.C:
		}
	}
	return false, nil
}

// newest returns the newest notice of a kind, the zero one before the first.
func (o *Outbox) newest(kind channel.Notice) notice {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.notices[kind]; n != nil {
		return *n
	}
	return notice{}
}

// sendNotices keeps the rolling notes current: looking once a second, so that positions and
// checkpoints are no more frequent than that, and costing two reads of the ledger when nothing
// happens.
func (o *Outbox) sendNotices(ctx context.Context) error {
	w := &watch{Outbox: o, size: -1}
	for {
		if err := w.refresh(ctx); err != nil {
			return err
		}
		w.publish(ctx)
		if err := w.rest(ctx); err != nil {
			return err
		}
	}
}

// rest waits until the notices are to be looked at again. It looks at the connection more often: a
// broker that was stopped, lost its store and was started again is back within a second, and holds
// none of them.
func (w *watch) rest(ctx context.Context) error {
	enough := time.NewTimer(noticeEvery)
	look := time.NewTicker(connectionEvery)
	defer enough.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
			return nil
		case <-enough.C:
			return nil
		case <-look.C:
			w.connected = w.connected && w.Channel.Connected()
		}
	}
}

// watch is what the notices' loop remembers from one look to the next.
type watch struct {
	*Outbox
	size      int64 // of the log when it was looked at
	connected bool
	quiet     bool      // the channel's trouble was logged
	members   time.Time // when the merchants may be read again
	// when the runs may be: a relay that starts runs without end makes that slow
	heads time.Time
}

// refresh issues what has changed or grown old. It spends at most a twentieth of its time on
// reading merchants, and as much on runs.
func (w *watch) refresh(ctx context.Context) error {
	var (
		size  int64
		vault book.Vault
	)
	err := w.Ledger.View(func(tx *ledger.Tx) (err error) {
		if size, err = tx.TreeSize(); err != nil {
			return err
		}
		vault, err = tx.Vault()
		return err
	})
	if err != nil {
		return err
	}
	if w.due(channel.NoticeDirectory, directorySays(w.Keys.Directory(w.Now()), vault.Relays)) {
		if _, err := w.directory(ctx, book.Event{Actor: "vault", Origin: "timer"}); err != nil {
			return err
		}
	}
	moved := size != w.size
	if err := w.refreshMembers(ctx, moved); err != nil {
		return err
	}
	if !moved && !w.old(channel.NoticePosition) {
		return nil
	}
	begun := w.Now()
	if !w.old(channel.NoticePosition) && begun.Before(w.heads) {
		return nil // the size stays the old one, so that it is looked at again
	}
	w.size = size
	err = w.refreshHeads()
	w.heads = begun.Add(20 * w.Now().Sub(begun))
	return err
}

// refreshMembers reads the merchants when the log moved.
func (w *watch) refreshMembers(ctx context.Context, moved bool) error {
	begun := w.Now()
	if !w.old(channel.NoticeMembers) && (!moved || begun.Before(w.members)) {
		return nil
	}
	var list []envelope.Member
	err := w.Ledger.View(func(tx *ledger.Tx) (err error) {
		list, err = members(tx)
		return err
	})
	if err != nil {
		return err
	}
	w.members = begun.Add(20 * w.Now().Sub(begun))
	if !w.due(channel.NoticeMembers, membersSay(list)) {
		return nil
	}
	return w.issueMembers(ctx)
}

// refreshHeads signs a new position if it says something new or is old, and a new checkpoint if the
// log grew.
func (w *watch) refreshHeads() error {
	signer, err := w.signer()
	if err != nil {
		return err
	}
	var (
		position   envelope.Position
		checkpoint []byte
	)
	err = w.Ledger.View(func(tx *ledger.Tx) (err error) {
		if position, err = w.Position(tx); err != nil {
			return err
		}
		checkpoint, err = tx.Checkpoint(signer)
		return err
	})
	if err != nil {
		return err
	}
	text, err := note.Text(checkpoint)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if says := string(text); w.changed(channel.NoticeCheckpoint, says) {
		w.set(channel.NoticeCheckpoint, checkpoint, says)
	}
	if says := fmt.Sprint(position.Generation, position.Relays); w.due(channel.NoticePosition, says) {
		signed, err := envelope.Sign(position, signer)
		if err != nil {
			return fmt.Errorf("sign position: %w", err)
		}
		w.set(channel.NoticePosition, signed.Note, says)
	}
	return nil
}

// due reports whether a note of kind must be issued: there is none, it says something else, or it
// is old.
func (o *Outbox) due(kind channel.Notice, says string) bool {
	return o.changed(kind, says) || o.old(kind)
}

func (o *Outbox) changed(kind channel.Notice, says string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.notices[kind]
	return n == nil || n.says != says
}

// old reports whether the newest note of kind is older than Reissue, or from a time that has not
// come: the clock went back.
func (o *Outbox) old(kind channel.Notice) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.notices[kind]
	if n == nil {
		return true
	}
	age := o.Now().Sub(n.issued)
	return age < 0 || age >= o.Reissue
}

func (o *Outbox) set(kind channel.Notice, note []byte, says string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notices[kind] = &notice{note: note, says: says, issued: o.Now()}
}

// publish sends the notes that did not go out over this connection. A relay that was away, or has a
// new disk, gets them all.
func (w *watch) publish(ctx context.Context) {
	connected := w.Channel.Connected()
	if !connected || !w.connected {
		w.forget()
	}
	if w.connected = connected; !connected {
		return
	}
	for _, kind := range order() {
		n := w.unsent(kind)
		if n == nil {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, noticeTimeout)
		err := w.Channel.PublishNotice(limited, kind, n.note)
		cancel()
		if err != nil {
			if !w.quiet && ctx.Err() == nil {
				w.Logger.Warn("a notice waits for the channel", "notice", kind, "error", err)
			}
			w.quiet = true
			return
		}
		w.quiet = false
		w.mu.Lock()
		n.sent = true
		w.mu.Unlock()
	}
}

func (o *Outbox) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.notices {
		n.sent = false
	}
}

func (o *Outbox) unsent(kind channel.Notice) *notice {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.notices[kind]; n != nil && !n.sent {
		return n
	}
	return nil
}

// directory signs and commits the next directory; by says who wants it. A crash after the commit
// costs a serial: the next start issues another one.
func (o *Outbox) directory(ctx context.Context, by book.Event) (serial uint64, err error) {
	o.issuing.Lock()
	defer o.issuing.Unlock()
	signer, err := o.signer()
	if err != nil {
		return 0, err
	}
	var (
		signed envelope.Signed[envelope.Directory]
		says   string
	)
	err = o.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		if err != nil {
			return err
		}
		relays, err := parse(v.Relays)
		if err != nil {
			return err
		}
		now := tx.Now()
		keys := o.Keys.Directory(o.Now())
		says, serial = directorySays(keys, v.Relays), v.Directory+1
		signed, err = envelope.Sign(envelope.Directory{Vault: v.Name, Serial: serial, Generation: v.Generation, Issued: now,
			Expires: envelope.At(now.Add(o.Lifetime)), Signers: []note.Verifier{signer.Verifier()}, Keys: keys, Relays: relays}, signer)
		if err != nil {
			return err
		}
		event := by
		event.Evidence, event.Body = signed.Digest, book.DirectoryIssued{Serial: serial}
		_, err = tx.Append(event)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("issue a directory: %w", err)
	}
	o.set(channel.NoticeDirectory, signed.Note, says)
	return serial, nil
}

// directorySays is a directory's content: keys and relays.
func directorySays(keys []envelope.DirectoryKey, relays []string) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(string(k.Name) + " ")
	}
	return b.String() + "/ " + strings.Join(relays, " ")
}

func (o *Outbox) issueMembers(ctx context.Context) error {
	signer, err := o.signer()
	if err != nil {
		return err
	}
	var (
		signed envelope.Signed[envelope.Members]
		says   string
	)
	err = o.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		if err != nil {
			return err
		}
		list, err := members(tx)
		if err != nil {
			return err
		}
		now := tx.Now()
		says = membersSay(list)
		signed, err = envelope.Sign(envelope.Members{Vault: v.Name, Generation: v.Generation, Serial: v.Members + 1, Issued: now,
			Expires: envelope.At(now.Add(o.Lifetime)), Merchants: list}, signer)
		if err != nil {
			return err
		}
		_, err = tx.Append(book.Event{Actor: "vault", Origin: "timer", Evidence: signed.Digest, Body: book.MembersIssued{Serial: v.Members + 1}})
		return err
	})
	if err != nil {
		return fmt.Errorf("issue a members note: %w", err)
	}
	o.set(channel.NoticeMembers, signed.Note, says)
	return nil
}

// members lists the merchants as relays see them, by id.
func members(tx *ledger.Tx) ([]envelope.Member, error) {
	var list []envelope.Member
	err := tx.Merchants(func(m book.Merchant) error {
		member, err := memberOf(m)
		list = append(list, member)
		return err
	})
	slices.SortFunc(list, func(a, b envelope.Member) int { return strings.Compare(a.ID, b.ID) })
	return list, err
}

// memberOf is a merchant as relays see it.
func memberOf(m book.Merchant) (envelope.Member, error) {
	keys, err := parse(m.Verifiers)
	status := envelope.MemberSuspended
	if m.Status == book.MerchantActive {
		status = envelope.MemberActive
	}
	return envelope.Member{ID: m.ID, Verifiers: keys, Status: status}, err
}

func membersSay(list []envelope.Member) string {
	var b strings.Builder
	for _, m := range list {
		b.WriteString(memberSays(m))
	}
	return b.String()
}

// memberSays is a member's line in a note's content.
func memberSays(m envelope.Member) string { return fmt.Sprintln(m.ID, m.Status, m.Verifiers) }

// parse reads vkeys that the ledger holds, so a failure is damage.
func parse(vkeys []string) ([]note.Verifier, error) {
	keys := make([]note.Verifier, len(vkeys))
	for n, vkey := range vkeys {
		var err error
		if keys[n], err = note.ParseVerifier(vkey); err != nil {
			return nil, fmt.Errorf("a verifier key cannot be read: %w", ledger.ErrDamaged)
		}
	}
	return keys, nil
}
