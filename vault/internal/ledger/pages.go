package ledger

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

// The file's format is bbolt's (go.etcd.io/bbolt/internal/common), read here with every bound checked. bbolt itself trusts what its pages
// say: a flipped bit there lets it read, and make pointers, anywhere in memory.
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
	flagBucket   = 0x01 // of a leaf's element
)

// Limits of the file, far above what the ledger writes.
const (
	maxPageSpan = 64 << 20 // bytes of one page with its overflow, but for the freelist's
	maxDepth    = 32       // of a tree
)

// metaPage is one of the two pages that say where everything is; the one with the higher transaction counts.
type metaPage struct {
	root     uint64
	freelist uint64
	pages    uint64 // the file's high water mark
	txid     uint64
}

// readMetas reads both meta pages and returns the newer. A commit writes one of them, in one sector, after everything else: so both are
// whole even after a crash, and of consecutive transactions. bbolt would quietly go back to the older.
func readMetas(file io.ReaderAt) (metaPage, error) {
	var metas [2]metaPage
	for i := range metas {
		page := make([]byte, filePageSize)
		if _, err := file.ReadAt(page, int64(i*filePageSize)); err != nil {
			return metaPage{}, fmt.Errorf("read the ledger's meta pages: %w", err)
		}
		var err error
		if metas[i], err = parseMeta(page); err != nil {
			return metaPage{}, err
		}
		if metas[i].txid%2 != uint64(i) {
			return metaPage{}, damaged("a meta page stands in the other's place")
		}
	}
	older, newer := metas[0], metas[1]
	if older.txid > newer.txid {
		older, newer = newer, older
	}
	if newer.txid != older.txid+1 {
		return metaPage{}, damaged("the meta pages are of transactions %d and %d", older.txid, newer.txid)
	}
	return newer, nil
}

func parseMeta(page []byte) (metaPage, error) {
	meta := page[pageHeader : pageHeader+metaBytes]
	sum := fnv.New64a()
	_, _ = sum.Write(meta[:metaBytes-8])
	if binary.LittleEndian.Uint16(page[8:]) != flagMeta || sum.Sum64() != binary.LittleEndian.Uint64(meta[metaBytes-8:]) ||
		binary.LittleEndian.Uint32(meta) != metaMagic || binary.LittleEndian.Uint32(meta[4:]) != metaVersion ||
		binary.LittleEndian.Uint32(meta[8:]) != filePageSize {
		return metaPage{}, damaged("a meta page is altered")
	}
	return metaPage{root: binary.LittleEndian.Uint64(meta[16:]), freelist: binary.LittleEndian.Uint64(meta[32:]),
		pages: binary.LittleEndian.Uint64(meta[40:]), txid: binary.LittleEndian.Uint64(meta[48:])}, nil
}

// pageChecker walks the pages of a file that nobody writes meanwhile, or those of a snapshot.
type pageChecker struct {
	file  io.ReaderAt
	pages uint64
	seen  pageSet // that are used or free
	free  pageSet
	// skim says of which buckets the leaves are named by their branches and not read; nil: of none.
	skim    func(bucket string) bool
	skimmed pageSet // such leaves; of their overflow nothing is known
	// visit is given the records of each leaf that is read, in the order of keys; they stay as they are. nil: nobody looks.
	visit func(bucket string, records []element) error
}

// pageSet has a bit for each page.
type pageSet []uint64

func newPageSet(pages uint64) pageSet  { return make(pageSet, pages/64+1) }
func (s pageSet) has(page uint64) bool { return s[page/64]>>(page%64)&1 == 1 }
func (s pageSet) add(page uint64)      { s[page/64] |= 1 << (page % 64) }

func newPageChecker(file io.ReaderAt, pages uint64) *pageChecker {
	c := &pageChecker{file: file, pages: pages, seen: newPageSet(pages), free: newPageSet(pages), skimmed: newPageSet(pages)}
	c.seen.add(0) // the meta pages
	c.seen.add(1)
	return c
}

// checkPages proves the structure of the file at path: both meta pages, every page of every tree within its bounds and its keys in
// order, and each page of the file used or free, once. Memory: a bit a page, the list of free pages, and a page of each level.
func checkPages(path string) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	meta, err := readMetas(file)
	if err != nil {
		return err
	}
	if err := longEnough(file, meta); err != nil {
		return err
	}
	c := newPageChecker(file, meta.pages)
	if err := c.freelist(meta.freelist); err != nil {
		return err
	}
	if err := c.tree(meta.root, keyRange{}, 0, ""); err != nil {
		return err
	}
	for page := range meta.pages {
		if !c.seen.has(page) {
			return damaged("page %d is neither used nor free", page)
		}
	}
	return nil
}

// longEnough checks that the file has all its pages.
func longEnough(file *os.File, meta metaPage) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if meta.pages > math.MaxInt64/filePageSize || info.Size() < int64(meta.pages)*filePageSize {
		return damaged("the file has %d bytes of %d pages", info.Size(), meta.pages)
	}
	return nil
}

