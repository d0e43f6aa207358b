package keyring

import "nightdrop/shared/redacted"

// secret, embedded, keeps its holder out of every kind of output.
type secret = redacted.Secret
