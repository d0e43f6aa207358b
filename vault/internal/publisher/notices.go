package publisher

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

type notice struct {
	note    []byte
	content string    // without serial and times: a change means a new note
	issued  time.Time // by the publisher's clock
	sent    bool      // over this connection
}

// noticeOrder returns the order in which notices go out: who may post before how far we came.
func noticeOrder() [4]channel.Notice {
	return [...]channel.Notice{channel.NoticeDirectory, channel.NoticeMembers, channel.NoticePosition, channel.NoticeCheckpoint}
}

// Newest returns the newest note of a kind, nil before the first. Do not change it.
func (o *Publisher) Newest(kind channel.Notice) []byte {
	return o.newest(kind).note
}

// IssueDirectory issues a directory at once, for `directory publish`, and returns its serial. It is
// published as soon as the channel is up.
func (o *Publisher) IssueDirectory(ctx context.Context, actor, origin, purpose string) (uint64, error) {
	serial, err := o.directory(ctx, book.Event{Actor: actor, Origin: origin, Purpose: purpose})
	if err == nil {
		o.wakeNotices()
	}
	return serial, err
}

func (o *Publisher) wakeNotices() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// AwaitMember waits until the channel has a members note with the merchant as it is now. It reports
// false where ctx ends first, or the channel is away and the Publisher not new. It is no proof that
// a relay has read the note.
func (o *Publisher) AwaitMember(ctx context.Context, m book.Merchant) (bool, error) {
	now, err := memberOf(m)
	if err != nil {
		return false, err
	}
	o.wakeNotices()
	again := time.NewTicker(memberEvery)
	defer again.Stop()
	for o.Channel.Connected() || time.Since(o.made) < connectGrace {
		if n, line := o.newest(channel.NoticeMembers), memberContent(now); n.sent && strings.Contains("\n"+n.content, "\n"+line) {
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

func (o *Publisher) newest(kind channel.Notice) notice {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.notices[kind]; n != nil {
		return *n
	}
	return notice{}
}

// sendNotices keeps the rolling notes current, once a second, which bounds positions and
// checkpoints; when nothing changes it costs two reads of the ledger.
func (o *Publisher) sendNotices(ctx context.Context) error {
	w := &noticeLoop{Publisher: o, size: -1, membersSize: -1}
	for {
		if err := w.refresh(ctx); err != nil {
			return err
		}
		w.publish(ctx)
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// wait waits until the next refresh. It checks the connection more often: a broker that lost its
// store and restarted is back within a second, without the notes.
func (w *noticeLoop) wait(ctx context.Context) error {
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

// noticeLoop is the state of sendNotices.
type noticeLoop struct {
	*Publisher
	size         int64 // of the log when positions were last read
	membersSize  int64 // of the log when the merchants were last read
	connected    bool
	logged       bool      // the channel's failure was logged
	membersAfter time.Time // when the merchants may be read again
	headsAfter   time.Time // when the runs may be: endless runs of a relay make that slow
}

// refresh issues what has changed or expired. It spends at most a twentieth of its time on reading
// merchants, and as much on runs.
func (w *noticeLoop) refresh(ctx context.Context) error {
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
	if w.due(channel.NoticeDirectory, directoryContent(w.Keys.Directory(w.Now()), vault.Relays)) {
		if _, err := w.directory(ctx, book.Event{Actor: "vault", Origin: "timer"}); err != nil {
			return err
		}
	}
	if err := w.refreshMembers(ctx, size); err != nil {
		return err
	}
	if size == w.size && !w.expired(channel.NoticePosition) {
		return nil
	}
	begun := w.Now()
	if !w.expired(channel.NoticePosition) && begun.Before(w.headsAfter) {
		return nil // the size is unchanged, so the next refresh tries again
	}
	w.size = size
	err = w.refreshHeads()
	w.headsAfter = begun.Add(20 * w.Now().Sub(begun))
	return err
}

// refreshMembers issues a members note where the merchants are others, by a log of size. Where they
// may not be read yet a later refresh reads them, also if the log does not grow meanwhile.
func (w *noticeLoop) refreshMembers(ctx context.Context, size int64) error {
	begun := w.Now()
	if !w.expired(channel.NoticeMembers) && (size == w.membersSize || begun.Before(w.membersAfter)) {
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
	w.membersSize, w.membersAfter = size, begun.Add(20*w.Now().Sub(begun))
	if !w.due(channel.NoticeMembers, membersContent(list)) {
		return nil
	}
	return w.issueMembers(ctx)
}

// refreshHeads signs a new position if it is due, and a new checkpoint if the log grew.
func (w *noticeLoop) refreshHeads() error {
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
	if content := string(text); w.changed(channel.NoticeCheckpoint, content) {
		w.set(channel.NoticeCheckpoint, checkpoint, content)
	}
	if content := fmt.Sprint(position.Generation, position.Relays); w.due(channel.NoticePosition, content) {
		signed, err := envelope.Sign(position, signer)
		if err != nil {
			return fmt.Errorf("sign position: %w", err)
		}
		w.set(channel.NoticePosition, signed.Note, content)
	}
	return nil
}

// due reports whether a note must be issued: there is none, or its content changed, or it expired.
func (o *Publisher) due(kind channel.Notice, content string) bool {
	return o.changed(kind, content) || o.expired(kind)
}

func (o *Publisher) changed(kind channel.Notice, content string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.notices[kind]
	return n == nil || n.content != content
}

// expired reports whether the newest note is older than Reissue, or from the future: the clock went
// back.
func (o *Publisher) expired(kind channel.Notice) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.notices[kind]
	if n == nil {
		return true
	}
	age := o.Now().Sub(n.issued)
	return age < 0 || age >= o.Reissue
}

func (o *Publisher) set(kind channel.Notice, note []byte, content string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notices[kind] = &notice{note: note, content: content, issued: o.Now()}
}

// publish sends the notes that were not sent over this connection. A relay that was away, or has a
// new disk, gets them all.
func (w *noticeLoop) publish(ctx context.Context) {
	connected := w.Channel.Connected()
	if !connected || !w.connected {
		w.forget()
	}
	if w.connected = connected; !connected {
		return
	}
	for _, kind := range noticeOrder() {
		n := w.unsent(kind)
		if n == nil {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, noticeTimeout)
		err := w.Channel.PublishNotice(limited, kind, n.note)
		cancel()
		if err != nil {
			if !w.logged && ctx.Err() == nil {
				w.Logger.Warn("a notice waits for the channel", "notice", kind, "error", err)
			}
			w.logged = true
			return
		}
		w.logged = false
		w.mu.Lock()
		n.sent = true
		w.mu.Unlock()
	}
}

func (o *Publisher) forget() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.notices {
		n.sent = false
	}
}

func (o *Publisher) unsent(kind channel.Notice) *notice {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.notices[kind]; n != nil && !n.sent {
		return n
	}
	return nil
}

// directory signs and commits the next directory; by is who wants it. A crash after the commit
// costs a serial: the next start issues another one.
func (o *Publisher) directory(ctx context.Context, by book.Event) (serial uint64, err error) {
	o.issuing.Lock()
	defer o.issuing.Unlock()
	signer, err := o.signer()
	if err != nil {
		return 0, err
	}
	var (
		signed  envelope.Signed[envelope.Directory]
		content string
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
		content, serial = directoryContent(keys, v.Relays), v.Directory+1
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
	o.set(channel.NoticeDirectory, signed.Note, content)
	return serial, nil
}

// directoryContent returns a directory's keys and relays.
func directoryContent(keys []envelope.DirectoryKey, relays []string) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(string(k.Name) + " ")
	}
	return b.String() + "/ " + strings.Join(relays, " ")
}

func (o *Publisher) issueMembers(ctx context.Context) error {
	signer, err := o.signer()
	if err != nil {
		return err
	}
	var (
		signed  envelope.Signed[envelope.Members]
		content string
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
		content = membersContent(list)
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
	o.set(channel.NoticeMembers, signed.Note, content)
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

// memberOf returns a merchant as relays see it.
func memberOf(m book.Merchant) (envelope.Member, error) {
	keys, err := parse(m.Verifiers)
	status := envelope.MemberSuspended
	if m.Status == book.MerchantActive {
		status = envelope.MemberActive
	}
	return envelope.Member{ID: m.ID, Verifiers: keys, Status: status}, err
}

func membersContent(list []envelope.Member) string {
	var b strings.Builder
	for _, m := range list {
		b.WriteString(memberContent(m))
	}
	return b.String()
}

func memberContent(m envelope.Member) string { return fmt.Sprintln(m.ID, m.Status, m.Verifiers) }

// parse parses vkeys of the ledger.
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
