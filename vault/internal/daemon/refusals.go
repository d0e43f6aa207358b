package daemon

import (
	"context"
	"sync"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

// maxRefusals bounds the kinds of refusals that wait for the log; further ones are one kind.
const maxRefusals = 256

// refusals keeps refusals for the log, as nothing can be sealed while the vault is locked. Those of
// a daemon that ends locked stand in its process's log only. It is safe for concurrent use.
type refusals struct {
	mu      sync.Mutex
	waiting []refusal
}

type refusal struct {
	actor operator.Actor
	body  book.AccessRefused
}

// add counts one refusal at this moment.
func (r *refusals) add(actor operator.Actor, call string, code control.Code, now envelope.Time) {
	r.merge(refusal{actor, book.AccessRefused{Call: call, Code: string(code), Times: 1, First: now, Last: now}})
}

// merge adds refusals to those of their kind.
func (r *refusals) merge(more ...refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range more {
		if r.count(one) {
			continue
		}
		if len(r.waiting) >= maxRefusals {
			one.actor, one.body.Call, one.body.Code = operator.Actor{Name: control.UnknownPeer, Origin: "socket"}, "calls of too many kinds", string(control.CodeNotAllowed)
			if r.count(one) {
				continue
			}
		}
		r.waiting = append(r.waiting, one)
	}
}

// count adds one to those of its kind, if there are any.
func (r *refusals) count(one refusal) bool {
	for i := range r.waiting {
		known := &r.waiting[i]
		if known.actor != one.actor || known.body.Call != one.body.Call || known.body.Code != one.body.Code {
			continue
		}
		known.body.Times += one.body.Times
		if one.body.First.Before(known.body.First.Time) {
			known.body.First = one.body.First
		}
		if known.body.Last.Before(one.body.Last.Time) {
			known.body.Last = one.body.Last
		}
		return true
	}
	return false
}

func (r *refusals) drain() []refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.waiting
	r.waiting = nil
	return all
}

// refused counts a refusal and, on an unlocked vault, commits it.
func (d *Daemon) refused(actor operator.Actor, call string, code control.Code) {
	d.refusals.add(actor, call, code, envelope.At(d.config.Now()))
	u, err := d.current()
	if err != nil {
		return
	}
	all := d.refusals.drain()
	if err := u.commit(context.Background(), eventsOf(all)...); err != nil {
		d.refusals.merge(all...)
		d.config.Logger.Warn("a refusal is not in the log", "call", call, "error", err)
	}
}

func eventsOf(all []refusal) (events []book.Event) {
	for _, one := range all {
		events = append(events, one.actor.Event("", one.body))
	}
	return events
}

// logStart commits that this process began, and what it refused since. After a crash before the
// commit only the process's log has them.
func (u *unlocked) logStart(ctx context.Context, d *Daemon) error {
	all := d.refusals.drain()
	started := book.Event{Actor: "vault", Origin: "start", Body: book.VaultStarted{Version: d.config.Version, At: d.started}}
	err := u.commit(ctx, append([]book.Event{started}, eventsOf(all)...)...)
	if err != nil {
		d.refusals.merge(all...)
	}
	return err
}
