package merkle

import "fmt"

// Rows are a log's rows, by the index of their leaf. What the methods return, nil for a missing
// row, may be read until the transaction ends, and must not be changed.
type Rows interface {
	Entry(index int64) []byte // the sealed entry
	// the first half of the record, and the hashes that the leaf completes
	Node(index int64) []byte
}

// Store stores rows. Put is called for each index once, in order, and stores entry and node both or
// neither.
type Store interface {
	Rows
	Put(index int64, entry, node []byte) error
}

// Memory is a [Store] in memory. The zero Memory is empty.
type Memory [][2][]byte

// Entry returns the sealed entry of a leaf.
func (m Memory) Entry(index int64) []byte { return m.row(index, 0) }

// Node returns the node row of a leaf.
func (m Memory) Node(index int64) []byte { return m.row(index, 1) }

func (m Memory) row(index int64, which int) []byte {
	if index < 0 || index >= int64(len(m)) {
		return nil
	}
	return m[index][which]
}

// Put appends a leaf's rows.
func (m *Memory) Put(index int64, entry, node []byte) error {
	if index != int64(len(*m)) {
		return fmt.Errorf("row %d does not follow %d rows", index, len(*m))
	}
	*m = append(*m, [2][]byte{entry, node})
	return nil
}
