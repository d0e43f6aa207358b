package settle

import (
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// firstAnswer is the code that a capture's first try was answered with, "" where it was not; said is what the newest
// was.
func firstAnswer(capture book.Payment, said envelope.Code) string {
	first := capture.First
	if capture.Tries == 1 && first == "" {
		first = said
	}
	return strings.TrimPrefix(string(first), "iso-")
}
