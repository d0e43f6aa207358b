package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/seal"
	"nightdrop/shared/untrusted"
	"nightdrop/vault/internal/merkle"
)

// Report is the result of [Verify].
type Report struct {
	Origin   string `json:"origin"`
	Size     int64  `json:"size"`     // entries, by the checkpoint
	Root     string `json:"root"`     // base64, by the checkpoint
	Verified int64  `json:"verified"` // entries whose record, hashes and body are right
	// entries whose body was left out by log.json: their records and hashes are right
	Absent  int64 `json:"absent"`
	Earlier int   `json:"earlier"` // given checkpoints with which the log begins
	// log keys wrapped for auditors, who alone can check whether they open
	Wraps int `json:"wraps"`
	// [SummarySigned] or [SummaryUnsigned]; empty where there is no summary
	Summary  string    `json:"summary"`
	FirstBad int64     `json:"firstBad"` // index of the first entry that does not verify, or -1
	Problems []Problem `json:"problems"` // at most maxProblems
	Count    int       `json:"count"`    // of all problems
}

// Problem is one thing that does not match the checkpoint.
type Problem struct {
	Index int64  `json:"index"` // of the entry, or the file's first; -1 for the log as a whole
	File  string `json:"file"`  // in the log's directory
	What  string `json:"what"`
}

// maxProblems bounds a report.
const maxProblems = 100

// add adds a problem of entries from index on, or of the log as a whole (-1).
func (r *Report) add(index int64, file, what string) {
	if index >= 0 && (r.FirstBad < 0 || index < r.FirstBad) {
		r.FirstBad = index
	}
	r.note(index, file, what)
}

// note adds a problem of no single entry.
func (r *Report) note(index int64, file, what string) {
	r.Count++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, Problem{index, file, what})
	}
}

// Err returns nil, or [ErrIntegrity] with the first problem.
func (r *Report) Err() error {
	if r.Count == 0 {
		return nil
	}
	p := r.Problems[0]
	return fmt.Errorf("%d problems, the first in %s: %s: %w", r.Count, p.File, p.What, ErrIntegrity)
}

// VerifyOptions are the options of [Verify].
type VerifyOptions struct {
	Earlier  []Earlier               // checkpoints that the log must begin with
	Progress func(done, total int64) // entries; may be nil
}

// Earlier is an earlier checkpoint, with a verified signature.
type Earlier struct {
	From string // its origin, for the report
	proof.Checkpoint
}

// Verify verifies an exported log from its files alone: the checkpoint's signature by vault, every
// record, every hash of every tile, the root, every sealed entry against its record, and that the
// log begins with the log of each earlier checkpoint. It needs no secret and opens no entry. On
// [ErrIntegrity] the report lists what is wrong; other errors are of reading, or ctx's.
func Verify(ctx context.Context, dir string, vault note.Verifier, o VerifyOptions) (Report, error) {
	report := Report{Origin: vault.Name(), FirstBad: -1, Problems: []Problem{}}
	msg, err := untrusted.Dir(dir).ReadFile(checkpointFile, note.MaxBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return report, fmt.Errorf("there is no exported log, or its export was not finished (run it again to continue): %w", err)
	}
	if errors.Is(err, untrusted.ErrUnfit) {
		report.add(-1, checkpointFile, err.Error())
		return report, report.Err()
	}
	if err != nil {
		return report, fmt.Errorf("verify the log: %w", err)
	}
	c, err := proof.OpenCheckpoint(msg, vault)
	if err != nil {
		name, _, _ := bytes.Cut(msg, []byte("\n"))
		report.Origin = ""
		report.add(-1, checkpointFile, fmt.Sprintf("%v: it names %.64q, but the given key is %s", err, name, vault))
		return report, report.Err()
	}
	report.Size, report.Root = c.Size, c.Root.String()
	earlier := slices.SortedStableFunc(slices.Values(o.Earlier), func(a, b Earlier) int { return cmp.Compare(a.Size, b.Size) })
	v := verifier{dir: untrusted.Dir(dir), frames: frameReader{dir: untrusted.Dir(dir)}, checkpoint: c, earlier: earlier, report: &report, progress: o.Progress}
	if err := v.run(ctx, vault); err != nil {
		return report, fmt.Errorf("verify the log: %w", err)
	}
	return report, report.Err()
}

