package settle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/simulator/byhand"
	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// scripted is a counter whose host is written by hand and says of each kind of message what a
// script has for each try, "" being nothing; the last word is said for ever. What has none is
// approved.
type scripted struct {
	*counter
	byHand *byhand.Host
	script map[string][]byhand.Answer // by the first three digits of the message type
}

func newScripted(t *testing.T, dialect *iso8583.Dialect, script map[string][]byhand.Answer) *scripted {
	t.Helper()
	s := &scripted{counter: newCounter(t, time.Second), script: script}
	h, err := byhand.Listen(func(m byhand.Message) byhand.Answer {
		words := s.script[m.Type[:3]]
		if len(words) == 0 {
			return byhand.Answer{Code: "00", Approval: "A1B2C3"}
		}
		return words[min(m.Times, len(words))-1]
	})
	s.must(err)
	s.byHand = h
	client := iso8583.New(iso8583.Config{Address: h.Addr(), AnswerTimeout: 100 * time.Millisecond, Dialect: dialect})
	t.Cleanup(func() { _ = client.Close(); _ = h.Close() })
	s.client = client
	return s
}

// codes are answers with these codes, of the message's own amount.
func codes(list ...string) (answers []byhand.Answer) {
	for _, code := range list {
		answers = append(answers, byhand.Answer{Code: code})
	}
	return answers
}

// of lists the types of the messages of a class that came, which must all have one trace number and
// time.
func (s *scripted) of(class string) (types []string) {
	s.t.Helper()
	traces := map[string]bool{}
	for _, m := range s.byHand.Heard() {
		if strings.HasPrefix(m.Type, class) {
			types = append(types, m.Type)
			traces[m.STAN+m.Sent+m.RRN] = true
		}
	}
	if len(traces) > 1 {
		s.t.Errorf("messages %v have %d trace numbers: %v", types, len(traces), s.byHand.Heard())
	}
	return types
}

// said lists the codes that the log's events about a payment keep, in their order; "-" is none.
func (s *scripted) said(id string) (codes []string) {
	s.t.Helper()
	size := s.logSize()
	s.View(func(tx *ledger.Tx) error {
		codes = nil
		for i := range size {
			entry, err := tx.LogEntry(uint64(i))
			if err != nil {
				return err
			}
			of, code := "", envelope.Code("")
			switch b := entry.Event.Body.(type) {
			case book.CaptureIntended:
				of, code = b.ID, b.Code
			case book.CaptureAnswered:
				of, code = b.ID, b.Code
			case book.CaptureAbandoned:
				of, code = b.ID, b.Code
			case book.AuthorisationUnanswered:
				of, code = b.ID, b.Code
			case book.ReversalIntended:
				of, code = b.ID, b.Code
			case book.ReversalAnswered:
				of, code = b.ID, b.Code
			case book.ReversalAbandoned:
				of, code = b.ID, b.Code
			}
			if of == id {
				codes = append(codes, strings.TrimPrefix(string(code)+"-", "iso-"))
			}
		}
		return nil
	})
	for i, c := range codes {
		if c != "-" {
			codes[i] = strings.TrimSuffix(c, "-")
		}
	}
	return codes
}

// TestAnswersToACapture: what a 0230 says stands, is repeated under the same trace number, or goes
// to a person at once, and never declines.
func TestAnswersToACapture(t *testing.T) {
	for _, c := range []struct {
		script string // what is said to the tries
		stage  book.Stage
		code   envelope.Code
		told   []envelope.Status
		types  []string
		said   string // what the log keeps
	}{
		{"00", book.StageCaptured, "iso-00", results("captured"), sent("0220"), "- 00"},
		{"_ 94", book.StageCaptured, "iso-94", results("captured"), sent("0220", "0221"), "- - 94"},
		{"91 00", book.StageCaptured, "iso-00", results("captured"), sent("0220", "0221"), "- 91 00"},
		{"96 _ 94", book.StageCaptured, "iso-94", results("captured"), sent("0220", "0221", "0221"), "- 96 - 94"},
		{"05 51 00", book.StageCaptured, "iso-00", results("captured"), sent("0220", "0221", "0221"), "- 05 51 00"},
		{"Z9 00", book.StageCaptured, "iso-00", results("captured"), sent("0220", "0221"), "- Z9 00"},
		// of another capture, for this one was never sent before
		{"94", book.StageManual, "iso-94", results("unknown"), sent("0220"), "- 94"},
		{"12", book.StageManual, "iso-12", results("unknown"), sent("0220"), "- 12"},
		{"13", book.StageManual, "iso-13", results("unknown"), sent("0220"), "- 13"},
		{"14", book.StageManual, "iso-14", results("unknown"), sent("0220"), "- 14"},
		{"91 25", book.StageManual, "iso-25", results("unknown"), sent("0220", "0221"), "- 91 25"},
		{"_ 30", book.StageManual, "iso-30", results("unknown"), sent("0220", "0221"), "- - 30"},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, nil, map[string][]byhand.Answer{"022": codes(words(c.script)...)})
			hold := s.send(s.shop.Authorize(5000))
			s.finish(s.engine(nil))
			capture := s.send(s.shop.Capture(hold, 3000))
			s.finish(s.engine(nil))
			s.want("the capture", capture, c.stage, c.code, c.told...)
			if types := s.of("022"); !slices.Equal(types, c.types) {
				t.Errorf("sent %v, want %v", types, c.types)
			}
			if said := strings.Join(s.said(capture), " "); said != c.said {
				t.Errorf("the log keeps %q, want %q", said, c.said)
			}
			if p := s.Payment("shop-1", hold); p.Capturing != 3000 {
				t.Errorf("%d of the authorisation is under way or captured: the shop could capture again", p.Capturing)
			}
		})
	}
}

