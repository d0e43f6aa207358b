package acquirer

import "fmt"

// RefusedError is returned by Reconcile when the host answered, and did not compare.
type RefusedError struct {
	Code    string // field 39, two of 0-9A-Z
	Passing bool   // the host cannot now, and may later; otherwise asking again does not help
}

// Error names the code.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the host refuses to compare totals: code %s", e.Code)
}
