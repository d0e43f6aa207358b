// Package bank is the bank behind a vault's NACHA files, for tests, demonstrations and training: it
// watches the directory that the vault writes files into, books their entries, and answers with
// returns, notices of change and acknowledgements as amounts say (specification 10). It never
// changes or deletes a file of the vault's.
package bank

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moov-io/base"

	"nightdrop/ops/simulator/book"
)

// bankingZone is where banking days are counted.
const bankingZone = "America/New_York"

// answerHour and answerMinute are when, on the next banking day, the bank answers.
const (
	answerHour   = 8
	answerMinute = 30
)

// Config has where the bank reads and writes and when it answers.
type Config struct {
	Outbox      string // directory of the vault's files, *.ach
	Returns     string // directory for the bank's answers
	Book        string // file, made if it is not there
	Timing      Timing
	Acknowledge bool // answer CCD credits that are not returned with ACK entries
	// how often Run looks into Outbox; 0: a second
	Every  time.Duration
	Now    func() time.Time                       // nil: time.Now
	After  func(d time.Duration) <-chan time.Time // for Run; nil: time.After
	Logger *slog.Logger                           // nil: nothing is logged
}

// Timing is when a file that was taken is answered: on the next banking day, or After it was
// taken.
type Timing struct {
	NextBankingDay bool
	After          time.Duration // where NextBankingDay is false; 0: at once
}

// due returns when a file taken at taken is answered. (Federal Reserve holidays, moov-io/base)
func (t Timing) due(taken time.Time, zone *time.Location) time.Time {
	if !t.NextBankingDay {
		return taken.Add(t.After).In(zone)
	}
	day := base.NewTime(taken.In(zone)).AddBankingDay(1)
	return time.Date(day.Year(), day.Month(), day.Day(), answerHour, answerMinute, 0, 0, zone)
}

// Bank is an open bank. Step and Close may not be called concurrently.
type Bank struct {
	cfg     Config
	zone    *time.Location
	book    *book.Book
	account *account
	seen    map[string]seen // by name: files that need not be hashed again
}

// seen is a file as it was when it was last hashed.
type seen struct {
	size     int64
	modified time.Time
}

