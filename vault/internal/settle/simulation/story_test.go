package simulation

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"nightdrop/vault/internal/book"
)

// story is what happened in a run, with the virtual time of each step.
type story struct {
	mu     sync.Mutex
	began  time.Time
	lines  []string
	labels []string // id, label, id, label: how payments are called in the story
}

func (s *story) line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%16.9f  ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

// event reports a committed event.
func (s *story) event(e book.Event) {
	body, _ := json.Marshal(e.Body)
	s.line("  %s %s %s", e.Body.Kind(), e.Merchant, body)
}

// label calls a payment by a short name from now on.
func (s *story) label(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.labels = append(s.labels, id, name)
}

// called is the short name of a payment.
func (s *story) called(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.NewReplacer(s.labels...).Replace(id)
}

// String is the story in the order in which it was told.
func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.NewReplacer(s.labels...).Replace(strings.Join(s.lines, "\n"))
}

// settled is the story in an order that is the same in every run: lines of one moment are told by
// goroutines that do not wait for one another.
func (s *story) settled() string {
	lines := strings.Split(s.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
