package tidy

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// caseTests says which test takes each small input of testdata/cases through the programs: its
// file, its name, and what the file calls the case.
var caseTests = map[string]struct{ file, test, calls string }{
	"brands.csv":                              {"vault/brands_test.go", "TestCardsOfOtherBrandsGoToTheAcquirer", ""},
	"iso-approval-codes.csv":                  {"ops/e2e/answers_test.go", "TestApprovalsOtherThan00", ""},
	"listing-with-bom.csv":                    {"vault/internal/settle/compare_test.go", "TestListingsOfSpreadsheets", ""},
	"mask-bank-4-digits.json":                 {"vault/cases_bank_test.go", "TestCasesOfBankAccounts", ""},
	"names.txt":                               {"vault/internal/acquirer/nacha/name_test.go", "TestNamesOfTheCases", ""},
	"returns-batch-numbers-7-3.ach":           {"vault/cases_bank_test.go", "TestCasesOfBankFiles", `"*.ach"`},
	"returns-blank-lines-at-end.ach":          {"vault/cases_bank_test.go", "TestCasesOfBankFiles", `"*.ach"`},
	"returns-one-entry-of-another-system.ach": {"vault/cases_bank_test.go", "TestCasesOfBankFiles", `"*.ach"`},
	"returns-trailing-blanks-stripped.ach":    {"vault/cases_bank_test.go", "TestCasesOfBankFiles", `"*.ach"`},
	"routing-prefixes.csv":                    {"vault/cases_bank_test.go", "TestCasesOfBankAccounts", ""},
	"storefront-latin1.csv":                   {"ops/storefront/script_test.go", "TestScripts", ""},
	"withdrawn-currency.csv":                  {"ops/e2e/withdrawn_test.go", "TestAWithdrawnCurrencyStrandsNothing", ""},
}

// laterCases wait for the acquirers of other people's hosts, as the README of the cases says.
var laterCases = map[string]bool{"iso-answer-oddities.txt": true}

// TestEveryCaseIsTested: a case that nobody takes through the programs, or whose test is gone, is
// no case.
func TestEveryCaseIsTested(t *testing.T) {
	found, err := os.ReadDir(filepath.Join(root(t), "testdata", "cases"))
	if err != nil {
		t.Fatal(err)
	}
	left := len(caseTests)
	for _, f := range found {
		is, tested := caseTests[f.Name()]
		if f.Name() == "README.md" || laterCases[f.Name()] {
			continue
		}
		if !tested {
			t.Errorf("nobody tests %s: write a test, and name it here", f.Name())
			continue
		}
		left--
		if is.calls == "" {
			is.calls = f.Name()
		}
		text, err := os.ReadFile(filepath.Join(root(t), is.file))
		if err != nil || !bytes.Contains(text, []byte("func "+is.test+"(")) || !bytes.Contains(text, []byte(is.calls)) {
			t.Errorf("%s has no %s that reads %s: %v", is.file, is.test, f.Name(), err)
		}
	}
	if left != 0 {
		t.Errorf("%d tests here are of cases that are gone", left)
	}
}
