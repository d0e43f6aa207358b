package acquirer

import "fmt"

// ErrLineLost is returned when the line went down while a request waited for its answer, or while
// it was written: errors.Is(err, ErrNoAnswer) is true of it. It may have been any of those under
// way whose fault that was, or nobody's.
var ErrLineLost = fmt.Errorf("the line went down: %w", ErrNoAnswer)
