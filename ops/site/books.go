package site

import (
	"context"
	"encoding/json"
)

// HostBook is what `simulator book --json` has of the acquirer's own book.
type HostBook struct {
	Sales, Holds, Captures, Refunds       int
	Charged, Credited, Reversed, Declined int
	Doubled                               []string
	Transactions                          []struct {
		RRN, STAN, Answer, Kind string
		Amount                  int64 // minor units
		Reversed                bool
	}
}

// ReadHostBook reads the acquirer's book.
func (s *Site) ReadHostBook(ctx context.Context) (b HostBook, err error) {
	err = s.runJSON(ctx, &b, "simulator", "book", "--book", s.Book(), "--json")
	return b, err
}

// BankBook is what `simulator bank-book --json` has of the bank's book of settlement files.
type BankBook struct {
	Files, Entries, Returned int
	Doubled                  []string
	List                     []struct {
		Name    string
		Entries []struct {
			Trace, Return string
			Credit        bool
			Amount        int64 // minor units
		}
	}
}

// ReadBankBook reads the bank's book.
func (s *Site) ReadBankBook(ctx context.Context) (b BankBook, err error) {
	err = s.runJSON(ctx, &b, "simulator", "bank-book", "--book", s.BankBook(), "--json")
	return b, err
}

// runJSON runs one of the binaries and decodes what it prints.
func (s *Site) runJSON(ctx context.Context, into any, program string, args ...string) error {
	out, err := s.Run(ctx, program, args...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}
