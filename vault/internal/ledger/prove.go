package ledger

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"nightdrop/vault/internal/ledger/pages"
	"nightdrop/vault/internal/merkle"
)

// laterBuckets are big, and no money depends on what is missing there: they are compared with their
// sums after the unlock.
var laterBuckets = []string{bucketParts, bucketResults}

// provenFirst reports whether a bucket is compared with its sum before anything is sent or
// destroyed.
func provenFirst(bucket string) bool {
	return !slices.Contains(laterBuckets, bucket) && slices.Contains(summedBuckets, bucket)
}

// maxEntries bounds the room for tags before the sums have proved how many there are.
const maxEntries = 1 << 28

// proveFirst compares the buckets on which money depends, indexes included, with their sums,
// reading every leaf. About 2 s a million payments on two processors, with the file in memory.
func (l *Ledger) proveFirst() (err error) {
	if l.options.withoutProofs {
		return nil
	}
	file, meta, err := pages.Open(l.path)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	entries := 0
	for bucket, of := range l.head.Sums {
		if provenFirst(bucket) {
			entries += int(min(of.Count, maxEntries))
		}
	}
	l.tags = newTags(entries)
	found := l.startSumming()
	c := pages.NewWalk(file, meta.Pages)
	c.Skim = func(bucket string) bool { return !provenFirst(bucket) }
	c.Visit = func(bucket string, records []pages.Element) error {
		if provenFirst(bucket) { // small ones have no pages to be skimmed
			l.tags.fill(bucket, records)
			found.add(bucket, records)
		}
		return nil
	}
	err = c.Tree(meta.Root)
	of := found.finish()
	for _, bucket := range summedBuckets {
		if err == nil && provenFirst(bucket) {
			err = l.head.Sums.equal(bucket, of[bucket])
		}
	}
	return err
}

// proveLater does so with the rest and hashes the log's tree again, while the vault works; damage
// ends the work.
func (l *Ledger) proveLater() {
	begun := time.Now()
	err := l.noted(naming(l.path, guard(func() error {
		for _, bucket := range laterBuckets {
			if err := l.proveBucket(bucket); err != nil {
				return err
			}
			close(l.proven[bucket])
		}
		return l.proveLog()
	})))
	switch {
	case errors.Is(err, ErrClosed):
	case err != nil:
		close(l.unproven)
		l.options.Logger.Error("the rest of the ledger is not what was written: it takes no more", "file", l.path, "error", err)
	default:
		l.options.Logger.Info("the rest of the ledger is what was written", "file", l.path, "took", time.Since(begun).Round(time.Millisecond).String())
	}
}

// proveBucket compares a bucket with its sum on a snapshot.
func (l *Ledger) proveBucket(bucket string) error {
	return l.snapshot(func(b *bbolt.Tx) error {
		h, err := l.readHead(b)
		if err != nil {
			return err
		}
		found, err := l.sumPages(b, func(of string) bool { return of == bucket }, l.closingError)
		if err != nil {
			return err
		}
		return h.Sums.equal(bucket, found[bucket])
	})
}

// sumPages reads all pages of some buckets on a snapshot, checks their structure and sums their
// records. goOn is called after every leaf. Nobody writes over a snapshot's pages.
func (l *Ledger) sumPages(b *bbolt.Tx, read func(bucket string) bool, goOn func() error) (found sums, err error) {
	file, err := os.Open(l.path)
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	found = sums{}
	c := pages.NewWalk(file, uint64(b.Size()/pages.Size))
	c.Skim = func(bucket string) bool { return !read(bucket) }
	c.Visit = func(bucket string, records []pages.Element) error {
		if !read(bucket) { // small ones have no pages to be skimmed
			return nil
		}
		of := found[bucket]
		for _, e := range records {
			of.Count++
			of.Sum.add(l.recordMAC(bucket, e.Key, e.Value))
		}
		found[bucket] = of
		return goOn()
	}
	return found, c.Tree(uint64(b.Cursor().Bucket().Root()))
}

// logChunk is how many entries of the log are hashed on one snapshot.
const logChunk = 4096

// proveLog hashes the log's entries again up to where it then ends.
func (l *Ledger) proveLog() error {
	var tail merkle.Tail
	for done := false; !done; {
		err := l.snapshot(func(b *bbolt.Tx) error {
			h, err := l.readHead(b)
			if err != nil {
				return err
			}
			for range logChunk {
				if done = tail.Size() == h.Size; done {
					break
				}
				record, _, err := merkle.Stored(rows{b}, tail.Size())
				if err == nil {
					err = tail.CheckRow(rows{b}, record[:])
				}
				if err != nil {
					return fmt.Errorf("%w: %w", err, ErrDamaged)
				}
			}
			if done && tail.Root() != h.root() {
				return damaged("the log's end does not match the head")
			}
			return l.closingError()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) snapshot(fn func(*bbolt.Tx) error) error {
	err := l.db.View(fn)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// closingError is ErrClosed once the ledger is being closed.
func (l *Ledger) closingError() error {
	select {
	case <-l.stop:
		return ErrClosed
	default:
		return nil
	}
}

// summing adds up the MACs of records, on all processors.
type summing struct {
	leaves chan leafRecords
	ended  sync.WaitGroup
	mu     sync.Mutex
	found  sums
}

type leafRecords struct {
	bucket  string
	records []pages.Element
}

func (l *Ledger) startSumming() *summing {
	s := &summing{leaves: make(chan leafRecords, 64), found: sums{}}
	for range runtime.GOMAXPROCS(0) {
		s.ended.Go(func() {
			mine := sums{}
			for leaf := range s.leaves {
				of := mine[leaf.bucket]
				for _, e := range leaf.records {
					of.Count++
					of.Sum.add(l.recordMAC(leaf.bucket, e.Key, e.Value))
				}
				mine[leaf.bucket] = of
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for bucket, of := range mine {
				all := s.found[bucket]
				all.join(of)
				s.found[bucket] = all
			}
		})
	}
	return s
}

// add adds the records of a leaf, which must stay as they are.
func (s *summing) add(bucket string, records []pages.Element) {
	s.leaves <- leafRecords{bucket, records}
}

// finish returns the sums of what was added.
func (s *summing) finish() sums {
	close(s.leaves)
	s.ended.Wait()
	return s.found
}
