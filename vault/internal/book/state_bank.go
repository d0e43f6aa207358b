package book

import "nightdrop/shared/envelope"

// Tokens are kept by merchant and token.
var Tokens = &Table[Key, Token]{Name: "tokens", Line: "token", Key: func(t *Token) Key { return Key{t.Merchant, t.Token} },
	Bytes: Key.Bytes, Owner: Key.owner}

// Token returns a stored account's token.
func (s *State) Token(merchant, token string) (Token, bool, error) {
	return Tokens.Get(s, Key{merchant, token})
}

// Token is a stored account, without the account.
type Token struct {
	Merchant    string        `json:"merchant"`
	Token       string        `json:"token"` // tok_ and 26 base32 characters
	Payment     string        `json:"payment"`
	Method      Method        `json:"method"`
	Masked      string        `json:"masked"`
	Brand       string        `json:"brand,omitempty"`
	Fingerprint string        `json:"fingerprint"`
	Stored      envelope.Time `json:"stored"`
	Changed     envelope.Time `json:"changed"`
	Forgotten   bool          `json:"forgotten,omitempty"`
	Uncompared  bool          `json:"uncompared,omitempty"` // not held against the block list when it was stored: the file does it
	Replaced    bool          `json:"replaced,omitempty"`   // by an update with a whole account, perhaps another than paid before
	Notice      string        `json:"notice,omitempty"`     // C01 to C99: no entry is made until an update brings a whole account
}

// BlockList is kept by merchant and fingerprint.
var BlockList = &Table[Key, Block]{Name: "blocks", Line: "block", Key: func(b *Block) Key { return Key{b.Merchant, b.Fingerprint} },
	Bytes: Key.Bytes, Owner: Key.owner}

// Block returns the block of an account.
func (s *State) Block(merchant, fingerprint string) (Block, bool, error) {
	return BlockList.Get(s, Key{merchant, fingerprint})
}

// Block is an account that a merchant's entries may not use any more.
type Block struct {
	Merchant    string        `json:"merchant"`
	Fingerprint string        `json:"fingerprint"`
	Code        envelope.Code `json:"code"`    // ach-RNN
	Payment     string        `json:"payment"` // id of the entry that came back
	Since       envelope.Time `json:"since"`
}

// FileCounter gives settlement files and their entries their numbers.
type FileCounter struct {
	Day      string `json:"day,omitempty"`      // of the newest file, YYYY-MM-DD by the file's own creation date
	Modifier int    `json:"modifier,omitempty"` // files of that day: 1 is A
	Sequence uint32 `json:"sequence,omitempty"` // of the newest entry, 1 to 9999999, then from 1 again
}

// Limits of NACHA files. (NACHA Operating Rules, appendix three)
const (
	MaxFilesPerDay = 36              // file id modifier: A to Z, then 0 to 9 (file header field 7)
	MaxSequence    = 9_999_999       // the last seven digits of a trace number (entry detail field 11)
	MaxFileAmount  = 999_999_999_999 // cents of debits, and of credits: twelve digits of a total (file control fields 7 and 8)
	MaxFileEntries = 999_999         // of one batch: six digits of its entry count (batch control field 3)
)

// Fits tells whether a settlement file could hold the batch with p in it too.
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
	FileNamed  FileStage = "begun"    // its name and batches are fixed; entries get their trace numbers
	FileHashed FileStage = "intended" // its digest is in the log; it may have appeared
	FileOut    FileStage = "written"
	FileTaken  FileStage = "taken" // an answer file of the bank: what is ours of it was applied
)

// Files are kept by name.
var Files = &Table[string, File]{Name: "files", Line: "file", Key: func(f *File) string { return f.Name }, Bytes: named}

// File returns a settlement or answer file.
func (s *State) File(name string) (File, bool, error) { return Files.Get(s, name) }

// File is a settlement file that was made, or an answer file that was taken.
type File struct {
	Name      string        `json:"name"` // of a settlement file its name in the outbox; of an answer its digest
	Stage     FileStage     `json:"stage"`
	Digest    string        `json:"digest,omitempty"`  // hex SHA-256 of the bytes
	Batches   []uint32      `json:"batches,omitempty"` // that it settles
	Created   envelope.Time `json:"created"`           // file header fields 5 and 6
	Day       string        `json:"day,omitempty"`     // file header field 5 in the bank's time, YYYY-MM-DD
	Modifier  int           `json:"modifier,omitempty"`
	Effective string        `json:"effective,omitempty"` // batch header field 9, YYYY-MM-DD
	Entries   int           `json:"entries,omitempty"`
	Debits    int64         `json:"debits,omitempty"`  // minor units
	Credits   int64         `json:"credits,omitempty"` // minor units
	EntryHash uint64        `json:"entryHash,omitempty"`
	Written   envelope.Time `json:"written,omitzero"`
	Left      int           `json:"left,omitempty"` // of an answer: entries that were not applied
}

// Entries are kept by trace number. The fold never reads them: they are for whoever reads answer files, and a saved
// state has none.
var Entries = &Table[string, Entry]{Name: "entries", Key: func(e *Entry) string { return e.Trace }, Bytes: named}

// Entry returns the payment of a trace number.
func (s *State) Entry(trace string) (Entry, bool, error) { return Entries.Get(s, trace) }

// Entry tells which payment a trace number is of.
type Entry struct {
	Trace    string `json:"trace"` // 15 digits: ODFI and sequence
	Merchant string `json:"merchant"`
	ID       string `json:"id"`
	Company  string `json:"company,omitempty"` // identification under which it went out; older logs do not say
}
