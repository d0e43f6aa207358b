package replay

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/book"
)

// ErrStory is returned for a story whose proofs do not hold.
var ErrStory = errors.New("the story is not proved")

// ErrNoPayment is returned where no replayed entry is about a payment.
var ErrNoPayment = errors.New("the replayed entries are not about this payment: it was asked for wrongly, or is of another time")

// ErrOperation is returned for a capture, refund or void: it is in its payment's story.
var ErrOperation = errors.New("it is an operation on another payment, whose story has it")

const storyFormat = "nightdrop/story/v1"

// Story is a payment's entries of the log, with those of its captures, refunds and voids, its
// batches and their files, and a proof of each.
type Story struct {
	Format     string    `json:"format"`
	Merchant   string    `json:"merchant"`
	Payment    string    `json:"payment"`
	Checkpoint string    `json:"checkpoint"` // the vault's note
	Chapters   []Chapter `json:"entries"`
}

// Chapter is one entry.
type Chapter struct {
	Index int64           `json:"index"`
	Event json.RawMessage `json:"event"`           // as it was sealed: the auditor's statement
	Salt  []byte          `json:"salt"`            // proved
	Facts string          `json:"facts,omitempty"` // what the merchant was told: proved
	Entry string          `json:"entry"`           // hex SHA-256 of the sealed entry: proved
	Proof []tlog.Hash     `json:"proof"`           // of inclusion under the checkpoint
}

// collector picks a payment's entries from a replay.
type collector struct {
	story   *Story
	ids     []string // the payment's and those of its operations
	batches []uint32
	files   []string
	of      string // the payment that it is an operation on; "" where it is a payment
}

// StoryOf replays, and collects what is about one payment. The report has the replay's findings;
// the error is that of [Run], or [ErrNoPayment].
func StoryOf(ctx context.Context, o Options, merchant, id string) (*Story, *Report, error) {
	t := &collector{story: &Story{Format: storyFormat, Merchant: merchant, Payment: id, Checkpoint: string(o.Export.Signed())}, ids: []string{id}}
	if err := t.before(o.From); err != nil {
		return nil, nil, err
	}
	o.Watch = t.watch
	report, err := Run(ctx, o)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return nil, report, err
	}
	if t.of != "" {
		return nil, report, fmt.Errorf("ask for payment %s/%s: %w", merchant, t.of, ErrOperation)
	}
	if len(t.story.Chapters) == 0 {
		return nil, report, ErrNoPayment
	}
	hashes := o.Export.Hashes()
	for i := range t.story.Chapters {
		c := &t.story.Chapters[i]
		if c.Proof, err = tlog.ProveRecord(report.Size, c.Index, hashes); err != nil {
			return nil, report, err
		}
	}
	return t.story, report, nil
}

// before notes what is about the payment before the replayed entries.
func (t *collector) before(from *State) error {
	remember := func(p book.Payment) error { return t.remember(from.state.State, p) }
	p, found, err := from.state.Payment(t.story.Merchant, t.ids[0])
	if err != nil || !found {
		return err
	}
	t.of = p.Of
	if err := remember(p); err != nil {
		return err
	}
	return from.state.payments.Each(func(p book.Payment) error {
		if p.Merchant != t.story.Merchant || p.Of != t.ids[0] {
			return nil
		}
		t.ids = append(t.ids, p.ID)
		return remember(p)
	})
}

// remember keeps which batches and files a payment is of.
func (t *collector) remember(state *book.State, p book.Payment) error {
	if p.Batch != 0 && !slices.Contains(t.batches, p.Batch) {
		t.batches = append(t.batches, p.Batch)
	}
	files := []string{p.File}
	if p.Batch != 0 {
		batch, _, err := state.Batch(p.Batch)
		if err != nil {
			return err
		}
		files = append(files, batch.File)
	}
	for _, name := range files {
		if name != "" && !slices.Contains(t.files, name) {
			t.files = append(t.files, name)
		}
	}
	return nil
}