// use notes pages as used or free, for the first time.
func (c *pageChecker) use(id, n uint64) error {
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
func (c *pageChecker) read(id uint64, limit int64) ([]byte, error) {
	var header [pageHeader]byte
	if id < 2 || id >= c.pages {
		return nil, damaged("a page beyond the end is named")
	}
	if _, err := c.file.ReadAt(header[:], int64(id)*filePageSize); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	span := 1 + uint64(binary.LittleEndian.Uint32(header[12:]))
	if binary.LittleEndian.Uint64(header[:]) != id || int64(span)*filePageSize > limit {
		return nil, damaged("page %d has not the header of its place", id)
	}
	if err := c.use(id, span); err != nil {
		return nil, err
	}
	page := make([]byte, span*filePageSize)
	if _, err := c.file.ReadAt(page, int64(id)*filePageSize); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return page, nil
}

func (c *pageChecker) freelist(id uint64) error {
	page, err := c.read(id, int64(c.pages)*8+2*filePageSize)
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

// tree checks a page and what is below it. bucket is whose records its leaves hold; "" is the file's root, whose leaves hold the buckets.
func (c *pageChecker) tree(id uint64, keys keyRange, depth int, bucket string) error {
	return c.subtree(id, keys, depth, maxDepth+1, bucket)
}

// subtree does so; at leaves and deeper the pages are only named.
func (c *pageChecker) subtree(id uint64, keys keyRange, depth, leaves int, bucket string) error {
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
		return damaged("page %d is no page of a tree", id)
	}
	children, err := elements(page, keys, true)
	if err != nil {
		return err
	}
	if len(children) == 0 {
		return damaged("page %d has no children", id)
	}
	for i, child := range children {
		below := keyRange{from: child.key, to: keys.to}
		if i+1 < len(children) {
			below.to = children[i+1].key
		}
		if err := c.subtree(child.page, below, depth+1, leaves, bucket); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks a leaf, and in the file's root the trees of its buckets.
func (c *pageChecker) leaf(page []byte, keys keyRange, bucket string) error {
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
		if err := c.bucketTree(string(e.key), e.value); err != nil {
			return fmt.Errorf("bucket %q: %w", e.key, err)
		}
	}
	if !root && c.visit != nil {
		return c.visit(bucket, found)
	}
	return nil
}

// bucketTree checks the tree of a bucket, of which the file's root says header.
func (c *pageChecker) bucketTree(bucket string, header []byte) error {
	if len(header) < 16 {
		return damaged("the bucket is cut")
	}
	top, inline := binary.LittleEndian.Uint64(header), header[16:]
	if top == 0 {
		return c.inline(inline, bucket)
	}
	leaves := maxDepth + 1
	if c.skim != nil && c.skim(bucket) {
		var err error
		if leaves, err = c.depth(top); err != nil {
			return err
		}
	}
	return c.subtree(top, keyRange{}, 0, leaves, bucket)
}

// depth is how far below a tree's top its leaves are: all are as far.
func (c *pageChecker) depth(id uint64) (int, error) {
	var page [pageHeader + pageElement]byte
	for depth := range maxDepth {
		if id < 2 || id >= c.pages {
			return 0, damaged("a page beyond the end is named")
		}
		if _, err := c.file.ReadAt(page[:], int64(id)*filePageSize); err != nil {
			return 0, fmt.Errorf("read page %d: %w", id, err)
		}
		if binary.LittleEndian.Uint16(page[8:]) != flagBranch {
			return depth, nil
		}
		id = binary.LittleEndian.Uint64(page[pageHeader+8:])
	}
	return 0, damaged("a tree is deeper than %d pages", maxDepth)
}

// freeIsUnused checks that no page of a skimmed leaf is free: bbolt would write over it. A leaf's overflow follows it, so only leaves before free
// pages are looked at.
func (c *pageChecker) freeIsUnused() error {
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
		if _, err := c.file.ReadAt(header[:], int64(leaf)*filePageSize); err != nil {
			return fmt.Errorf("read page %d: %w", leaf, err)
		}
		if span := 1 + uint64(binary.LittleEndian.Uint32(header[12:])); binary.LittleEndian.Uint64(header[:]) != leaf || leaf+span > page {
			return damaged("page %d is in use and in the list of free pages", page)
		}
	}
	return nil
}

// inline checks a small bucket, whose only page stands in its parent's value.
func (c *pageChecker) inline(page []byte, bucket string) error {
	if len(page) < pageHeader || binary.LittleEndian.Uint64(page) != 0 || binary.LittleEndian.Uint16(page[8:]) != flagLeaf ||
		binary.LittleEndian.Uint32(page[12:]) != 0 {
		return damaged("a small bucket is altered")
	}
	return c.leaf(page, keyRange{}, bucket)
}

// element is what a page says of one child or record.
type element struct {
	key, value []byte // of a leaf
	page       uint64 // of a branch
	bucket     bool
}

// elements returns a page's elements, all within it and their keys ascending within keys.
func elements(page []byte, keys keyRange, branch bool) ([]element, error) {
	count := int(binary.LittleEndian.Uint16(page[10:]))
	if pageHeader+count*pageElement > len(page) {
		return nil, damaged("a page has more elements than room")
	}
	all := make([]element, count)
	for i := range all {
		at := pageHeader + i*pageElement
		fields := page[at : at+pageElement]
		var e element
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
		e.key, e.value = page[from:from+keySize], page[from+keySize:from+keySize+valueSize]
		if i > 0 && bytes.Compare(all[i-1].key, e.key) >= 0 || bytes.Compare(e.key, keys.from) < 0 ||
			keys.to != nil && bytes.Compare(e.key, keys.to) >= 0 {
			return nil, damaged("keys are not in order")
		}
		all[i] = e
	}
	return all, nil
}
