package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/ops/simulator/host"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// deafLine is a line to the acquirer's host on which, while it is deaf, messages about payments go
// in and none of them comes out at the other end; echo tests do.
type deafLine struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	deaf  bool
	taken map[string]int // by message type, while it was deaf
}

func newDeafLine(t *testing.T, to string) *deafLine {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &deafLine{listener: listener, to: to, taken: map[string]int{}}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
			go func() { l.pass(far, near); _ = far.Close() }()
		}
	}()
	return l
}

// pass carries frames, two bytes of length and a message, as long as they come.
func (l *deafLine) pass(to io.Writer, from io.Reader) {
	for {
		var length [2]byte
		if _, err := io.ReadFull(from, length[:]); err != nil {
			return
		}
		message := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(from, message); err != nil {
			return
		}
		if l.loses(string(message[:4])) {
			continue
		}
		if _, err := to.Write(append(length[:], message...)); err != nil {
			return
		}
	}
}

func (l *deafLine) loses(kind string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.deaf || strings.HasPrefix(kind, "08") {
		return false
	}
	l.taken[kind]++
	return true
}

func (l *deafLine) set(deaf bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = deaf
}

// count is how many messages of these types were taken while it was deaf.
func (l *deafLine) count(kinds ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range kinds {
		n += l.taken[kind]
	}
	return n
}

// deafSite is a site whose vault reaches the acquirer's host over a deaf line.
func deafSite(t *testing.T, repeatFor string) (s *site, line *deafLine, stop func()) {
	t.Helper()
	s = newSite(t)
	line = newDeafLine(t, s.acquirer.Addr())
	s.configure(map[string]string{s.acquirer.Addr(): line.listener.Addr().String(), `answer_timeout = "20s"`: `answer_timeout = "300ms"`,
		`reversal_retry = "5s"`: `reversal_retry = "20ms"`, `repeat_every = "5m"`: `repeat_every = "400ms"`,
		`repeat_for = "24h"`: fmt.Sprintf("repeat_for = %q", repeatFor), "silences = 10": "silences = 3", "outstanding = 64": "outstanding = 4"})
	stop = s.serve()
	s.enrol()
	s.wait("the line to the acquirer", func() bool { return s.status().Acquirer == "ready" })
	return s, line, stop
}

func (s *site) status() (st control.Status) {
	s.t.Helper()
	s.json(&st, "status")
	return st
}

func (s *site) stages() (stages map[book.Stage]int, all []control.Payment) {
	s.t.Helper()
	s.json(&all, "payment", "list", "--all")
	stages = map[book.Stage]int{}
	for _, p := range all {
		stages[p.Status]++
	}
	return stages, all
}

// TestHostThatIsSilentForAWhile takes messages and answers none, though it echoes: no more than a
// handful of sales is sent to it, none is left to a person however often its reversal is repeated,
// status tells, a person ends one, and when the host answers again the rest goes on.
func TestHostThatIsSilentForAWhile(t *testing.T) {
	s, line, stop := deafSite(t, "24h")
	line.set(true)
	s.post(101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120)
	s.wait("the host to be found silent", func() bool { return s.status().HostSilent != nil })
	s.wait("reversals to be repeated more than six times each", func() bool {
		stages, all := s.stages()
		for _, p := range all {
			if p.Status == book.StageUnknown && p.Tries < 8 {
				return false
			}
		}
		return stages[book.StageUnknown] > 0
	})
	if n := line.count("0200"); n < 3 || n > 8 {
		t.Errorf("%d sales were sent to a host that answers none", n)
	}
	stages, all := s.stages()
	st := s.status()
	if r := st.Repeating[control.RepeatReversals]; stages[book.StageManual] != 0 || r.Payments != stages[book.StageUnknown] || time.Since(r.Oldest.Time) > time.Minute {
		t.Errorf("%v, and status tells %+v", stages, st.Repeating)
	}
	_, text := s.command("status")
	for _, want := range []string{"repeating reversals", "silent since", "new authorisations wait"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not tell %q:\n%s", want, text)
		}
	}
	s.resolveOne(all)
	line.set(false)
	s.wait("every payment to have an outcome", func() bool {
		stages, _ := s.stages()
		return stages[book.StageApproved]+stages[book.StageReversed] == 20
	})
	s.wait("the end of the silence to be in the log", func() bool { return s.status().Findings[book.FindingHostAnswers] == 1 })
	if st = s.status(); st.HostSilent != nil || !st.Ready.Acquirer || st.Acquirer != "ready" || len(st.Repeating) != 0 || st.Findings[book.FindingHostSilent] != 1 || st.Findings[book.FindingHostAnswers] != 1 {
		t.Errorf("afterwards status tells %+v", st)
	}
	stages, _ = s.stages()
	s.verifyLog()
	stop()
	s.checkLedger()
	if held, err := host.ReadBook(s.book); err != nil || held.Charged != stages[book.StageApproved] || len(held.Doubled) != 0 {
		t.Errorf("the host charged %d of %d (%v)", held.Charged, stages[book.StageApproved], err)
	}
}