// Open opens or makes the bank's book and checks its directories. Another process with the same
// book gets book.ErrLocked.
func Open(cfg Config) (*Bank, error) {
	if cfg.Every <= 0 {
		cfg.Every = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.After == nil {
		cfg.After = time.After
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	zone, err := time.LoadLocation(bankingZone)
	if err != nil {
		return nil, fmt.Errorf("the zone of banking days: %w; install the time zone data (tzdata)", err)
	}
	for _, dir := range []string{cfg.Outbox, cfg.Returns} {
		if _, err := os.ReadDir(dir); err != nil {
			return nil, fmt.Errorf("a directory of the bank's: %w", err)
		}
	}
	b := &Bank{cfg: cfg, zone: zone, account: newAccount(), seen: map[string]seen{}}
	b.book, err = book.Open(cfg.Book, false, b.account.read)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Close closes the book.
func (b *Bank) Close() error { return b.book.Close() }

// Statement returns what the book holds now.
func (b *Bank) Statement() Statement { return b.account.statement() }

// Run steps until ctx ends or a step fails in a way that another would not mend: the book cannot be
// written.
func (b *Bank) Run(ctx context.Context) error {
	for {
		if err := b.Step(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.cfg.After(b.cfg.Every):
		}
	}
}

// Step takes the files that are new in the outbox and answers those that are due. Hidden files are
// still being written. A file that cannot be read now is left for the next step and logged; an
// error means that the book, or an answer, could not be written.
func (b *Bank) Step() error {
	entries, err := os.ReadDir(b.cfg.Outbox)
	if err != nil {
		b.cfg.Logger.Warn("the outbox cannot be read", "error", err)
		return nil
	}
	for _, e := range entries { // sorted by name
		if e.Type().IsRegular() && filepath.Ext(e.Name()) == ".ach" && !strings.HasPrefix(e.Name(), ".") {
			if err := b.look(e); err != nil {
				return err
			}
		}
	}
	for _, f := range b.account.waiting() {
		if f.Due.After(b.cfg.Now()) {
			continue
		}
		if err := b.answer(f); err != nil {
			return err
		}
	}
	return nil
}

// look takes a file unless its bytes have been taken before, under whatever name.
func (b *Bank) look(e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return nil // gone again
	}
	now := seen{size: info.Size(), modified: info.ModTime()}
	if b.seen[e.Name()] == now {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(b.cfg.Outbox, e.Name()))
	if err != nil {
		b.cfg.Logger.Warn("a file of the outbox cannot be read", "file", e.Name(), "error", err)
		return nil
	}
	defer clear(content)
	hash := digest(content)
	if b.account.files[hash] == nil {
		if err := b.append(b.taken(e.Name(), hash, content)); err != nil {
			return err
		}
	}
	b.seen[e.Name()] = now
	return nil
}

// taken returns the line to book for a new file.
func (b *Bank) taken(name, hash string, content []byte) line {
	now := b.cfg.Now().UTC()
	l := line{Kind: lineTaken, At: now, Name: name, Hash: hash}
	file, err := parse(content)
	if err != nil {
		l.Kind, l.Reason = lineRefused, err.Error()
		b.cfg.Logger.Warn("a file was refused", "file", name, "reason", l.Reason)
		return l
	}
	l.Due, l.Entries = b.cfg.Timing.due(now, b.zone), entriesOf(file)
	b.cfg.Logger.Info("a file was taken", "file", name, "entries", len(l.Entries), "due", l.Due.Format(time.RFC3339))
	return l
}

// answer writes the answer to a file that is due, if there is anything to say, and books it.
func (b *Bank) answer(f *File) error {
	content, err := os.ReadFile(filepath.Join(b.cfg.Outbox, f.Name))
	if err != nil || digest(content) != f.Hash {
		b.cfg.Logger.Warn("a file that is due cannot be read any more; it is answered when it is back", "file", f.Name)
		return nil
	}
	defer clear(content)
	original, err := parse(content)
	if err != nil {
		return fmt.Errorf("read %s again: %w", f.Name, err)
	}
	l := line{Kind: lineAnswered, At: b.cfg.Now().UTC(), Name: f.Name, Hash: f.Hash}
	reply := newReply(original, f.Due.In(b.zone), b.account.answers, b.account.items)
	if err := reply.fill(b.cfg.Acknowledge); err != nil {
		return fmt.Errorf("answer %s: %w", f.Name, err)
	}
	if l.Returned, l.Acknowledged, l.Noted = reply.returned, reply.acknowledged, reply.noted; len(reply.order) > 0 {
		// No run of digits in it is as long as a card number: names of files are written into logs.
		l.Answer = fmt.Sprintf("return-%s-h%s.ach", f.Due.In(b.zone).Format("20060102"), f.Hash[:8])
		if err := writeAnswer(filepath.Join(b.cfg.Returns, l.Answer), reply.write); err != nil {
			return fmt.Errorf("answer %s: %w", f.Name, err)
		}
	}
	// A crash here means: answered and not booked. The same answer is made again, and found to be
	// there.
	b.cfg.Logger.Info("a file was answered", "file", f.Name, "answer", l.Answer, "returned", l.Returned, "acknowledged", l.Acknowledged, "noted", l.Noted)
	return b.append(l)
}

// append books a line and applies it.
func (b *Bank) append(l line) error {
	text, err := l.encode()
	if err != nil {
		return err
	}
	if err := b.book.Append(text); err != nil {
		return err
	}
	return b.account.apply(l)
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// errMissing is returned when a line lacks what its kind needs, or its kind is none.
var errMissing = errors.New("its kind or its members are unknown")
