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
	"nightdrop/vault/internal/payment"
)

// ErrStory is returned for a story that does not prove what it says.
var ErrStory = errors.New("the story is not proved")

// ErrNoPayment is returned where the replayed entries do not tell of a payment.
var ErrNoPayment = errors.New("the replayed entries do not tell of this payment: it was asked for wrongly, or is of another time")

const storyFormat = "nightdrop/story/v1"

// Story is what the log says of one payment, its captures, refunds and voids, its batches and their files, with a proof of each entry.
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
	Event json.RawMessage `json:"event"`           // as it was sealed: the auditor's word
	Salt  []byte          `json:"salt"`            // proved
	Facts string          `json:"facts,omitempty"` // what the merchant was told: proved
	Entry string          `json:"entry"`           // hex SHA-256 of the sealed entry: proved
	Proof []tlog.Hash     `json:"proof"`           // of inclusion under the checkpoint
}

// teller picks a payment's entries from a replay.
type teller struct {
	story   *Story
	ids     []string // the payment's and those of its operations
	batches []uint32
	files   []string
}

// Tell replays, and writes down what is about one payment. The report says whether the replay held; its error is that of Run, or ErrNoPayment.
func Tell(ctx context.Context, o Options, merchant, id string) (*Story, *Report, error) {
	t := &teller{story: &Story{Format: storyFormat, Merchant: merchant, Payment: id, Checkpoint: string(o.Export.Signed())}, ids: []string{id}}
	o.Watch = t.watch
	report, err := Run(ctx, o)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		return nil, report, err
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

// about has the members by which events name what they are about.
type about struct {
	ID      string   `json:"id"`
	Of      string   `json:"of"`
	Batch   uint32   `json:"batch"`
	Batches []uint32 `json:"batches"`
	Name    string   `json:"name"` // of a file
}

func (t *teller) watch(s Step) error {
	if s.Event.Merchant != "" && s.Event.Merchant != t.story.Merchant {
		return nil
	}
	of, err := t.about(s.Event.Body)
	if err != nil || !t.concerns(s.Event, of) {
		return err
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
func (t *teller) about(body payment.Body) (of about, err error) {
	switch b := body.(type) {
	case payment.BatchOpened, payment.MerchantAdded, payment.MerchantPolicySet:
		return of, nil // before the payment, or of more than it
	case payment.FileBegun:
		return about{Batches: b.Batches, Name: b.Name}, nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return of, err
	}
	err = json.Unmarshal(text, &of)
	return of, err
}

func (t *teller) concerns(e payment.Event, of about) bool {
	switch e.Body.(type) {
	case payment.FileBegun:
		return slices.ContainsFunc(of.Batches, func(n uint32) bool { return slices.Contains(t.batches, n) })
	case payment.FileIntended, payment.FileWritten:
		return slices.Contains(t.files, of.Name)
	}
	if of.ID != "" {
		return slices.Contains(t.ids, of.ID) || slices.Contains(t.ids[:1], of.Of)
	}
	return of.Batch != 0 && slices.Contains(t.batches, of.Batch)
}

// follow remembers what else is about the payment from now on.
func (t *teller) follow(s Step, of about) error {
	if !slices.Contains(t.ids, of.ID) {
		t.ids = append(t.ids, of.ID)
	}
	p, found, err := s.State.Payment(t.story.Merchant, of.ID)
	if err != nil || !found {
		return err
	}
	if p.Batch != 0 && !slices.Contains(t.batches, p.Batch) {
		t.batches = append(t.batches, p.Batch)
	}
	if p.File != "" && !slices.Contains(t.files, p.File) {
		t.files = append(t.files, p.File)
	}
	return nil
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

// CheckStory reads a story's file and checks it without any key: that the vault signed a log in which, at these places, stand entries of these
// hashes, which told the merchant exactly these facts. The events themselves are the word of the auditor who opened them; whoever has
// a key of that time finds the sealed entries by their hashes. It fails with ErrStory.
func CheckStory(data []byte, vault note.Verifier) (*Story, proof.Checkpoint, error) {
	var s Story
	var c proof.Checkpoint
	if len(data) > maxStory || decode(data, &s) != nil || s.Format != storyFormat || len(s.Chapters) == 0 {
		return nil, c, fmt.Errorf("it is no story of this format: %w", ErrStory)
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
		if err := chapter.check(c); err != nil {
			return nil, c, fmt.Errorf("entry %d: %w: %w", chapter.Index, err, ErrStory)
		}
	}
	return &s, c, nil
}

func (c Chapter) check(checkpoint proof.Checkpoint) error {
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
	var event payment.Event
	return json.Unmarshal(c.Event, &event)
}

// Write tells the story to people. A terminal needs it without control characters: a story's file may be anybody's.
func (s *Story) Write(w io.Writer) error {
	size := "?"
	if lines := bytes.SplitN([]byte(s.Checkpoint), []byte("\n"), 3); len(lines) == 3 {
		size = string(lines[1])
	}
	fmt.Fprintf(w, "payment %s of %s: %d entries of a log of %s\n", s.Payment, s.Merchant, len(s.Chapters), size)
	for i, c := range s.Chapters {
		var e payment.Event
		if err := json.Unmarshal(c.Event, &e); err != nil {
			return err
		}
		if kind := e.Body.Kind(); i == 0 && kind != (payment.EnvelopeReceived{}).Kind() && kind != (payment.EnvelopeRejected{}).Kind() {
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
			fmt.Fprintf(w, "  the merchant was told %s\n", told(c.Facts))
		}
		if _, err := fmt.Fprintf(w, "  sealed as %s, %d hashes to the checkpoint\n", c.Entry, len(c.Proof)); err != nil {
			return err
		}
	}
	return nil
}

// told is the gist of a result's facts.
func told(facts string) string {
	var f envelope.Facts
	if json.Unmarshal([]byte(facts), &f) != nil {
		return facts
	}
	if f.Amount > 0 {
		return fmt.Sprintf("%s, %s, %s", f.Status, f.Code, envelope.FormatAmount(f.Amount, f.Currency))
	}
	return fmt.Sprintf("%s, %s", f.Status, f.Code)
}
