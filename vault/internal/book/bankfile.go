package book

import (
	"nightdrop/shared/envelope"
)

// FileCounter gives settlement files and their entries their numbers.
type FileCounter struct {
	// of the newest file, YYYY-MM-DD by the file's own creation date
	Day      string `json:"day,omitempty"`
	Modifier int    `json:"modifier,omitempty"` // files of that day: 1 is A
	// of the newest entry, 1 to 9999999, then from 1 again
	Sequence uint32 `json:"sequence,omitempty"`
}

// Limits of NACHA files. (NACHA Operating Rules, appendix three)
const (
	MaxFilesPerDay = 36        // file id modifier: A to Z, then 0 to 9 (file header field 7)
	MaxSequence    = 9_999_999 // the last seven digits of a trace number (entry detail field 11)
	// cents of debits, and of credits: twelve digits of a total (file control fields 7 and 8)
	MaxFileAmount  = 999_999_999_999
	MaxFileEntries = 999_999 // of one batch: six digits of its entry count (batch control field 3)
)

// Fits reports whether a settlement file could hold the batch with p in it too.
func (b Batch) Fits(p Payment) bool {
	b.stand(p)
	debits, credits := b.Sums()
	return debits <= MaxFileAmount && credits <= MaxFileAmount && b.Count() <= MaxFileEntries
}

// Sums are the debits and credits of a bank batch, in cents.
func (b Batch) Sums() (debits, credits int64) {
	for _, t := range b.Totals {
		debits, credits = debits+t.Amount, credits+t.CreditAmount
	}
	return debits, credits
}

// Modifier is the file id modifier of a day's n-th file, from 1: A to Z, then 0 to 9.
func Modifier(n int) byte {
	if n <= 26 {
		return byte('A' + n - 1)
	}
	return byte('0' + n - 27)
}

// FileStage is where a file stands.
type FileStage string

// The stages of a file.
const (
	// its name and batches are fixed; entries get their trace numbers
	FileNamed  FileStage = "begun"
	FileHashed FileStage = "intended" // its digest is in the log; it may have appeared
	FileOut    FileStage = "written"
	FileTaken  FileStage = "taken" // an answer file of the bank: what is ours of it was applied
)

// Files are kept by name.
var Files = &Table[string, File]{Name: "files", Line: "file", Key: func(f File) string { return f.Name }, Bytes: named}

// File returns a settlement or answer file.
func (s *State) File(name string) (File, bool, error) { return Files.Get(s, name) }

// File is a settlement file that was made, or an answer file that was imported.
type File struct {
	// of a settlement file its name in the outbox; of an answer its digest
	Name    string        `json:"name"`
	Stage   FileStage     `json:"stage"`
	Digest  string        `json:"digest,omitempty"`  // hex SHA-256 of the bytes
	Batches []uint32      `json:"batches,omitempty"` // that it settles
	Created envelope.Time `json:"created"`           // file header fields 5 and 6
	// file header field 5 in the bank's time, YYYY-MM-DD
	Day       string        `json:"day,omitempty"`
	Modifier  int           `json:"modifier,omitempty"`
	Effective string        `json:"effective,omitempty"` // batch header field 9, YYYY-MM-DD
	Entries   int           `json:"entries,omitempty"`
	Debits    int64         `json:"debits,omitempty"`  // minor units
	Credits   int64         `json:"credits,omitempty"` // minor units
	EntryHash uint64        `json:"entryHash,omitempty"`
	Written   envelope.Time `json:"written,omitzero"`
	Left      int           `json:"left,omitempty"` // of an answer: entries that were not applied
}

// FileBegun fixes a settlement file's name and which batches it settles.
type FileBegun struct {
	Name      string   `json:"name"`
	Day       string   `json:"day"` // file header field 5, YYYY-MM-DD
	Modifier  int      `json:"modifier"`
	Effective string   `json:"effective"`
	Batches   []uint32 `json:"batches"`
}

// Kind implements Body.
func (FileBegun) Kind() string { return "file-begun" }

// FileIntended puts a settlement file's digest into the log before the file appears.
type FileIntended struct {
	Name      string `json:"name"`
	Digest    string `json:"digest"` // hex SHA-256
	Entries   int    `json:"entries"`
	Debits    int64  `json:"debits"`  // minor units
	Credits   int64  `json:"credits"` // minor units
	EntryHash uint64 `json:"entryHash"`
}

// Kind implements Body.
func (FileIntended) Kind() string { return "file-intended" }

// FileWritten reports that the file is in the outbox under its name.
type FileWritten struct {
	Name string `json:"name"`
}

// Kind implements Body.
func (FileWritten) Kind() string { return "file-written" }

// AnswerTaken reports that what is ours of an answer file of the bank was applied: its returns,
// changes and acknowledgements are the events beside it. A file of which something was left may be
// imported again.
type AnswerTaken struct {
	Name    string        `json:"name"` // as the operator gave it, without directories
	Digest  string        `json:"digest"`
	Created envelope.Time `json:"created"`
	Items   int           `json:"items"` // answers to our entries that it holds
	// the first MaxAnswersLeft of what was not applied
	Left      []AnswerLeft `json:"left,omitempty"`
	LeftCount int          `json:"leftCount,omitempty"` // how many that were
}

