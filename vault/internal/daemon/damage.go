package daemon

import (
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
)

// maxNamed bounds the names in one finding.
const maxNamed = 20

// damageFound is the damage in the files of keys, for the log. A lost sealing key is reported while
// the log counts it as alive, so once; stored accounts with lost keys at each start.
func damageFound(logged []envelope.KeyName, list []keyring.Damage) (bodies []book.Body) {
	for _, d := range list {
		names := d.Keys
		if d.Sealing && d.Lost {
			names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
				return !slices.Contains(logged, envelope.KeyName(name))
			})
		}
		if len(names) == 0 {
			continue
		}
		found := book.IntegrityFound{Finding: book.FindingKeyMended, Detail: d.File + ": " + few(names)}
		if d.Lost {
			found.Finding = book.FindingKeyLost
		}
		bodies = append(bodies, found)
	}
	return bodies
}

// few lists the first names and how many more there are. Commas keep slots from reading as one long
// number.
func few(names []string) string {
	if len(names) <= maxNamed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), len(names)-maxNamed)
}
