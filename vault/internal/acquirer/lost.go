package acquirer

import "fmt"

// ErrLineLost is returned when the line went down while a request was written or waited for its
// answer; it wraps [ErrNoAnswer]. Any of the requests under way, or none, may have been the cause.
var ErrLineLost = fmt.Errorf("the line went down: %w", ErrNoAnswer)
