package ledger

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// sum is how many records or index entries one bucket has, and the sum of their MACs. It changes
// with any that is missing, too many, altered, or an older version of itself.
type sum struct {
	Count uint64   `json:"count"`
	Sum   multiset `json:"sum"`
}

// sums holds the sum of each bucket by name, but for the log's, whose root stands in the head.
type sums map[string]sum

// clone copies them for a transaction, whose head names every bucket that this build knows.
func (s sums) clone() sums {
	all := make(sums, len(summedBuckets))
	for _, bucket := range summedBuckets {
		all[bucket] = s[bucket]
	}
	return all
}

// isNew reports whether a bucket's table is newer than the last commit: the sealed head does not
// name it, and it begins empty. Older heads name only what was ever written; the rest is empty as
// well.
func (s sums) isNew(bucket string) bool {
	_, named := s[bucket]
	return !named && slices.Contains(tableBuckets(), bucket)
}

// checkKnown fails with [ErrNewer] where the head names a bucket that this build does not know.
func (s sums) checkKnown() error {
	for bucket := range s {
		if !slices.Contains(summedBuckets, bucket) {
			return fmt.Errorf("it has the table %s, which this build does not know: %w", bucket, ErrNewer)
		}
	}
	return nil
}

// change replaces one value by another in a bucket's sum; nil is none.
func (s sums) change(l *Ledger, bucket string, key, old, value []byte) {
	if l.options.withoutProofs {
		return
	}
	of := s[bucket]
	if old != nil {
		of.Count--
		of.Sum.sub(l.recordMAC(bucket, key, old))
	}
	if value != nil {
		of.Count++
		of.Sum.add(l.recordMAC(bucket, key, value))
	}
	s[bucket] = of
}

// equal compares a bucket's sum with what was found there.
func (s sums) equal(bucket string, found sum) error {
	switch want := s[bucket]; {
	case found.Count != want.Count:
		return damaged("bucket %s has %d records, the last commit left %d: some are missing or too many%s", bucket, found.Count, want.Count, cure(bucket))
	case found != want:
		return damaged("the records of bucket %s are not those of the last commit: one is altered, or an older one%s", bucket, cure(bucket))
	}
	return nil
}

// sealEnds is how much of a sealed value its MAC covers at both ends: version and nonce (25 bytes)
// before, tag (16) after.
const sealEnds = 25

// recordMAC is a record's share of its bucket's sum: over bucket, key, length, and both ends of the
// value. These stand for the whole sealed value: the tag authenticates what is between under nonce
// and place, and an older version has another nonce.
func (l *Ledger) recordMAC(bucket string, key, value []byte) [32]byte {
	data := make([]byte, 0, 192)
	data = append(binary.BigEndian.AppendUint32(data, uint32(len(bucket))), bucket...)
	data = append(binary.BigEndian.AppendUint32(data, uint32(len(key))), key...)
	data = binary.BigEndian.AppendUint32(data, uint32(len(value)))
	if bucket == bucketKeys || len(value) < 2*sealEnds {
		return l.box.MAC(append(data, value...))
	}
	data = append(data, value[:sealEnds]...)
	return l.box.MAC(append(data, value[len(value)-sealEnds:]...))
}

// multiset is the sum of its members' MACs modulo 2^256 (the MSet-Add-Hash of Clarke and others,
// 2003): it does not depend on their order, and a record's share is taken out as it was put in.
// Little-endian words.
type multiset [4]uint64

func (m *multiset) add(mac [32]byte) {
	var carry uint64
	for i := range m {
		m[i], carry = bits.Add64(m[i], binary.LittleEndian.Uint64(mac[8*i:]), carry)
	}
}

func (m *multiset) sub(mac [32]byte) {
	var borrow uint64
	for i := range m {
		m[i], borrow = bits.Sub64(m[i], binary.LittleEndian.Uint64(mac[8*i:]), borrow)
	}
}

// join adds another sum's members.
func (s *sum) join(o sum) {
	s.Count += o.Count
	var carry uint64
	for i := range s.Sum {
		s.Sum[i], carry = bits.Add64(s.Sum[i], o.Sum[i], carry)
	}
}