// about has the members by which events name what they are about.
type about struct {
	ID      string   `json:"id"`
	Of      string   `json:"of"`
	Batch   uint32   `json:"batch"`
	Batches []uint32 `json:"batches"`
	Name    string   `json:"name"` // of a file
}

func (t *collector) watch(s Step) error {
	if s.Event.Merchant != "" && s.Event.Merchant != t.story.Merchant {
		return nil
	}
	of, err := t.about(s.Event.Body)
	if err != nil || !t.concerns(s.Event, of) {
		return err
	}
	if s.Issued != nil && s.Issued.Facts.Payment != t.story.Payment {
		if of.ID == t.ids[0] && t.of == "" && s.Issued.Facts.Code != envelope.CodeIDConflict {
			t.of = s.Issued.Facts.Payment
		}
		// an envelope of the same id that was about another payment, in whose story it is
		return nil
	}
	if received, ok := s.Event.Body.(book.EnvelopeReceived); ok && received.ID == t.ids[0] {
		t.of = received.Of
	}
	if of.ID != "" {
		if err := t.follow(s, of); err != nil {
			return err
		}
	}
	t.story.Chapters = append(t.story.Chapters, Chapter{Index: s.Entry.Index, Event: s.Entry.Event, Salt: s.Entry.Salt, Facts: string(s.Facts),
		Entry: hex.EncodeToString(s.Entry.Record[32:])})
	return nil
}

// about reads what an event of a merchant or file is about.
func (t *collector) about(body book.Body) (of about, err error) {
	switch b := body.(type) {
	case book.BatchOpened, book.MerchantAdded, book.MerchantUpdated, book.MerchantPolicySet:
		return of, nil // before the payment, or of more than it
	case book.FileBegun:
		return about{Batches: b.Batches, Name: b.Name}, nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return of, err
	}
	err = json.Unmarshal(text, &of)
	return of, err
}

func (t *collector) concerns(e book.Event, of about) bool {
	switch e.Body.(type) {
	case book.FileBegun:
		return slices.ContainsFunc(of.Batches, func(n uint32) bool { return slices.Contains(t.batches, n) })
	case book.FileIntended, book.FileWritten:
		return slices.Contains(t.files, of.Name)
	}
	if of.ID != "" {
		return slices.Contains(t.ids, of.ID) || slices.Contains(t.ids[:1], of.Of)
	}
	return of.Batch != 0 && slices.Contains(t.batches, of.Batch)
}

// follow notes what else is about the payment from now on.
func (t *collector) follow(s Step, of about) error {
	if !slices.Contains(t.ids, of.ID) {
		t.ids = append(t.ids, of.ID)
	}
	p, found, err := s.State.Payment(t.story.Merchant, of.ID)
	if err != nil || !found {
		return err
	}
	return t.remember(s.State, p)
}

// Encode writes the story's file.
func (s *Story) Encode() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(s)
	return out.Bytes(), err
}

// maxStory bounds a story's file.
const maxStory = 64 << 20

// CheckStory reads a story's file and checks it without any key: that the vault signed a log with
// entries of these hashes at these places, which gave some merchant exactly these facts of this
// payment. Which merchant, the events themselves, and that entries without facts are about the
// payment, only the auditor who opened them says; whoever has a key of that time can compare the
// sealed entries by their hashes. It fails with [ErrStory], or with [ErrForm] where data is no
// story at all.
func CheckStory(data []byte, vault note.Verifier) (*Story, proof.Checkpoint, error) {
	var s Story
	var c proof.Checkpoint
	if !bytes.Contains(data[:min(len(data), 256)], []byte(`"nightdrop/story/`)) {
		return nil, c, fmt.Errorf("it is not a story, which `vault audit prove --out` writes: %w", ErrForm)
	}
	if len(data) > maxStory || decode(data, &s) != nil || s.Format != storyFormat || len(s.Chapters) == 0 {
		return nil, c, fmt.Errorf("it is not a story of this format, or damaged: %w", ErrStory)
	}
	c, err := proof.OpenCheckpoint([]byte(s.Checkpoint), vault)
	if err != nil {
		return nil, c, fmt.Errorf("its checkpoint: %w: %w", err, ErrStory)
	}
	before := int64(-1)
	for _, chapter := range s.Chapters {
		if chapter.Index <= before {
			return nil, c, fmt.Errorf("entry %d comes after %d: %w", chapter.Index, before, ErrStory)
		}
		before = chapter.Index
		if err := chapter.check(c, &s); err != nil {
			return nil, c, fmt.Errorf("entry %d: %w: %w", chapter.Index, err, ErrStory)
		}
	}
	return &s, c, nil
}

