package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is one of a picture's, as it lies at rest.
type file struct {
	name    string // below the picture's directory
	content []byte // without the zeros at its end
	size    int64  // with them
	mode    fs.FileMode
	changed time.Time
}

// read takes the picture's files into memory.
func (p *picture) read() {
	p.t.Helper()
	p.must(filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(p.dir, path)
		used := len(content)
		for used > 0 && content[used-1] == 0 {
			used--
		}
		used = min(len(content), (used+boltPage-1)/boltPage*boltPage)
		p.files = append(p.files, file{name: name, content: slices.Clone(content[:used]), size: int64(len(content)), mode: info.Mode().Perm(), changed: info.ModTime()})
		return err
	}))
}

// lay lays the picture out in a directory, with a bit flipped.
func (p *picture) lay(dir string, flipped bitFlip) error {
	for _, name := range []string{"outbox", "returns", "journal"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	for _, f := range p.files {
		if flipped.kills && f.name == filepath.Join("v", ledgerFile+".clean") {
			continue
		}
		content := f.content
		if f.name == flipped.file {
			content = slices.Clone(content)
			content = append(content, make([]byte, max(0, flipped.offset+1-len(content)))...)
			content[flipped.offset] ^= 1 << flipped.bit
		}
		f.content = content
		if err := f.write(dir); err != nil {
			return err
		}
	}
	return nil
}

// write lays a file out in a directory.
func (f file) write(dir string) error {
	path := filepath.Join(dir, f.name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, f.content, f.mode); err != nil {
		return err
	}
	return errors.Join(os.Truncate(path, f.size), os.Chtimes(path, f.changed, f.changed)) // what flips by itself leaves no trace
}

// replace puts a sound copy in a file's place.
func (p *picture) replace(dir, name string) error {
	for _, f := range p.files {
		if f.name == name {
			return f.write(dir)
		}
	}
	return fmt.Errorf("the picture has no file %s", name)
}

// bitFlip is one bit of one file.
type bitFlip struct {
	seed   uint64
	file   string
	what   string // the structure that the byte belongs to
	offset int
	bit    uint
	kills  bool // the vault was killed, not stopped
}

func (f bitFlip) String() string {
	if f.file == "" {
		return "nothing flipped"
	}
	end := "stopped"
	if f.kills {
		end = "killed"
	}
	return fmt.Sprintf("seed %d: bit %d of byte %d of %s (%s), vault %s", f.seed, f.bit, f.offset, f.file, f.what, end)
}

// span is a run of used bytes of one structure.
type span struct {
	file     string
	what     string
	from, to int
}

// ground is where flips fall: the used bytes of the files, by group and by structure.
type ground map[string]map[string][]span

// Groups of files, with how many in a thousand flips fall into each.
var groups = []struct {
	name  string
	share int
}{{"ledger", 520}, {"keyring", 150}, {"journal", 110}, {"channel", 130}, {"marks", 50}, {"head", 40}}

// survey finds the used bytes of a picture.
func (p *picture) survey() ground {
	g := ground{}
	add := func(group string, spans ...span) {
		if g[group] == nil {
			g[group] = map[string][]span{}
		}
		for _, s := range spans {
			if s.to > s.from {
				g[group][s.what] = append(g[group][s.what], s)
			}
		}
	}
	for _, f := range p.files {
		base := filepath.Base(f.name)
		whole := span{f.name, base, 0, len(f.content)}
		switch {
		case f.name == filepath.Join("v", ledgerFile):
			add("ledger", (&pages{file: f.name, data: f.content}).all()...)
		case base == ledgerFile+".high-water", base == ledgerFile+".clean":
			add("marks", whole)
		case base == "sealing.keys":
			add("keyring", sealingSpans(f)...)
		case base == "stored.keys":
			add("keyring", storedSpans(f)...)
		case base == "vault.key":
			add("keyring", whole)
		case base == "head":
			add("head", whole)
		case strings.HasPrefix(f.name, "journal/") && base != "lock":
			whole.what = "segment"
			add("journal", whole)
		case strings.HasPrefix(f.name, "store/") && strings.Contains(f.name, "/streams/"):
			stream, _, _ := strings.Cut(f.name[strings.Index(f.name, "/streams/")+len("/streams/"):], "/")
			whole.what = stream + " " + base
			if stream == "JOURNAL" && p.place == journalOnChannel {
				add("journal", whole)
			} else {
				add("channel", whole)
			}
		}
	}
	return g
}

// pick draws a flip: a group by its share, then either any used byte of it, or a structure and any byte of that, so that small structures
// come up often too.
func (g ground) pick(seed uint64, only string) bitFlip {
	r := rand.New(rand.NewPCG(seed, 10))
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
	var spans []span
	if r.IntN(3) == 0 {
		for _, kind := range kinds {
			spans = append(spans, g[group][kind]...)
		}
	} else {
		spans = g[group][kinds[r.IntN(len(kinds))]]
	}
	total := 0
	for _, s := range spans {
		total += s.to - s.from
	}
	n := int(r.Float64() * float64(total)) // by its share of the bytes, so that another picture has it in much the same place
	for _, s := range spans {
		if n < s.to-s.from {
			return bitFlip{seed: seed, file: s.file, what: s.what, offset: s.from + n, bit: uint(r.IntN(8)), kills: r.IntN(6) == 0}
		}
		n -= s.to - s.from
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
func sealingSpans(f file) (spans []span) {
	for i, name := range []string{"sealing.keys header", "sealing.keys second header"} {
		from := i * sealingHeader
		spans = append(spans, span{f.name, name, from, from + sealingTable}, span{f.name, name, from + sealingTable + sealingSlots*32, from + sealingTable + sealingSlots*32 + 32})
		for slot := range sealingSlots {
			at := from + sealingTable + slot*32
			if f.content[at] != 0 {
				spans = append(spans, span{f.name, name + " entry", at, at + 32})
			}
		}
	}
	for slot := 2 * sealingHeader; slot+4 < len(f.content); slot += ringPage {
		if n := int(binary.BigEndian.Uint32(f.content[slot:])); n > 0 && n < ringPage {
			spans = append(spans, span{f.name, "sealing.keys slot length", slot, slot + 4}, span{f.name, "sealing.keys slot", slot + 4, slot + 4 + n})
		}
	}
	return spans
}

// storedSpans are those of stored.keys: both headers, and the slots that hold a key.
func storedSpans(f file) (spans []span) {
	for i, name := range []string{"stored.keys header", "stored.keys second header"} {
		spans = append(spans, span{f.name, name, i * ringPage, i*ringPage + 32 + 16 + 32})
	}
	for slot := 2 * ringPage; slot+128 <= len(f.content)+128; slot += 128 {
		end := min(slot+128, len(f.content))
		if slot < end && slices.ContainsFunc(f.content[slot:end], func(b byte) bool { return b != 0 }) {
			spans = append(spans, span{f.name, "stored.keys slot", slot, slot + 128})
		}
	}
	return spans
}
