package account

import "nightdrop/shared/redacted"

// hidden is embedded by every type of this package, so that all of them print as "[redacted]".
type hidden = redacted.Secret