// Kind implements Body.
func (AnswerTaken) Kind() string { return "answer-taken" }

// MaxAnswersLeft bounds AnswerTaken.Left, so that an event fits into the log. The file has the
// others.
const MaxAnswersLeft = 200

// AnswerLeft is an entry of an answer file that was not applied.
type AnswerLeft struct {
	Record  int    `json:"record"`          // index in the file, from 1
	Trace   string `json:"trace,omitempty"` // 15 digits, where it is a number of our bank
	Code    string `json:"code,omitempty"`  // R01 to R99, C01 to C99
	Problem string `json:"problem"`         // why, in words
}

func (f *fold) fileBegun(b FileBegun) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	_, there, err := f.File(b.Name)
	if err != nil {
		return err
	}
	next := v.Files.next(b.Day)
	if there || b.Name == "" || b.Modifier != next || next > MaxFilesPerDay || b.Day < v.Files.Day || len(b.Batches) == 0 {
		return misfit("file %s cannot be begun", b.Name)
	}
	v.Files.Day, v.Files.Modifier = b.Day, b.Modifier
	if err := TheVault.Put(f.State, v); err != nil {
		return err
	}
	for _, number := range b.Batches {
		batch, ok, err := f.Batch(number)
		if err != nil {
			return err
		}
		if !ok || batch.Method != MethodBank || batch.Stage != BatchFixed || batch.File != "" {
			return misfit("batch %d is not for a file", number)
		}
		batch.File = b.Name
		if err := Batches.Put(f.State, batch); err != nil {
			return err
		}
	}
	return Files.Put(f.State, File{Name: b.Name, Stage: FileNamed, Batches: b.Batches, Created: f.event.Time, Day: b.Day, Modifier: b.Modifier, Effective: b.Effective})
}

// next is the modifier of a day's next file.
func (c FileCounter) next(day string) int {
	if c.Day == day {
		return c.Modifier + 1
	}
	return 1
}

// NextFile returns the modifier, from 1, of a day's next settlement file; above MaxFilesPerDay
// there is none.
func (v Vault) NextFile(day string) int { return v.Files.next(day) }

// NextSequence returns the sequence of the next entry's trace number.
func (v Vault) NextSequence() uint32 { return v.Files.Sequence%MaxSequence + 1 }

// fileIntended fixes a file's content: exactly what its batches still owe.
func (f *fold) fileIntended(b FileIntended) error {
	file, _, err := f.File(b.Name)
	if err != nil {
		return err
	}
	if file.Stage != FileNamed || file.Entries != b.Entries || len(b.Digest) != 64 {
		return misfit("file %s cannot be fixed", b.Name)
	}
	var entries, debits, credits int64
	for _, number := range file.Batches {
		batch, _, err := f.Batch(number)
		if err != nil {
			return err
		}
		entries += batch.Due()
		for _, t := range batch.Totals {
			debits, credits = debits+t.Amount, credits+t.CreditAmount
		}
		for _, t := range batch.Failed {
			debits, credits = debits-t.Amount, credits-t.CreditAmount
		}
	}
	if int64(b.Entries) != entries || b.Debits != debits || b.Credits != credits {
		return misfit("file %s does not hold what its batches owe", b.Name)
	}
	file.Stage, file.Digest, file.Debits, file.Credits, file.EntryHash = FileHashed, b.Digest, b.Debits, b.Credits, b.EntryHash
	return Files.Put(f.State, file)
}

func (f *fold) fileWritten(b FileWritten) error {
	file, _, err := f.File(b.Name)
	if err != nil {
		return err
	}
	if file.Stage != FileHashed {
		return misfit("file %s is not due", b.Name)
	}
	file.Stage, file.Written = FileOut, f.event.Time
	return Files.Put(f.State, file)
}

func (f *fold) answerTaken(b AnswerTaken) error {
	before, taken, err := f.File(b.Digest)
	if err != nil {
		return err
	}
	if taken && before.Left == 0 || len(b.Digest) != 64 {
		return misfit("answer file %s was taken before, or has no digest", b.Digest)
	}
	return Files.Put(f.State, File{Name: b.Digest, Stage: FileTaken, Digest: b.Digest, Created: b.Created, Entries: b.Items, Written: f.event.Time, Left: b.LeftCount})
}

// FileMadeAgain says, before it appears, that a settlement file that was out goes into the outbox
// once more, byte for byte: a person said that the bank has not got it. It changes nothing.
type FileMadeAgain struct {
	Name string `json:"name"`
}

// Kind implements Body.
func (FileMadeAgain) Kind() string { return "file-made-again" }

// madeAgain checks that the file is out.
func (f *fold) madeAgain(b FileMadeAgain) error {
	file, known, err := f.File(b.Name)
	if err != nil {
		return err
	}
	if !known || file.Stage != FileOut {
		return misfit("file %s is not out", b.Name)
	}
	return nil
}
