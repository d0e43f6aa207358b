// Package pages checks the structure of a bbolt file before bbolt follows it, and reads the records
// on its leaves without it. It opens no record and holds no key: what is in the records, the ledger
// proves.
package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
)

// Size is a page's, in bytes.
const Size = 4096

// ErrDamaged is returned when the file is not what was written.
var ErrDamaged = errors.New("the ledger is damaged: stop the vault, keep the file as it is, and put a sound copy in its place")

func damaged(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrDamaged)...)
}

// The file's format is bbolt's (go.etcd.io/bbolt/internal/common), read here with every bound
// checked. bbolt itself trusts what its pages say: a flipped bit there lets it read, and make
// pointers, anywhere in memory.
const (
	pageHeader  = 16 // id (8), flags (2), count (2), overflow (4); all little endian
	pageElement = 16
	metaBytes   = 64

	metaMagic   = 0xED0CDAED
	metaVersion = 2

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10
	flagBucket   = 0x01 // of a leaf's Element
)

// Limits of the file, far above what the ledger writes.
const (
	maxPageSpan = 64 << 20 // bytes of one page with its overflow, but for the freelist's
	maxDepth    = 32       // of a tree
)

// Meta is one of the two pages that say where everything is; the one with the higher transaction
// counts.
type Meta struct {
	Root     uint64
	Freelist uint64
	Pages    uint64 // the file's high water mark
	txid     uint64
}

// readMetas reads both meta pages and returns the newer. A commit writes one of them, in one
// sector, after everything else: so both are whole even after a crash, and of consecutive
// transactions. bbolt would quietly go back to the older.
func readMetas(file io.ReaderAt) (Meta, error) {
	var metas [2]Meta
	for i := range metas {
		page := make([]byte, Size)
		if _, err := file.ReadAt(page, int64(i*Size)); err != nil {
			return Meta{}, fmt.Errorf("read the ledger's meta pages: %w", err)
		}
		var err error
		if metas[i], err = parseMeta(page); err != nil {
			return Meta{}, err
		}
		if metas[i].txid%2 != uint64(i) {
			return Meta{}, damaged("a meta page stands in the other's place")
		}
	}
	older, newer := metas[0], metas[1]
	if older.txid > newer.txid {
		older, newer = newer, older
	}
	if newer.txid != older.txid+1 {
		return Meta{}, damaged("the meta pages are of transactions %d and %d", older.txid, newer.txid)
	}
	return newer, nil
}

func parseMeta(page []byte) (Meta, error) {
	meta := page[pageHeader : pageHeader+metaBytes]
	sum := fnv.New64a()
	_, _ = sum.Write(meta[:metaBytes-8])
	if binary.LittleEndian.Uint16(page[8:]) != flagMeta || sum.Sum64() != binary.LittleEndian.Uint64(meta[metaBytes-8:]) ||
		binary.LittleEndian.Uint32(meta) != metaMagic || binary.LittleEndian.Uint32(meta[4:]) != metaVersion ||
		binary.LittleEndian.Uint32(meta[8:]) != Size {
		return Meta{}, damaged("a meta page is altered")
	}
	return Meta{Root: binary.LittleEndian.Uint64(meta[16:]), Freelist: binary.LittleEndian.Uint64(meta[32:]),
		Pages: binary.LittleEndian.Uint64(meta[40:]), txid: binary.LittleEndian.Uint64(meta[48:])}, nil
}

// Walk walks the pages of a file that nobody writes meanwhile, or those of a snapshot.
type Walk struct {
	file  io.ReaderAt
	pages uint64
	seen  pageSet // that are used or free
	free  pageSet
	// Skim says of which buckets the leaves are named by their branches and not read; nil: of none.
	Skim    func(bucket string) bool
	skimmed pageSet // such leaves; of their overflow nothing is known
	// Visit is given the records of each leaf that is read, in the order of keys; they stay as they
	// are. nil: nobody looks.
	Visit func(bucket string, records []Element) error
}

// pageSet has a bit for each page.
type pageSet []uint64

func newPageSet(pages uint64) pageSet  { return make(pageSet, pages/64+1) }
func (s pageSet) has(page uint64) bool { return s[page/64]>>(page%64)&1 == 1 }
func (s pageSet) add(page uint64)      { s[page/64] |= 1 << (page % 64) }

// NewWalk begins at a file of so many pages.
func NewWalk(file io.ReaderAt, pages uint64) *Walk {
	c := &Walk{file: file, pages: pages, seen: newPageSet(pages), free: newPageSet(pages), skimmed: newPageSet(pages)}
	c.seen.add(0) // the meta pages
	c.seen.add(1)
	return c
}

// Open opens the file at path and reads its newer meta page; it writes nothing.
func Open(path string) (*os.File, Meta, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, Meta{}, err
	}
	meta, err := readMetas(file)
	if err == nil {
		err = longEnough(file, meta)
	}
	if err != nil {
		return nil, Meta{}, errors.Join(err, file.Close())
	}
	return file, meta, nil
}

