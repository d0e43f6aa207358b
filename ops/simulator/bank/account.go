package bank

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"nightdrop/ops/simulator/book"
)

// Kinds of a book's lines.
const (
	lineTaken   = "taken"   // a file of the outbox, with its entries
	lineRefused = "refused" // a file that breaks the rules of the format
	// the answer to a file is in the returns directory, or there is nothing to answer
	lineAnswered = "answered"
)

// line is one line of the book. It never holds a whole account number or a name of its owner.
type line struct {
	Kind    string    `json:"kind"`
	At      time.Time `json:"at"`
	Name    string    `json:"name"` // of the vault's file
	Hash    string    `json:"hash"` // hex SHA-256 of its bytes: its identity
	Reason  string    `json:"reason,omitempty"`
	Due     time.Time `json:"due,omitzero"`
	Entries []Entry   `json:"entries,omitempty"`
	// name of the bank's file; empty where there was nothing to say
	Answer       string `json:"answer,omitempty"`
	Returned     int    `json:"returned,omitempty"`
	Acknowledged int    `json:"acknowledged,omitempty"`
	Noted        int    `json:"noted,omitempty"`
}

func (l line) encode() ([]byte, error) {
	text, err := json.Marshal(l)
	return append(text, '\n'), err
}

// Entry is one entry of a file.
type Entry struct {
	Trace    string `json:"trace"` // 15 digits
	Standard string `json:"standard"`
	Company  string `json:"company"`
	Code     int    `json:"code"`   // transaction code: 22, 27, 32, 37
	Credit   bool   `json:"credit"` // the receiver is paid
	Amount   int64  `json:"amount"` // minor units
	Masked   string `json:"masked"`
	Return   string `json:"return,omitempty"` // the code that it is returned with
	Notice   string `json:"notice,omitempty"` // the code of the notice of change that it brings
}

// File is a file of the vault's in the book.
type File struct {
	Name         string    `json:"name"`
	Hash         string    `json:"hash"`
	State        string    `json:"state"` // taken, answered or refused
	Reason       string    `json:"reason,omitempty"`
	Taken        time.Time `json:"taken"`
	Due          time.Time `json:"due,omitzero"`
	Answer       string    `json:"answer,omitempty"`
	Returned     int       `json:"returned"`
	Acknowledged int       `json:"acknowledged"`
	Noted        int       `json:"noted"`
	Debits       Count     `json:"debits"`
	Credits      Count     `json:"credits"`
	Entries      []Entry   `json:"entries"`
}

// Count is a number of entries and the sum of their amounts.
type Count struct {
	Number int   `json:"number"`
	Amount int64 `json:"amount"`
}

// Statement is what a book holds.
type Statement struct {
	Files        int   `json:"files"` // different ones taken
	Refused      int   `json:"refused"`
	Entries      int   `json:"entries"`
	Debits       Count `json:"debits"`
	Credits      Count `json:"credits"`
	Returned     int   `json:"returned"` // entries in answers written
	Acknowledged int   `json:"acknowledged"`
	Noted        int   `json:"noted"` // of which a notice of change was written
	// trace numbers that came in more than one entry: there must be none
	Doubled []string `json:"doubled"`
	List    []File   `json:"list"` // in the order taken
}

// account is the fold of a book's lines.
type account struct {
	files   map[string]*File // by hash
	order   []*File
	answers int // files written
	items   int // entries in them
}

func newAccount() *account { return &account{files: map[string]*File{}} }

// read applies a line as it stands in a book.
func (a *account) read(text []byte) error {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	return a.apply(l)
}

func (a *account) apply(l line) error {
	f := a.files[l.Hash]
	switch {
	case (l.Kind == lineTaken || l.Kind == lineRefused) && f == nil && l.Hash != "":
		f = &File{Name: l.Name, Hash: l.Hash, State: l.Kind, Reason: l.Reason, Taken: l.At, Due: l.Due, Entries: l.Entries}
		f.sum()
		a.files[l.Hash] = f
		a.order = append(a.order, f)
	case l.Kind == lineAnswered && f != nil:
		f.State, f.Answer, f.Returned, f.Acknowledged, f.Noted = l.Kind, l.Answer, l.Returned, l.Acknowledged, l.Noted
		a.items += l.Returned + l.Acknowledged + l.Noted
		if l.Answer != "" {
			a.answers++
		}
	default:
		return errMissing
	}
	return nil
}

func (f *File) sum() {
	for _, e := range f.Entries {
		c := &f.Debits
		if e.Credit {
			c = &f.Credits
		}
		c.Number++
		c.Amount += e.Amount
	}
}

// waiting returns the files that have not been answered, in the order taken.
func (a *account) waiting() []*File {
	var list []*File
	for _, f := range a.order {
		if f.State == lineTaken {
			list = append(list, f)
		}
	}
	return list
}

func (a *account) statement() Statement {
	st := Statement{Doubled: []string{}, List: []File{}}
	traces := map[string]int{}
	for _, f := range a.order {
		st.List = append(st.List, *f)
		if f.State == lineRefused {
			st.Refused++
			continue
		}
		st.Files++
		st.Entries += len(f.Entries)
		st.Debits = Count{st.Debits.Number + f.Debits.Number, st.Debits.Amount + f.Debits.Amount}
		st.Credits = Count{st.Credits.Number + f.Credits.Number, st.Credits.Amount + f.Credits.Amount}
		st.Returned += f.Returned
		st.Acknowledged += f.Acknowledged
		st.Noted += f.Noted
		for _, e := range f.Entries {
			traces[e.Trace]++
		}
	}
	for _, trace := range slices.Sorted(maps.Keys(traces)) {
		if traces[trace] > 1 {
			st.Doubled = append(st.Doubled, trace)
		}
	}
	return st
}

// ReadBook reads the book at path without locking or changing it; a simulator may be writing to it.
func ReadBook(path string) (Statement, error) {
	a := newAccount()
	if err := book.Read(path, a.read); err != nil {
		return Statement{}, err
	}
	return a.statement(), nil
}
