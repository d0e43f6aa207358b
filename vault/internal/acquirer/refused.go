package acquirer

import "fmt"

// RefusedError is returned by [Acquirer.Reconcile] when the host answered but did not compare.
type RefusedError struct {
	Code    string // field 39, two of 0-9A-Z
	Passing bool   // the host may be able to later; else asking again does not help
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the host refuses to compare totals: code %s", e.Code)
}
