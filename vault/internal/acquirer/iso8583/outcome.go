package iso8583

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"nightdrop/vault/internal/acquirer"
)

// answers are what the codes of field 39 mean, by the class of the message answered: requests
// (0100, 0200), captures (0220, 0221) and reversals (0420, 0421). A class that a file leaves out is
// the built-in dialect's.
type answers struct {
	Requests  *requestAnswers `json:"requests,omitempty"`
	Captures  *adviceAnswers  `json:"captures,omitempty"`
	Reversals *adviceAnswers  `json:"reversals,omitempty"`
}

// requestAnswers classify the answers to a request. What is in neither is reversed: it may be an
// approval. 00 approves the whole, listed or not.
type requestAnswers struct {
	Approve map[string]extent `json:"approve"` // code to what it approves
	Decline []string          `json:"decline"` // codes after which the host holds nothing
}

// extent is how much of the amount a code approves.
type extent string

const (
	whole extent = "whole" // what was asked for: the answer has the request's amount
	// the answer's amount: if it is not the request's, the payment is reversed
	part extent = "part"
)

// adviceAnswers classify the answers to an advice. What is in none is repeated. 00 stands, listed
// or not.
type adviceAnswers struct {
	Stands    []string `json:"stands"`              // it is done, or needs not be
	Duplicate []string `json:"duplicate,omitempty"` // the host has it already
	Person    []string `json:"person"`              // it can never be done as it is
}

func (r requestAnswers) outcome(code string) acquirer.Outcome {
	switch {
	case r.approves(code) != "":
		return acquirer.Approves
	case slices.Contains(r.Decline, code):
		return acquirer.Declines
	}
	return acquirer.Doubtful
}

// approves returns how much a code approves, or "".
func (r requestAnswers) approves(code string) extent {
	if code == acquirer.Approved {
		return whole
	}
	return r.Approve[code]
}

// outcome returns what the answer to an advice means. A duplicate stands, even of a reversal that
// was never sent before: hosts reverse by themselves what they could not answer, and report a later
// reversal as a duplicate. Its original does not stand.
func (a adviceAnswers) outcome(code string) acquirer.Outcome {
	switch {
	case code == acquirer.Approved, slices.Contains(a.Stands, code), slices.Contains(a.Duplicate, code):
		return acquirer.Stands
	case slices.Contains(a.Person, code):
		return acquirer.Person
	}
	return acquirer.Repeat
}

// outcomeOfCapture is outcome, except that a duplicate of a capture that was never sent before goes
// to a person, as do its repeats: first is the answer to its first try. Hosts that detect
// duplicates by content (the same amount of the same authorisation) report a second capture as one
// without booking it; its repeat would look booked.
func (a adviceAnswers) outcomeOfCapture(code string, repeat int, first string) acquirer.Outcome {
	if slices.Contains(a.Duplicate, code) && (repeat == 0 || slices.Contains(a.Duplicate, first)) {
		return acquirer.Person
	}
	return a.outcome(code)
}

// builtInAnswers returns the built-in dialect's tables.
func builtInAnswers() (answers, error) {
	var file struct {
		Nightdrop struct {
			Answers answers `json:"answers"`
		} `json:"nightdrop"`
	}
	if err := json.Unmarshal(ascii1987, &file); err != nil {
		return answers{}, fmt.Errorf("the built-in dialect: %w", err)
	}
	return file.Nightdrop.Answers, nil
}

// completeAnswers sets missing tables to the built-in ones. Files without tables may have "undone":
// the answers to a reversal that stand.
func (s *section) completeAnswers() error {
	standard, err := builtInAnswers()
	if err != nil {
		return err
	}
	if len(s.Undone) > 0 {
		table := *standard.Reversals
		table.Stands = s.Undone
		table.Duplicate, table.Person = without(table.Duplicate, s.Undone), without(table.Person, s.Undone)
		standard.Reversals = &table
	}
	if s.Answers.Requests == nil {
		s.Answers.Requests = standard.Requests
	}
	if s.Answers.Captures == nil {
		s.Answers.Captures = standard.Captures
	}
	if s.Answers.Reversals == nil {
		s.Answers.Reversals = standard.Reversals
	}
	return nil
}

func without(codes, those []string) []string {
	return slices.DeleteFunc(slices.Clone(codes), func(code string) bool { return slices.Contains(those, code) })
}

// codeList is one list of codes of a table, and its path in the file.
type codeList struct {
	path     string
	codes    []string
	required bool // if only as []
}

// checkAnswers checks a file's tables: codes are well formed, each in one list of its table, and 00
// only in the list of its fixed meaning.
func (f *dialectFile) checkAnswers() error {
	a := f.Nightdrop.Answers
	if a.Reversals != nil && f.Nightdrop.Undone != nil {
		return f.fail("nightdrop.undone",
			`"answers" has a table for reversals: move these codes to its "stands" and take this member out`)
	}
	if r := a.Requests; r != nil {
		const path = "nightdrop.answers.requests"
		for _, code := range slices.Sorted(maps.Keys(r.Approve)) {
			if e := r.Approve[code]; e != whole && e != part || code == acquirer.Approved && e != whole {
				return f.fail(path+".approve."+code, `a code approves the "whole" or a "part", and 00 the whole`)
			}
		}
		approve := codeList{path: path + ".approve", codes: slices.Sorted(maps.Keys(r.Approve))}
		if err := f.checkTable(approve, codeList{path: path + ".decline", codes: r.Decline, required: true}); err != nil {
			return err
		}
	}
	for _, advice := range []struct {
		path  string
		table *adviceAnswers
	}{{"nightdrop.answers.captures", a.Captures}, {"nightdrop.answers.reversals", a.Reversals}} {
		if t := advice.table; t != nil {
			err := f.checkTable(codeList{path: advice.path + ".stands", codes: t.Stands},
				codeList{path: advice.path + ".duplicate", codes: t.Duplicate},
				codeList{path: advice.path + ".person", codes: t.Person, required: true})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTable checks the lists of one table; only the first may have 00.
func (f *dialectFile) checkTable(lists ...codeList) error {
	seen := map[string]string{}
	for i, list := range lists {
		if list.required && list.codes == nil {
			return f.fail(list.path, "the member is missing: name the codes, or write [] for none")
		}
		for _, code := range list.codes {
			switch {
			case len(code) != 2 || !alphanumeric(code):
				return f.fail(list.path, "codes are two of 0-9A-Z")
			case seen[code] != "":
				return f.fail(list.path, "%s is in %s already: keep one of them", code, seen[code])
			case code == acquirer.Approved && i > 0:
				return f.fail(list.path, "%s always means that it was done: take it out", acquirer.Approved)
			}
			seen[code] = list.path
		}
	}
	return nil
}