// TestAnswersToAReversal: likewise of a 0430, but that a host that has no such original, or has
// reversed it before, holds nothing.
func TestAnswersToAReversal(t *testing.T) {
	for _, c := range []struct {
		script string
		stage  book.Stage
		told   []envelope.Status
		types  []string
		said   string
	}{
		{"94", book.StageReversed, results("unknown", "reversed"), sent("0420"), "- - 94"},
		{"_ 94", book.StageReversed, results("unknown", "reversed"), sent("0420", "0421"), "- - - 94"},
		{"25", book.StageReversed, results("unknown", "reversed"), sent("0420"), "- - 25"},
		{"21", book.StageReversed, results("unknown", "reversed"), sent("0420"), "- - 21"},
		{"91 96 05 00", book.StageReversed, results("unknown", "reversed"), sent("0420", "0421", "0421", "0421"), "- - 91 96 05 00"},
		{"12", book.StageManual, results("unknown"), sent("0420"), "- - 12"},
		{"91 30", book.StageManual, results("unknown"), sent("0420", "0421"), "- - 91 30"},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, nil, map[string][]byhand.Answer{"020": codes(""), "042": codes(words(c.script)...)})
			sale := s.send(s.shop.Sale())
			s.finish(s.engine(nil))
			s.want("the sale", sale, c.stage, s.Payment("shop-1", sale).Code, c.told...)
			if types := s.of("042"); !slices.Equal(types, c.types) {
				t.Errorf("sent %v, want %v", types, c.types)
			}
			if said := strings.Join(s.said(sale), " "); said != c.said {
				t.Errorf("the log keeps %q, want %q", said, c.said)
			}
		})
	}
}

// TestWhatACapturesFirstTryWasAnsweredWith goes along with its repeats: a host that calls the first
// a duplicate has not booked it, and says so of every other.
func TestWhatACapturesFirstTryWasAnsweredWith(t *testing.T) {
	s := newScripted(t, nil, map[string][]byhand.Answer{"022": codes("91", "96", "", "00")})
	hold := s.send(s.shop.Authorize(5000))
	s.finish(s.engine(nil))
	capture := s.send(s.shop.Capture(hold, 3000))
	var firsts []string
	line := &spy{Acquirer: s.client, capture: func(r acquirer.Capture) error { firsts = append(firsts, r.First); return nil }}
	s.finish(s.engine(func(cfg *Config) { cfg.Acquirer = line }))
	s.want("the capture", capture, book.StageCaptured, "iso-00", "captured")
	if !slices.Equal(firsts, []string{"", "91", "91", "91"}) {
		t.Errorf("the tries went with %q", firsts)
	}
}

// TestAVoidThatTheHostHas: 94 to the repeat of a void's reversal voids, and a person's code is told
// to nobody as an answer that never came.
func TestAVoidThatTheHostHas(t *testing.T) {
	for _, c := range []struct {
		script string
		stage  book.Stage // of the sale
		void   book.Stage
		code   envelope.Code
		told   []envelope.Status
	}{
		{"_ 94", book.StageVoided, book.StageDone, "iso-94", results("voided")},
		{"12", book.StageManual, book.StageWaiting, "iso-12", results("unknown")},
	} {
		s := newScripted(t, nil, map[string][]byhand.Answer{"042": codes(words(c.script)...)})
		s.while(s.engine(nil), func() {
			sale := s.send(s.shop.Sale())
			waittest.For(t, "the sale to be approved", func() bool { return s.stage(sale) == book.StageApproved })
			void := s.send(s.shop.Void(sale))
			waittest.For(t, "the void's end", func() bool { return s.stage(sale) == c.stage })
			s.want("the sale", sale, c.stage, "iso-00", "approved")
			s.want("the void", void, c.void, c.code, c.told...)
		})
	}
}

