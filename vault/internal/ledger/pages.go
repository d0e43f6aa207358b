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

// pageChecker walks every page of a file that nobody writes meanwhile.
type pageChecker struct {
	file  io.ReaderAt
	pages uint64
	seen  []uint64 // a bit for each page
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
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if meta.pages > math.MaxInt64/filePageSize || info.Size() < int64(meta.pages)*filePageSize {
		return damaged("the file has %d bytes of %d pages", info.Size(), meta.pages)
	}
	c := pageChecker{file: file, pages: meta.pages, seen: make([]uint64, meta.pages/64+1)}
	c.seen[0] = 3 // the meta pages
	if err := c.freelist(meta.freelist); err != nil {
		return err
	}
	if err := c.tree(meta.root, keyRange{}, 0, true); err != nil {
		return err
	}
	for page := range meta.pages {
		if c.seen[page/64]>>(page%64)&1 == 0 {
			return damaged("page %d is neither used nor free", page)
		}
	}
	return nil
}

// use notes pages as used or free, for the first time.
func (c *pageChecker) use(id, n uint64) error {
	if id < 2 || id >= c.pages || n > c.pages-id {
		return damaged("a page beyond the end is named")
	}
	for page := id; page < id+n; page++ {
		if c.seen[page/64]>>(page%64)&1 == 1 {
			return damaged("page %d is used twice", page)
		}
		c.seen[page/64] |= 1 << (page % 64)
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
		if err := c.use(binary.LittleEndian.Uint64(list[8*i:]), 1); err != nil {
			return err
		}
	}
	return nil
}

// keyRange is where the keys of a subtree lie: from is in it, to is not; nil is open.
type keyRange struct{ from, to []byte }

// tree checks a page and what is below it. root tells whether its leaves hold buckets, as those of the file's root do, or records.
func (c *pageChecker) tree(id uint64, keys keyRange, depth int, root bool) error {
	if depth > maxDepth {
		return damaged("a tree is deeper than %d pages", maxDepth)
	}
	page, err := c.read(id, maxPageSpan)
	if err != nil {
		return err
	}
	switch binary.LittleEndian.Uint16(page[8:]) {
	case flagLeaf:
		return c.leaf(page, keys, root)
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
		if err := c.tree(child.page, below, depth+1, root); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks a leaf, and in the file's root the trees of its buckets.
func (c *pageChecker) leaf(page []byte, keys keyRange, root bool) error {
	found, err := elements(page, keys, false)
	if err != nil {
		return err
	}
	for _, e := range found {
		switch {
		case e.bucket != root:
			return damaged("a record stands where a bucket should, or a bucket where a record")
		case !root:
			continue
		case len(e.value) < 16:
			return damaged("a bucket is cut")
		}
		top, inline := binary.LittleEndian.Uint64(e.value), e.value[16:]
		if top != 0 {
			err = c.tree(top, keyRange{}, 0, false)
		} else {
			err = c.inline(inline)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inline checks a small bucket, whose only page stands in its parent's value.
func (c *pageChecker) inline(page []byte) error {
	if len(page) < pageHeader || binary.LittleEndian.Uint64(page) != 0 || binary.LittleEndian.Uint16(page[8:]) != flagLeaf ||
		binary.LittleEndian.Uint32(page[12:]) != 0 {
		return damaged("a small bucket is altered")
	}
	return c.leaf(page, keyRange{}, false)
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