type verifier struct {
	dir        untrusted.Dir
	frames     frameReader
	checkpoint proof.Checkpoint
	earlier    []Earlier // by size, those not yet compared
	differ     []Earlier // with which the log does not begin
	bodies     int64     // index of the first required body
	report     *Report
	progress   func(done, total int64) // may be nil
	tail       merkle.Tail
	tiles      [merkle.MaxLevel/tileHeight + 1][]byte // by level: the hashes of the tile under way
	numbers    [merkle.MaxLevel/tileHeight + 1]int64  // by level: that tile's number
}

func (v *verifier) run(ctx context.Context, vault note.Verifier) error {
	if err := v.info(vault); err != nil {
		return err
	}
	v.checkEarlier()
	for n := range bundlesOf(v.checkpoint.Size) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.bundle(n, widthOf(n, v.checkpoint.Size)); err != nil {
			return err
		}
		if v.progress != nil {
			v.progress(min((n+1)*tileWidth, v.checkpoint.Size), v.checkpoint.Size)
		}
	}
	for level, hashes := range v.tiles {
		if len(hashes) > 0 {
			if err := v.tile(level); err != nil {
				return err
			}
		}
	}
	if err := errors.Join(v.checkWraps(ctx), v.summary(vault)); err != nil {
		return err
	}
	whole := v.tail.Root() == v.checkpoint.Root
	if !whole {
		v.report.add(-1, checkpointFile, "the entries' root is not the one in the checkpoint")
	}
	for _, e := range v.differ {
		what := "the first %d entries are not those that the vault signed in this checkpoint: the log was rewritten"
		if !whole { // the vault has not signed these files
			what = "the first %d entries cannot be compared with this checkpoint: the files here are not those that the vault signed"
		}
		v.report.note(-1, e.From, fmt.Sprintf(what, e.Size))
	}
	for _, e := range v.earlier {
		v.report.note(v.checkpoint.Size, e.From, fmt.Sprintf("the vault has signed a log of %d entries and this export ends after %d: its end was cut off, or it is "+
			"older than that checkpoint: export again", e.Size, v.checkpoint.Size))
	}
	return nil
}

// checkEarlier compares the root with the earlier checkpoints of this size.
func (v *verifier) checkEarlier() {
	for ; len(v.earlier) > 0 && v.earlier[0].Size == v.tail.Size(); v.earlier = v.earlier[1:] {
		if e := v.earlier[0]; v.tail.Root() != e.Root {
			v.differ = append(v.differ, e)
			continue
		}
		v.report.Earlier++
	}
}

func (v *verifier) info(vault note.Verifier) error {
	data, err := v.read(logFile, maxInfo)
	if err != nil || data == nil {
		return err
	}
	info, err := parseInfo(data, vault)
	if err != nil {
		v.report.add(-1, logFile, err.Error())
		return nil
	}
	v.bodies = info.Bodies
	return nil
}

// read returns a file of up to limit bytes; where that fails, nil and a problem of the log.
func (v *verifier) read(name string, limit int) ([]byte, error) {
	data, err := v.dir.ReadFile(name, limit)
	return data, v.problem(-1, name, asDamage(err))
}

// problem adds what is wrong with a file, and returns other errors.
func (v *verifier) problem(index int64, name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		v.report.add(index, name, "it is missing")
		return nil
	}
	if bad, ok := errors.AsType[damage](err); ok {
		v.report.add(index, name, bad.Error())
		return nil
	}
	return err
}

// absent reports whether the bodies of the bundle from first on were left out by choice.
func (v *verifier) absent(first int64, name string) (bool, error) {
	if first >= v.bodies {
		return false, nil
	}
	there, err := v.dir.Has(name)
	return !there, err
}

// maxAuditors bounds the auditors whose keys a verifier remembers.
const maxAuditors = 1 << 16

// checkWraps checks the form of the wrapped log keys; only their auditors can check whether they
// open.
func (v *verifier) checkWraps(ctx context.Context) error {
	keys := map[string][]byte{} // by auditor: Tink's prefix of its key
	err := v.dir.Walk(keysDir, 2, func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return v.checkWrap(name, keys)
	})
	return v.problem(-1, keysDir, asDamage(err))
}

