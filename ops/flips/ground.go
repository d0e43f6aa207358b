package flips

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
)

// Span is a run of used bytes of one structure in a file.
type Span struct {
	File     string
	What     string
	From, To int
}

// Ground is where flips fall: the used bytes of the files, by group and by structure.
type Ground map[string]map[string][]Span

// Groups of files, with how many in a thousand flips fall into each.
var groups = []struct {
	name  string
	share int
}{{"ledger", 520}, {"keyring", 150}, {"journal", 110}, {"channel", 130}, {"marks", 50}, {"head", 40}}

// Survey finds the used bytes of a disk that holds what a vault, a relay and a journal keep.
func Survey(d Disk) Ground {
	g := Ground{}
	add := func(group string, spans ...Span) {
		if g[group] == nil {
			g[group] = map[string][]Span{}
		}
		for _, s := range spans {
			if s.To > s.From {
				g[group][s.What] = append(g[group][s.What], s)
			}
		}
	}
	for _, f := range d {
		base := filepath.Base(f.Name)
		whole := Span{f.Name, base, 0, len(f.Content)}
		_, stream, streamed := strings.Cut(f.Name, "/streams/")
		switch {
		case base == "ledger.db":
			add("ledger", (&pages{file: f.Name, data: f.Content}).all()...)
		case base == "ledger.db.high-water", base == "ledger.db.clean":
			add("marks", whole)
		case base == "sealing.keys":
			add("keyring", sealingSpans(f)...)
		case base == "stored.keys":
			add("keyring", storedSpans(f)...)
		case base == "vault.key":
			add("keyring", whole)
		case base == "head", strings.HasSuffix(base, ".head"):
			add("head", whole)
		case filepath.Ext(base) == ".seg":
			whole.What = "segment"
			add("journal", whole)
		case streamed:
			name, _, _ := strings.Cut(stream, "/")
			whole.What = name + " " + base
			if name == "JOURNAL" {
				add("journal", whole)
			} else {
				add("channel", whole)
			}
		}
	}
	return g
}

// Pick draws a flip: of a group by its share, then either any used byte of it, or a structure and
// any byte of that, so that small structures come up often too.
func (g Ground) Pick(seed uint64, only string) Flip {
	r := rand.New(rand.NewPCG(seed, 10)) //nolint:gosec // a seed draws the same again
	group := only
	for n := r.IntN(1000); only == ""; {
		for _, candidate := range groups {
			if n -= candidate.share; n < 0 && len(g[candidate.name]) > 0 {
				group = candidate.name
				break
			}
		}
		if group != "" {
			break
		}
		n = r.IntN(1000)
	}
	kinds := slices.Sorted(maps.Keys(g[group]))
	var spans []Span
	if r.IntN(3) == 0 {
		for _, kind := range kinds {
			spans = append(spans, g[group][kind]...)
		}
	} else {
		spans = g[group][kinds[r.IntN(len(kinds))]]
	}
	total := 0
	for _, s := range spans {
		total += s.To - s.From
	}
	// a part of them, so that it falls in much the same place of another picture
	n := int(r.Float64() * float64(total))
	for _, s := range spans {
		if n < s.To-s.From {
			return Flip{Seed: seed, File: s.File, What: s.What, Offset: s.From + n, Bit: r.IntN(8),
				Killed: r.IntN(6) == 0}
		}
		n -= s.To - s.From
	}
	panic("unreachable")
}

// Sizes of the key ring's files (vault/internal/keyring).
const (
	ringPage      = 4096
	sealingHeader = 20480
	sealingSlots  = 512
	sealingTable  = 32 + 16
)

// sealingSpans are those of sealing.keys: both headers, and the slots that are live.
func sealingSpans(f File) (spans []Span) {
	for i, name := range []string{"sealing.keys header", "sealing.keys second header"} {
		from := i * sealingHeader
		spans = append(spans, Span{f.Name, name, from, from + sealingTable}, Span{f.Name, name,
			from + sealingTable + sealingSlots*32, from + sealingTable + sealingSlots*32 + 32})
		for slot := range sealingSlots {
			at := from + sealingTable + slot*32
			if f.Content[at] != 0 {
				spans = append(spans, Span{f.Name, name + " entry", at, at + 32})
			}
		}
	}
	for slot := 2 * sealingHeader; slot+4 < len(f.Content); slot += ringPage {
		if n := int(binary.BigEndian.Uint32(f.Content[slot:])); n > 0 && n < ringPage {
			spans = append(spans, Span{f.Name, "sealing.keys slot length", slot, slot + 4}, Span{f.Name,
				"sealing.keys slot", slot + 4, slot + 4 + n})
		}
	}
	return spans
}

// storedSpans are those of stored.keys: both headers, and the slots that hold a key.
func storedSpans(f File) (spans []Span) {
	for i, name := range []string{"stored.keys header", "stored.keys second header"} {
		spans = append(spans, Span{f.Name, name, i * ringPage, i*ringPage + 32 + 16 + 32})
	}
	for slot := 2 * ringPage; slot+128 <= len(f.Content)+128; slot += 128 {
		end := min(slot+128, len(f.Content))
		if slot < end && slices.ContainsFunc(f.Content[slot:end], func(b byte) bool { return b != 0 }) {
			spans = append(spans, Span{f.Name, "stored.keys slot", slot, slot + 128})
		}
	}
	return spans
}
