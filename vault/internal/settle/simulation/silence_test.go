package simulation

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// silence is what an acquirer's host does for a time: it takes messages about payments and answers
// none, though it answers echo tests.
type silence struct {
	mu    sync.Mutex
	until time.Time
	books bool // it does what it is told, and only its answers are lost
}

// begin has the host be silent for a time, from now.
func (s *silence) begin(d time.Duration, books bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until, s.books = time.Now().Add(d), books
}

// left is how long it lasts.
func (s *silence) left() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.until)
}

// loses reports whether a message of a type is lost on its way to the host, or from it.
func (s *silence) loses(kind string, fromHost bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !strings.HasPrefix(kind, "08") && time.Now().Before(s.until) && s.books == fromHost
}

// silentConn is a connection to a host that may be silent.
type silentConn struct {
	net.Conn
	silence *silence
	left    []byte // of the frame that is being read
}

// kindOf is the message type of a frame: two bytes of length, then the type.
func kindOf(frame []byte) string {
	if len(frame) < 6 {
		return ""
	}
	return string(frame[2:6])
}

func (c *silentConn) Write(frame []byte) (int, error) {
	if c.silence.loses(kindOf(frame), false) {
		return len(frame), nil
	}
	return c.Conn.Write(frame)
}

func (c *silentConn) Read(b []byte) (int, error) {
	for len(c.left) == 0 {
		var length [2]byte
		if n, err := io.ReadFull(c.Conn, length[:]); err != nil {
			c.left = length[:n]
			break
		}
		frame := append(length[:], make([]byte, binary.BigEndian.Uint16(length[:]))...)
		n, err := io.ReadFull(c.Conn, frame[2:])
		if err != nil || !c.silence.loses(kindOf(frame), true) {
			c.left = frame[:2+n]
		}
	}
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}

// silenced has the host be silent, for minutes or hours, while envelopes come.
func (w *world) silenced() {
	d := []time.Duration{time.Minute, 4 * time.Minute, 15 * time.Minute, 100 * time.Minute}[w.draw.IntN(4)]
	books := w.draw.IntN(2) == 0
	w.story.line("the host is silent for %s (it books: %v)", d, books)
	w.host.silence.begin(d, books)
	w.post(w.anything(), w.anything())
	time.Sleep(time.Duration(w.draw.Int64N(int64(d))))
	w.post(w.anything())
}

// evening moves the vault's clock on to a moment before its next midnight.
func (w *world) evening() {
	now := w.vault.Clock.Now().UTC()
	w.story.line("it is nearly midnight")
	w.vault.Clock.Pass(now.Truncate(24*time.Hour).Add(24*time.Hour).Sub(now) - time.Duration(w.draw.IntN(2500))*time.Millisecond)
	w.post(w.anything())
}

// TestOutages of a host that takes messages and answers none, for minutes and for hours and over
// midnight, leave nothing to a person: when it answers again everything is reversed or captured,
// orders that came meanwhile are sent or were refused in time, and the books are equal.
func TestOutages(t *testing.T) {
	for _, outage := range []time.Duration{3 * time.Minute, 3 * time.Hour} {
		for _, books := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, it books %v", outage, books), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, plan{seed: 7, shops: 1, outstanding: 8, silences: 4, repeatFor: 24 * time.Hour})
					w.start(0)
					w.outage(outage, books)
					if len(w.faults) > 0 {
						t.Errorf("%s\n%s", strings.Join(w.faults, "\n"), w.story)
					}
				})
			})
		}
	}
}

func (w *world) outage(outage time.Duration, books bool) {
	shop := w.shops[0]
	w.vault.Clock.Pass(11 * time.Hour) // it is an hour before midnight
	first := w.post(shop.Sale(), shop.Sale(), shop.Authorize(5000), shop.Authorize(7000), shop.Authorize(900))
	w.rest()
	w.host.silence.begin(outage, books)
	w.post(shop.Void(first[0]), shop.Capture(first[2], 2000), shop.Capture(first[2], 3000), shop.Void(first[4]))
	patient := func() vaulttest.Draft {
		d := shop.Sale()
		d.Until = d.Created.Add(6 * 24 * time.Hour)
		return d
	}
	for range 30 {
		w.post(patient())
		time.Sleep(200 * time.Millisecond)
	}
	if since, _ := w.process.engine.Silent(); since.IsZero() {
		w.fail("the breaker is closed while the host is silent")
	}
	time.Sleep(outage / 2)
	w.end()
	w.start(0) // which goes on where the other stopped
	w.post(patient())
	if p := w.manual(); p > 0 {
		w.fail("%d payments are left to a person", p)
	}
	time.Sleep(w.host.silence.left() + 2*time.Minute) // a probe comes every minute
	if since, _ := w.process.engine.Silent(); !since.IsZero() {
		w.fail("the breaker is open two minutes after the host answers again")
	}
	w.rest()
	if p := w.manual(); p > 0 {
		w.fail("%d payments are left to a person", p)
	}
	for _, kind := range []book.Finding{book.FindingHostSilent, book.FindingHostAnswers} {
		if n := w.vault.State().Findings[kind]; n != 1 {
			w.fail("%d findings %s", n, kind)
		}
	}
	unknown, refused := 0, 0
	for _, p := range w.payments(nil) {
		switch p.Stage {
		case book.StageReversed:
			unknown++
		case book.StageRejected:
			refused++
			if p.Code != envelope.CodeNoAnswer {
				w.fail("%s was refused with %s", p.ID, p.Code)
			}
		}
		if p.Tries > 400 {
			w.fail("a message about %s was sent %d times in a day", p.ID, p.Tries)
		}
	}
	if unknown == 0 || unknown > 12+int(2*outage/time.Hour) {
		w.fail("%d sales of 30 were sent to a silent host", unknown)
	}
	if outage < time.Hour && refused > 4 { // which were about to leave when the vault stopped
		w.fail("%d sales were refused in an outage of minutes", refused)
	}
	w.finish()
	w.compare()
}

// manual counts the payments that wait for a person.
func (w *world) manual() (n int) {
	for _, p := range w.payments(nil) {
		if p.Stage == book.StageManual {
			n++
		}
	}
	return n
}