func (v *verifier) checkWrap(name string, keys map[string][]byte) error {
	wrap, err := v.read(name, seal.WrapBytes)
	if err != nil || wrap == nil {
		return err
	}
	auditor := path.Base(name)
	number, err := strconv.ParseUint(path.Base(path.Dir(name)), 10, 32)
	if err != nil || number == 0 || name != wrapPath(uint32(number), auditor) || !envelope.ValidMerchant(auditor) {
		v.report.note(-1, name, "it is not a wrapped log key, which is named keys/NUMBER/AUDITOR")
		return nil
	}
	v.report.Wraps++
	if len(wrap) != seal.WrapBytes || wrap[0] != 1 {
		v.report.note(-1, name, "it is not in the form of a wrapped log key")
		return nil
	}
	prefix := wrap[:seal.WrapPrefixBytes]
	known := keys[auditor]
	switch {
	case known == nil && len(keys) == maxAuditors:
		v.report.note(-1, name, fmt.Sprintf("there are over %d auditors", maxAuditors))
	case known == nil:
		keys[auditor] = bytes.Clone(prefix) // so as not to keep the file
	case !bytes.Equal(known, prefix):
		v.report.note(-1, name, "it is wrapped for another key than the auditor's others")
	}
	return nil
}

// bundle verifies a bundle.
func (v *verifier) bundle(n int64, width int) error {
	first := n * tileWidth
	records, err := v.records(first, entriesPath(n, width), width)
	if err != nil {
		return err
	}
	if err := v.bundleBodies(first, bodiesPath(n, width), records); err != nil {
		return err
	}
	for _, record := range records {
		if err := v.leaf(record); err != nil {
			return err
		}
	}
	return nil
}

// records reads the records of a bundle; missing ones are nil, so that the root does not match.
func (v *verifier) records(first int64, name string, width int) ([][]byte, error) {
	records := make([][]byte, 0, width)
	err := v.frames.each(name, 2, width, func(record []byte) error {
		if len(record) != proof.LeafBytes {
			v.report.add(first+int64(len(records)), name, "the record is not 64 bytes")
			record = nil
		}
		records = append(records, bytes.Clone(record))
		return nil
	})
	if err != nil {
		records = make([][]byte, width)
	}
	return records, v.problem(first, name, err)
}

// bundleBodies compares the sealed entries of a bundle with their records.
func (v *verifier) bundleBodies(first int64, name string, records [][]byte) error {
	absent, err := v.absent(first, name)
	if err != nil {
		return err
	}
	if absent {
		for _, record := range records {
			if record != nil {
				v.report.Absent++
			}
		}
		return nil
	}
	index := first
	err = v.frames.each(name, 4, len(records), func(body []byte) error {
		record := records[index-first]
		switch {
		case record == nil:
		case sha256.Sum256(body) != [sha256.Size]byte(record[sha256.Size:]):
			v.report.add(index, name, "the sealed entry does not match its record")
		default:
			v.report.Verified++
		}
		index++
		return nil
	})
	return v.problem(min(index, first+int64(len(records))-1), name, err)
}

// leaf adds a record to the tree and checks the tiles that it completes.
func (v *verifier) leaf(record []byte) error {
	for level, h := range v.tail.Add(record) {
		if level%tileHeight != 0 {
			continue
		}
		level /= tileHeight
		v.tiles[level] = append(v.tiles[level], h[:]...)
		if len(v.tiles[level]) == tileWidth*tlog.HashSize {
			if err := v.tile(level); err != nil {
				return err
			}
		}
	}
	v.checkEarlier()
	return nil
}

// tile compares the current tile of a level with its file.
func (v *verifier) tile(level int) error {
	want := v.tiles[level]
	width := len(want) / tlog.HashSize
	t := tlog.Tile{H: tileHeight, L: level, N: v.numbers[level], W: width}
	span := int64(1) << (level * tileHeight) // leaves under one hash
	first := t.N * tileWidth * span
	v.tiles[level] = want[:0]
	v.numbers[level]++
	problem := v.report.add
	if level > 0 {
		problem = v.report.note // of several entries
	}
	got, err := v.dir.ReadFile(tilePath(t), proof.TileBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problem(first, tilePath(t), "it is missing")
		return nil
	case errors.Is(err, untrusted.ErrUnfit):
		problem(first, tilePath(t), err.Error())
		return nil
	case err != nil:
		return err
	case len(got) != len(want):
		problem(first, tilePath(t), fmt.Sprintf("it has %d bytes of %d", len(got), len(want)))
		return nil
	}
	for i := range width {
		a, b := got[i*tlog.HashSize:][:tlog.HashSize], want[i*tlog.HashSize:][:tlog.HashSize]
		if !bytes.Equal(a, b) {
			problem(first+int64(i)*span, tilePath(t), "hash "+hex.EncodeToString(a[:4])+"… does not match the entries below it")
		}
	}
	return nil
}