// resolveOne has a person end the repeating of one payment.
func (s *site) resolveOne(all []control.Payment) {
	s.t.Helper()
	for _, p := range all {
		if p.Status != book.StageUnknown {
			continue
		}
		if code, _ := s.command("payment", "resolve", p.Name, "--as", "captured", "--reason", "acquirer, call 17"); code != 6 {
			s.t.Errorf("a sale resolved as captured: exit code %d", code)
		}
		var done control.Payment
		s.json(&done, "payment", "resolve", p.Name, "--as", "reversed", "--reason", "acquirer, call 17: never seen")
		if done.Status != book.StageReversed {
			s.t.Errorf("resolved, it is %s", done.Status)
		}
		time.Sleep(600 * time.Millisecond)
		var after control.Payment
		s.json(&after, "payment", "show", "shop-1/"+p.ID)
		if after.Tries != done.Tries {
			s.t.Errorf("its reversal was sent %d times after the person's word", after.Tries-done.Tries)
		}
		return
	}
	s.t.Error("nothing is repeated")
}

// TestResendCommand sends what was repeated in vain again, one and then all.
func TestResendCommand(t *testing.T) {
	s, line, stop := deafSite(t, "1s")
	line.set(true)
	s.post(201, 202, 203)
	s.wait("three sales that wait for a person", func() bool { stages, _ := s.stages(); return stages[book.StageManual] == 3 })
	_, all := s.stages()
	if _, text := s.command("status"); !strings.Contains(text, "vault payment resend --all") {
		t.Errorf("status does not say how to send again:\n%s", text)
	}
	reason := []string{"--reason", "acquirer, call 18: the host is up"}
	for _, test := range []struct {
		code int
		args []string
	}{
		{2, []string{all[0].Name}},
		{2, reason},
		{2, append([]string{all[0].Name, "--all"}, reason...)},
		{2, append([]string{all[0].ID}, reason...)},
		{2, append([]string{all[0].Name, "--merchant", "shop-1"}, reason...)},
		{2, []string{all[0].Name, "--reason", "card 4242 4242 4242 4242"}},
		{5, append([]string{"shop-1/0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07"}, reason...)},
		{5, append([]string{"--all", "--merchant", "nobody"}, reason...)},
	} {
		if code, _ := s.command(append([]string{"payment", "resend"}, test.args...)...); code != test.code {
			t.Errorf("vault payment resend %v: exit code %d, want %d", test.args, code, test.code)
		}
	}
	line.set(false)
	var done control.PaymentsResent
	s.json(&done, append([]string{"payment", "resend", all[0].Name}, reason...)...)
	s.wait("the first to be reversed", func() bool { stages, _ := s.stages(); return stages[book.StageReversed] == 1 && done.Resent == 1 })
	if code, _ := s.command(append([]string{"payment", "resend", all[0].Name}, reason...)...); code != 6 {
		t.Errorf("sending what is reversed again: exit code %d", code)
	}
	s.json(&done, append([]string{"payment", "resend", "--all"}, reason...)...)
	s.wait("all to be reversed", func() bool { stages, _ := s.stages(); return stages[book.StageReversed] == 3 && done.Resent == 2 })
	stop()
	s.checkLedger()
}
