package simulation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settle"
)

// resolve does what a person does with payments that nothing was answered about: asks the acquirer
// what became of them, and tells the vault.
func (w *world) resolve() {
	for _, p := range w.at(book.StageManual) {
		w.revive()
		_ = w.say(w.process.engine, p) // it is told how it ended, and what is left is asked again
	}
}

// at reads the payments of some stages.
func (w *world) at(stages ...book.Stage) (found []book.Payment) {
	w.view(func(tx *ledger.Tx) error {
		found = nil
		for _, stage := range stages {
			err := tx.Payments(ledger.Query{Stage: stage}, func(p book.Payment) error {
				found = append(found, p)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return found
}

// resolveEarly does what a person does who need not wait for the end of the repeating: the
// acquirer's book says that what is repeated has happened, which no message that is still on its
// way can change.
func (w *world) resolveEarly() {
	for _, p := range w.at(book.StageUnknown, book.StageVoiding, book.StageCapturing) {
		w.revive()
		as := became(p, w.transactions())
		if as == envelope.StatusApproved || as == envelope.StatusDeclined {
			continue
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		err := w.process.engine.Resolve(ctx, p.Merchant, p.ID, as, "the acquirer's book says so", person())
		cancel()
		w.did(fmt.Sprintf("resolve %s as %s while it is repeated", p.ID, as), err)
	}
}

// resend has whatever was repeated in vain be sent again.
func (w *world) resend() {
	w.revive()
	n, err := w.process.engine.ResendAll(w.t.Context(), "", "the acquirer asks for it", person())
	w.did(fmt.Sprintf("send %d again", n), err)
}

// became is what the acquirer's book says of a payment at manual.
func became(p book.Payment, records map[host.Key]host.Transaction) envelope.Status {
	t, there := records[keyOf(p)]
	stands := there && standing(t)
	switch {
	case p.Flow() == book.FlowCapture && stands:
		return envelope.StatusCaptured
	case p.Flow() == book.FlowCapture:
		return envelope.StatusDeclined
	case stands:
		return envelope.StatusApproved
	case p.Void != "":
		return envelope.StatusVoided
	}
	return envelope.StatusReversed
}

// bankDay has the bank read the outbox, and answer what it read once that is due. The vault takes
// the answers; of some it is offered damaged ones before, and others twice.
func (w *world) bankDay() {
	w.must(w.bank.Step())
	w.vault.Clock.Pass(2 * time.Hour)
	w.must(w.bank.Step())
	for _, name := range w.fresh() {
		content := w.answer(name)
		if w.draw.IntN(2) == 0 {
			defect := defects[w.draw.IntN(len(defects))]
			w.takeDamaged(name, strings.Join(defect.make(strings.Split(content, "\n")), "\n"), defect.what, defect.odd)
		}
		w.take(name, content)
		w.taken[name] = true
		if w.draw.IntN(3) == 0 {
			w.take("again-"+name, content)
		}
	}
}

// answer reads a file of the bank's.
func (w *world) answer(name string) string {
	content, err := os.ReadFile(filepath.Join(w.returns, name))
	w.must(err)
	return string(content)
}

// fresh lists the bank's files that were not taken yet.
func (w *world) fresh() (names []string) {
	list, err := os.ReadDir(w.returns)
	w.must(err)
	for _, f := range list {
		if !w.taken[f.Name()] {
			names = append(names, f.Name())
		}
	}
	return names
}

// take has the vault take a file of the bank, which it has to.
func (w *world) take(name, content string) {
	w.do("take the bank's file "+name, func(e *settle.Engine) error {
		done, err := e.ImportAnswers(w.t.Context(), name, strings.NewReader(content), person())
		if err == nil {
			w.story.line("  %d returns, %d notices, %d acknowledgements, %d repeats, already %v", done.Returns, done.Changes, done.Acknowledgements, done.Repeats, done.Already)
		}
		return err
	})
}

// takeDamaged offers the vault a file of the bank with a defect, which it has to refuse whole; or,
// where one entry is odd, to take without that.
func (w *world) takeDamaged(name, content, defect string, odd bool) {
	w.revive()
	done, err := w.process.engine.ImportAnswers(w.t.Context(), name, strings.NewReader(content), person())
	w.story.line("offered the bank's file %s with a defect (%s): %v", name, defect, err)
	if odd && err == nil && done.LeftCount == 1 {
		return
	}
	if w.process.fate.alive() && !errors.Is(err, settle.ErrAnswerFile) {
		w.fail("a file of the bank with a defect (%s) was not refused: %v", defect, err)
	}
}

// defects of the bank's files, and what makes each of a good one.
var defects = []struct {
	what string
	make func(lines []string) []string
	odd  bool // the control records hold: one entry is odd, unless there was none to make so
}{
	{"another number of entries", func(lines []string) []string { return alter(lines, "9", 13, "00009") }, false},
	{"another hash", func(lines []string) []string { return alter(lines, "9", 21, "0000000009") }, false},
	{"a trace number of nobody's", func(lines []string) []string { return alter(lines, "799", 14, "9999998") }, true},
	{"cut behind its first entry", func(lines []string) []string { return lines[:3] }, false},
	{"a line too many", func(lines []string) []string { return append([]string{lines[0]}, lines...) }, false},
}

// alter writes over part of the first line that begins so; a file without one, of acknowledgements
// alone, is cut.
func alter(lines []string, begins string, at int, text string) []string {
	for i, line := range lines {
		if strings.HasPrefix(line, begins) && !strings.HasPrefix(line, "99999") {
			lines[i] = line[:at] + text + line[at+len(text):]
			return lines
		}
	}
	return lines[:2]
}
