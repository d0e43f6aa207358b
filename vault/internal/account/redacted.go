package account

import "nightdrop/shared/redacted"

// hidden is embedded by every type of this package, so that whatever prints, logs or encodes one of
// them writes the same word.
type hidden = redacted.Secret