func (c Chapter) check(checkpoint proof.Checkpoint, s *Story) error {
	entry, err := hex.DecodeString(c.Entry)
	if err != nil || len(entry) != 32 || len(c.Salt) != proof.SaltBytes {
		return errors.New("its salt or hash has another length")
	}
	var facts []byte
	if c.Facts != "" {
		facts = []byte(c.Facts)
	}
	if err := proof.CheckInclusion(checkpoint, c.Index, proof.LeafRecord(c.Salt, facts, [32]byte(entry)), c.Proof); err != nil {
		return err
	}
	if facts != nil {
		var said envelope.Facts
		if err := decode(facts, &said); err != nil || said.Payment != s.Payment {
			return errors.New("its facts are of another payment than the story's")
		}
	}
	var event book.Event
	if err := json.Unmarshal(c.Event, &event); err != nil {
		return err
	}
	if event.Merchant != "" && event.Merchant != s.Merchant {
		return errors.New("its event is another merchant's than the story's")
	}
	return nil
}

// Results is how many of the story's entries issued a result: only these prove the payment's name.
func (s *Story) Results() (n int) {
	for _, c := range s.Chapters {
		if c.Facts != "" {
			n++
		}
	}
	return n
}

// Write writes the story for people, without control characters: its file may be anybody's.
func (s *Story) Write(w io.Writer) error {
	size := "?"
	if lines := bytes.SplitN([]byte(s.Checkpoint), []byte("\n"), 3); len(lines) == 3 {
		size = string(lines[1])
	}
	fmt.Fprintf(w, "payment %s/%s: %d entries of a log of %s\n", s.Merchant, s.Payment, len(s.Chapters), size)
	for i, c := range s.Chapters {
		var e book.Event
		if err := json.Unmarshal(c.Event, &e); err != nil {
			return err
		}
		if kind := e.Body.Kind(); i == 0 && kind != (book.EnvelopeReceived{}).Kind() && kind != (book.EnvelopeRejected{}).Kind() {
			fmt.Fprintln(w, "what was before is not of the entries that were replayed")
		}
		body, err := json.Marshal(e.Body)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\nentry %d  %s  %s\n  by %s from %s", c.Index, e.Time.Format(time.RFC3339), e.Body.Kind(), e.Actor, e.Origin)
		if e.Purpose != "" {
			fmt.Fprintf(w, ", for %q", e.Purpose)
		}
		if e.Evidence != "" {
			fmt.Fprintf(w, ", evidence %s", e.Evidence)
		}
		fmt.Fprintf(w, "\n  %s\n", body)
		if c.Facts != "" {
			fmt.Fprintf(w, "  the merchant was %s\n", gist(c.Facts))
		}
		if _, err := fmt.Fprintf(w, "  sealed as %s, %d hashes to the checkpoint\n", c.Entry, len(c.Proof)); err != nil {
			return err
		}
	}
	return nil
}

func gist(facts string) string {
	var f envelope.Facts
	if json.Unmarshal([]byte(facts), &f) != nil {
		return facts
	}
	text := fmt.Sprintf("told %s, %s", f.Status, f.Code)
	if f.Amount > 0 {
		text += ", " + envelope.FormatAmount(f.Amount, f.Currency)
	}
	return text + " of payment " + f.Payment
}
