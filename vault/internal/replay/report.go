package replay

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"nightdrop/vault/internal/book"
)

// ErrDiverged is returned when the log does not come to what it, or the vault elsewhere, says.
var ErrDiverged = errors.New("the log does not replay")

// ErrNoState is returned when entries could not be folded, because the state before them is
// missing.
var ErrNoState = errors.New("the state before these entries is missing")

// ErrNoKey is returned when the key that was given opens no entry.
var ErrNoKey = errors.New("give the identity of an auditor of that time, or ask for the export again: verify cannot see that wrapped keys were withheld")

// Report is what a replay found.
type Report struct {
	Origin  string `json:"origin"`
	Size    int64  `json:"size"`    // entries, as the checkpoint says
	Root    string `json:"root"`    // base64, as the checkpoint says
	From    int64  `json:"from"`    // entries [From, Through) were folded
	Through int64  `json:"through"` //
	By      string `json:"by"`      // who vouches for the state before From; "" for nothing before
	Opened  int64  `json:"opened"`  // entries
	// entries outside the auditor's time or without a body: verified in the tree only
	Closed   int64            `json:"closed"`
	Results  int64            `json:"results"`  // whose facts are those of their leaf
	Compared int              `json:"compared"` // statements and files that agree with the log
	Not      []string         `json:"messages"` // statements that say nothing about these entries
	Events   map[string]int64 `json:"events"`   // opened, by kind
	// integrity findings that the vault itself logged
	Found map[book.Finding]uint64 `json:"found"`
	// at Through; absent where nothing could be folded
	Sums *Sums `json:"sums,omitempty"`
	// index of the first entry that is wrong; -1 for none
	First    int64     `json:"firstFinding"`
	Findings []Finding `json:"findings"`          // at most maxFindings
	Count    int       `json:"count"`             // of all findings
	Gap      string    `json:"message,omitempty"` // why entries that open were not folded
}

// Sums are what the payments come to, counted anew.
type Sums struct {
	Merchants int     `json:"merchants"`
	Payments  uint64  `json:"payments"`
	Batches   int     `json:"batches"`
	Settled   int     `json:"settledBatches"`
	Files     int     `json:"files"` // settlement files and answers of the bank
	Money     []Money `json:"money"`
}

// Money is what payments of one currency that stand alike come to.
type Money struct {
	book.Total
	State string `json:"state"` // standing, settled, returned, open
}

// Finding is one thing that is wrong.
type Finding struct {
	Index int64  `json:"index"` // of the entry; -1 for the log as a whole
	What  string `json:"message"`
}

// maxFindings bounds a report.
const maxFindings = 100

func (r *Report) detect(index int64, format string, args ...any) {
	if index >= 0 && (r.First < 0 || index < r.First) {
		r.First = index
	}
	r.Count++
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, Finding{index, fmt.Sprintf(format, args...)})
	}
}

// Err returns [ErrDiverged] with the first finding, [ErrNoState] where entries that open were not
// folded, or nil.
func (r *Report) Err() error {
	switch {
	case r.Count > 0 && r.Findings[0].Index >= 0:
		return fmt.Errorf("%d findings, the first at entry %d: %s: %w", r.Count, r.Findings[0].Index, r.Findings[0].What, ErrDiverged)
	case r.Count > 0:
		return fmt.Errorf("%d findings: %s: %w", r.Count, r.Findings[0].What, ErrDiverged)
	case r.Gap != "" && r.Opened == 0:
		return fmt.Errorf("%s: %w", r.Gap, ErrNoKey)
	case r.Gap != "":
		return fmt.Errorf("%s: %w", r.Gap, ErrNoState)
	}
	return nil
}

// standing is how a payment's money stands; "" where none moves.
func standing(p book.Payment) string {
	switch p.Stage {
	case book.StageApproved, book.StageCaptured, book.StageAccepted, book.StageFiling:
		return "standing"
	case book.StageSettled:
		return "settled"
	case book.StageReturned:
		return "returned"
	case book.StageUnknown, book.StageManual, book.StageAuthorising, book.StageCapturing, book.StageVoiding,
		book.StageCorrecting:
		return "open"
	}
	return ""
}

// moneyStates is the order of Money.
var moneyStates = [...]string{"standing", "settled", "returned", "open"}

func (s *Sums) add(state string, p book.Payment) {
	i, found := slices.BinarySearchFunc(s.Money, p, func(m Money, p book.Payment) int {
		return cmp.Or(cmp.Compare(m.Currency, p.Currency), cmp.Compare(stateIndex(m.State), stateIndex(state)))
	})
	if !found {
		s.Money = slices.Insert(s.Money, i, Money{Total: book.Total{Currency: p.Currency}, State: state})
	}
	m := &s.Money[i]
	if p.Credit() {
		m.Credits, m.CreditAmount = m.Credits+1, m.CreditAmount+p.Amount
		return
	}
	m.Count, m.Amount = m.Count+1, m.Amount+p.Amount
}

func stateIndex(state string) int { return slices.Index(moneyStates[:], state) }