// Check proves the structure of the file at path: both meta pages, every page of every tree within
// its bounds and its keys in order, and each page of the file used or free, once. Memory: a bit a
// page, the list of free pages, and a page of each level.
func Check(path string) error {
	return walk(path, nil, func(c *Walk) error {
		for page := range c.pages {
			if !c.seen.has(page) {
				return damaged("page %d is neither used nor free", page)
			}
		}
		return nil
	})
}

// CheckBranches checks the pages on the way to every record, before bbolt follows them: keys in
// order and where their branches say, each page in one place, and none of them free, for bbolt
// would write over it. Of leaves it knows only who names them.
func CheckBranches(path string) error {
	return walk(path, func(string) bool { return true }, (*Walk).freeIsUnused)
}

func walk(path string, skim func(bucket string) bool, end func(*Walk) error) (err error) {
	file, meta, err := Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	c := NewWalk(file, meta.Pages)
	c.Skim = skim
	if err := c.freePages(meta.Freelist); err != nil {
		return err
	}
	if err := c.Tree(meta.Root); err != nil {
		return err
	}
	return end(c)
}

// longEnough checks that the file has all its pages.
func longEnough(file *os.File, meta Meta) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if meta.Pages > math.MaxInt64/Size || info.Size() < int64(meta.Pages)*Size {
		return damaged("the file has %d bytes of %d pages", info.Size(), meta.Pages)
	}
	return nil
}

// use notes pages as used or free, for the first time.
func (c *Walk) use(id, n uint64) error {
	if id < 2 || id >= c.pages || n > c.pages-id {
		return damaged("a page beyond the end is named")
	}
	for page := id; page < id+n; page++ {
		if c.seen.has(page) {
			return damaged("page %d is used twice", page)
		}
		c.seen.add(page)
	}
	return nil
}

// read reads a page with its overflow and notes it as used.
func (c *Walk) read(id uint64, limit int64) ([]byte, error) {
	var header [pageHeader]byte
	if id < 2 || id >= c.pages {
		return nil, damaged("a page beyond the end is named")
	}
	if _, err := c.file.ReadAt(header[:], int64(id)*Size); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	span := 1 + uint64(binary.LittleEndian.Uint32(header[12:]))
	if binary.LittleEndian.Uint64(header[:]) != id || int64(span)*Size > limit {
		return nil, damaged("page %d has not the header of its place", id)
	}
	if err := c.use(id, span); err != nil {
		return nil, err
	}
	page := make([]byte, span*Size)
	if _, err := c.file.ReadAt(page, int64(id)*Size); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return page, nil
}

func (c *Walk) freePages(id uint64) error {
	page, err := c.read(id, int64(c.pages)*8+2*Size)
	if err != nil {
		return err
	}
	count := uint64(binary.LittleEndian.Uint16(page[10:]))
	list := page[pageHeader:]
	if count == 0xFFFF {
		count, list = binary.LittleEndian.Uint64(list), list[8:]
	}
	if binary.LittleEndian.Uint16(page[8:]) != flagFreelist || count > uint64(len(list)/8) {
		return damaged("the list of free pages is altered")
	}
	for i := range count {
		page := binary.LittleEndian.Uint64(list[8*i:])
		if err := c.use(page, 1); err != nil {
			return fmt.Errorf("the list of free pages: %w", err)
		}
		c.free.add(page)
	}
	return nil
}

// keyRange is where the keys of a subtree lie: from is in it, to is not; nil is open.
type keyRange struct{ from, to []byte }

// Tree checks the whole tree below the file's root, whose leaves hold the buckets.
func (c *Walk) Tree(root uint64) error { return c.subtree(root, keyRange{}, 0, maxDepth+1, "") }