// TestAnswersToARequest: 00 approves, refusals of the public table decline, and everything else is
// taken back, with its code in the log.
func TestAnswersToARequest(t *testing.T) {
	const asked = 1999
	reversed := []envelope.Status{"unknown", "reversed"}
	for _, c := range []struct {
		answer  byhand.Answer
		dialect string // more codes that approve
		told    []envelope.Status
	}{
		{byhand.Answer{Code: "00", Approval: "A1B2C3"}, "", results("approved")},
		{byhand.Answer{Code: "08", Approval: "A1B2C3"}, "", reversed},
		{byhand.Answer{Code: "10", Approval: "A1B2C3"}, "", reversed},
		{byhand.Answer{Code: "10", Approval: "A1B2C3", Amount: asked / 2}, "", reversed},
		{byhand.Answer{Code: "11", Approval: "A1B2C3"}, "", reversed},
		{byhand.Answer{Code: "16", Approval: "A1B2C3"}, "", reversed},
		{byhand.Answer{Code: "85", Approval: "A1B2C3"}, "", reversed},
		{byhand.Answer{Code: "06"}, "", reversed},
		{byhand.Answer{Code: "09"}, "", reversed},
		{byhand.Answer{Code: "20"}, "", reversed},
		{byhand.Answer{Code: "32"}, "", reversed},
		{byhand.Answer{Code: "68"}, "", reversed},
		{byhand.Answer{Code: "94"}, "", reversed},
		{byhand.Answer{Code: "T3"}, "", reversed},
		{byhand.Answer{Code: "05"}, "", results("declined")},
		{byhand.Answer{Code: "51"}, "", results("declined")},
		{byhand.Answer{Code: "91"}, "", results("declined")},
		{byhand.Answer{Code: "96"}, "", results("declined")},
		{byhand.Answer{Code: "08", Approval: "A1B2C3"}, `"08": "whole"`, results("approved")},
		{byhand.Answer{Code: "10", Approval: "A1B2C3"}, `"10": "part"`, results("approved")},
		{byhand.Answer{Code: "10", Approval: "A1B2C3", Amount: asked / 2}, `"10": "part"`, reversed},
		{byhand.Answer{Code: "16", Approval: "A1B2C3"}, `"08": "whole"`, reversed},
	} {
		t.Run(fmt.Sprintf("%+v %s", c.answer, c.dialect), func(t *testing.T) {
			t.Parallel()
			answers := []byhand.Answer{c.answer}
			s := newScripted(t, approving(t, c.dialect), map[string][]byhand.Answer{"010": answers, "020": answers})
			draft := s.shop.Sale()
			draft.Order = vaulttest.Order(asked, "USD", "order 1")
			for id, request := range map[string]string{s.send(draft): "0200", s.send(s.shop.Authorize(asked)): "0100"} {
				s.finish(s.engine(nil))
				p := s.Payment("shop-1", id)
				s.want(request, id, p.Stage, p.Code, c.told...)
				said := strings.Join(s.said(id), " ")
				if c.told[0] == "unknown" && said != c.answer.Code+" - 00" || c.told[0] != "unknown" && (said != "" || p.Code != envelope.ISOCode(c.answer.Code)) {
					t.Errorf("%s is %s %s; the log keeps %q", request, p.Stage, p.Code, said)
				}
				undone := slices.ContainsFunc(s.byHand.Heard(), func(m byhand.Message) bool {
					return m.Type == "0420" && strings.HasPrefix(m.Original, request+fmt.Sprintf("%06d", p.Trace.STAN)) && m.Amount == asked
				})
				if undone != (c.told[0] == "unknown") {
					t.Errorf("%s: a reversal was sent: %v", request, undone)
				}
				s.noParts(id)
			}
		})
	}
}

// TestAnAnswerNeverDeclinesACapture: nothing in this process can write one that does.
func TestAnAnswerNeverDeclinesACapture(t *testing.T) {
	s := newScripted(t, nil, map[string][]byhand.Answer{"022": codes("")})
	hold := s.send(s.shop.Authorize(5000))
	s.finish(s.engine(nil))
	capture := s.send(s.shop.Capture(hold, 3000))
	s.while(s.engine(func(cfg *Config) { cfg.ReversalRetry, cfg.Drain = time.Hour, time.Millisecond }), func() {
		waittest.For(t, "the capture to be sent", func() bool { return s.stage(capture) == book.StageCapturing })
	})
	err := s.Ledger.Commit(t.Context(), func(tx *ledger.Tx) error {
		return appendEvent(tx, "acquirer", "host", "shop-1", book.CaptureAnswered{ID: capture, Code: "iso-94"})
	})
	if !errors.Is(err, book.ErrTransition) || !strings.Contains(err.Error(), "cannot decline") {
		t.Errorf("a declining answer is written: %v", err)
	}
}

// approving is the built-in dialect with more codes that approve; nil for none.
func approving(t *testing.T, more string) *iso8583.Dialect {
	t.Helper()
	if more == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join("..", "acquirer", "iso8583", "ascii1987.json"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "theirs.json")
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), `"00": "whole"`, `"00": "whole", `+more, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := iso8583.LoadDialect(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func results(statuses ...envelope.Status) []envelope.Status { return statuses }

func sent(types ...string) []string { return types }

// words splits a script; "_" is no answer.
func words(script string) []string {
	list := strings.Fields(script)
	for i := range list {
		list[i] = strings.TrimPrefix(list[i], "_")
	}
	return list
}
