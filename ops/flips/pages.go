package flips

import "encoding/binary"

// pages finds the used bytes of a bbolt file (go.etcd.io/bbolt/internal/common): both meta pages,
// the list of free pages, and of every page of every tree the header, the elements, the keys and
// the values.
type pages struct {
	file  string
	data  []byte
	spans []Span
}

// Of bbolt's format.
const (
	boltPage    = 4096
	boltHeader  = 16
	boltElement = 16
	boltMeta    = 64
	boltBranch  = 0x01
	boltLeaf    = 0x02
	boltBucket  = 0x01 // flag of a leaf's element
)

func (p *pages) u16(at int) int    { return int(binary.LittleEndian.Uint16(p.data[at:])) }
func (p *pages) u32(at int) int    { return int(binary.LittleEndian.Uint32(p.data[at:])) }
func (p *pages) u64(at int) uint64 { return binary.LittleEndian.Uint64(p.data[at:]) }

func (p *pages) add(what string, from, n int) {
	p.spans = append(p.spans, Span{p.file, what, from, min(from+n, len(p.data))})
}

func (p *pages) all() []Span {
	newest := 0
	for i := range 2 {
		p.add("meta page", i*boltPage, boltHeader+boltMeta)
		if p.u64(i*boltPage+boltHeader+48) > p.u64(newest*boltPage+boltHeader+48) {
			newest = i
		}
	}
	meta := newest*boltPage + boltHeader
	free := int(p.u64(meta+32)) * boltPage
	p.add("list of free pages", free, boltHeader+8*p.u16(free+10))
	p.tree("root", int(p.u64(meta+16))*boltPage)
	return p.spans
}

// tree adds the pages of a bucket, from the page at an offset down.
func (p *pages) tree(bucket string, at int) {
	p.add("page header of "+bucket, at, boltHeader)
	p.page(bucket, at)
}

// page adds what is on a page, or on the page inside a bucket's value.
func (p *pages) page(bucket string, at int) {
	for i := range p.u16(at + 10) {
		element := at + boltHeader + i*boltElement
		switch flags := p.u16(at + 8); {
		case flags&boltBranch != 0:
			p.add("branch element of "+bucket, element, boltElement)
			p.add("branch key of "+bucket, element+p.u32(element), p.u32(element+4))
			p.tree(bucket, int(p.u64(element+8))*boltPage)
		case flags&boltLeaf != 0:
			key, size := element+p.u32(element+4), p.u32(element+8)
			p.add("element of "+bucket, element, boltElement)
			p.add("key of "+bucket, key, size)
			p.value(bucket, string(p.data[key:key+size]), p.u32(element), key+size, p.u32(element+12))
		}
	}
}

// value adds a value: a record's bytes, or a bucket, whose pages are its own or inside of the
// value.
func (p *pages) value(bucket, key string, flags, at, size int) {
	if flags&boltBucket == 0 {
		p.add("value of "+bucket, at, size)
		return
	}
	p.add("bucket header of "+key, at, boltHeader)
	if root := p.u64(at); root != 0 {
		p.tree(key, int(root)*boltPage)
		return
	}
	p.add("page header of "+key, at+boltHeader, boltHeader)
	p.page(key, at+boltHeader)
}