// subtree checks a page and what is below it. bucket is whose records its leaves hold; "" is the
// file's root. At leaves and deeper the pages are only named.
func (c *Walk) subtree(id uint64, keys keyRange, depth, leaves int, bucket string) error {
	if depth > maxDepth {
		return damaged("a tree is deeper than %d pages", maxDepth)
	}
	if depth >= leaves {
		if err := c.use(id, 1); err != nil {
			return err
		}
		c.skimmed.add(id)
		return nil
	}
	page, err := c.read(id, maxPageSpan)
	if err != nil {
		return err
	}
	switch binary.LittleEndian.Uint16(page[8:]) {
	case flagLeaf:
		return c.leaf(page, keys, bucket)
	case flagBranch:
	default:
		return damaged("page %d is not a page of a tree", id)
	}
	children, err := elements(page, keys, true)
	if err != nil {
		return err
	}
	if len(children) == 0 {
		return damaged("page %d has no children", id)
	}
	for i, child := range children {
		below := keyRange{from: child.Key, to: keys.to}
		if i+1 < len(children) {
			below.to = children[i+1].Key
		}
		if err := c.subtree(child.page, below, depth+1, leaves, bucket); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks a leaf, and in the file's root the trees of its buckets.
func (c *Walk) leaf(page []byte, keys keyRange, bucket string) error {
	found, err := elements(page, keys, false)
	if err != nil {
		return err
	}
	root := bucket == ""
	for _, e := range found {
		if e.bucket != root {
			return damaged("a record stands where a bucket should, or a bucket where a record")
		}
		if !root {
			continue
		}
		if err := c.bucketTree(string(e.Key), e.Value); err != nil {
			return fmt.Errorf("bucket %q: %w", e.Key, err)
		}
	}
	if !root && c.Visit != nil {
		return c.Visit(bucket, found)
	}
	return nil
}

// bucketTree checks the tree of a bucket, of which the file's root says header.
func (c *Walk) bucketTree(bucket string, header []byte) error {
	if len(header) < 16 {
		return damaged("the bucket is cut")
	}
	top, inline := binary.LittleEndian.Uint64(header), header[16:]
	if top == 0 {
		return c.inline(inline, bucket)
	}
	leaves := maxDepth + 1
	if c.Skim != nil && c.Skim(bucket) {
		var err error
		if leaves, err = c.depth(top); err != nil {
			return err
		}
	}
	return c.subtree(top, keyRange{}, 0, leaves, bucket)
}

// depth is how far below a tree's top its leaves are: all are as far.
func (c *Walk) depth(id uint64) (int, error) {
	var page [pageHeader + pageElement]byte
	for depth := range maxDepth {
		if id < 2 || id >= c.pages {
			return 0, damaged("a page beyond the end is named")
		}
		if _, err := c.file.ReadAt(page[:], int64(id)*Size); err != nil {
			return 0, fmt.Errorf("read page %d: %w", id, err)
		}
		if binary.LittleEndian.Uint16(page[8:]) != flagBranch {
			return depth, nil
		}
		id = binary.LittleEndian.Uint64(page[pageHeader+8:])
	}
	return 0, damaged("a tree is deeper than %d pages", maxDepth)
}

// freeIsUnused checks that no page of a skimmed leaf is free: bbolt would write over it. A leaf's
// overflow follows it, so only leaves before free pages are checked.
func (c *Walk) freeIsUnused() error {
	for page := uint64(2); page < c.pages; page++ {
		if !c.free.has(page) || c.free.has(page-1) {
			continue
		}
		leaf := page - 1
		for leaf > 1 && !c.seen.has(leaf) {
			leaf--
		}
		if leaf < 2 || !c.skimmed.has(leaf) {
			continue
		}
		var header [pageHeader]byte
		if _, err := c.file.ReadAt(header[:], int64(leaf)*Size); err != nil {
			return fmt.Errorf("read page %d: %w", leaf, err)
		}
		if span := 1 + uint64(binary.LittleEndian.Uint32(header[12:])); binary.LittleEndian.Uint64(header[:]) != leaf || leaf+span > page {
			return damaged("page %d is in use and in the list of free pages", page)
		}
	}
	return nil
}

// inline checks a small bucket, whose only page stands in its parent's value.
func (c *Walk) inline(page []byte, bucket string) error {
	if len(page) < pageHeader || binary.LittleEndian.Uint64(page) != 0 || binary.LittleEndian.Uint16(page[8:]) != flagLeaf ||
		binary.LittleEndian.Uint32(page[12:]) != 0 {
		return damaged("a small bucket is altered")
	}
	return c.leaf(page, keyRange{}, bucket)
}

// Element is what a page says of one child or record.
type Element struct {
	Key, Value []byte // of a leaf
	page       uint64 // of a branch
	bucket     bool
}

// elements returns a page's elements, all within it and their keys ascending within keys.
func elements(page []byte, keys keyRange, branch bool) ([]Element, error) {
	count := int(binary.LittleEndian.Uint16(page[10:]))
	if pageHeader+count*pageElement > len(page) {
		return nil, damaged("a page has more elements than room")
	}
	all := make([]Element, count)
	for i := range all {
		at := pageHeader + i*pageElement
		fields := page[at : at+pageElement]
		var e Element
		var pos, keySize, valueSize uint64
		if branch {
			pos, keySize = uint64(binary.LittleEndian.Uint32(fields)), uint64(binary.LittleEndian.Uint32(fields[4:]))
			e.page = binary.LittleEndian.Uint64(fields[8:])
		} else {
			flags := binary.LittleEndian.Uint32(fields)
			if flags > flagBucket {
				return nil, damaged("a record has flags that are none")
			}
			e.bucket = flags == flagBucket
			pos, keySize = uint64(binary.LittleEndian.Uint32(fields[4:])), uint64(binary.LittleEndian.Uint32(fields[8:]))
			valueSize = uint64(binary.LittleEndian.Uint32(fields[12:]))
		}
		from := uint64(at) + pos
		if from < uint64(pageHeader+count*pageElement) || from+keySize+valueSize > uint64(len(page)) || keySize == 0 {
			return nil, damaged("a record lies outside its page")
		}
		e.Key, e.Value = page[from:from+keySize], page[from+keySize:from+keySize+valueSize]
		if i > 0 && bytes.Compare(all[i-1].Key, e.Key) >= 0 || bytes.Compare(e.Key, keys.from) < 0 ||
			keys.to != nil && bytes.Compare(e.Key, keys.to) >= 0 {
			return nil, damaged("keys are not in order")
		}
		all[i] = e
	}
	return all, nil
}
