package channel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// defaultAckTimeout is long enough for a busy disk's fsync, and short enough for a relay's caller.
const defaultAckTimeout = 10 * time.Second

// publisher sends messages and matches their durable acks, many in flight on one connection. The
// order of calls is the order of the stream. Safe for concurrent use.
type publisher struct {
	link    *link
	timeout time.Duration
	prefix  string        // of reply subjects
	slots   chan struct{} // one per message in flight
	stored  func(subject string, sequence uint64)
	closed  chan struct{}
	once    sync.Once  // closes closed
	turn    sync.Mutex // held from taking a slot to the write: keeps order

	mu      sync.Mutex
	next    uint64
	flights map[uint64]*flight
}

type flight struct {
	stream  string
	subject string
	done    chan error
	timer   *time.Timer
}

// newPublisher returns a publisher that calls stored, unless nil, before the ack of a durable
// message.
func newPublisher(l *link, timeout time.Duration, inFlight int, stored func(subject string, sequence uint64)) (*publisher, error) {
	if timeout <= 0 {
		timeout = defaultAckTimeout
	}
	p := &publisher{link: l, timeout: timeout, prefix: l.nc.NewInbox() + ".", slots: make(chan struct{}, inFlight),
		closed: make(chan struct{}), flights: make(map[uint64]*flight), stored: stored}
	if _, err := l.subscribe(p.prefix+"*", p.answered); err != nil {
		return nil, fmt.Errorf("subscribe to acks: %w", err)
	}
	l.watch(&watcher{broke: func() { p.finishAll(fmt.Errorf("%w: the connection broke", ErrUnknown)) }})
	return p, nil
}

// publish sends data to a subject of stream. msgID, if any, keeps the broker from storing the
// message twice within two minutes. It blocks while inFlight messages wait, at most the ack
// timeout.
func (p *publisher) publish(stream, subject, msgID string, data []byte) Ack {
	if len(data) > MaxMessage {
		return finished(fmt.Errorf("%s: %w", subject, ErrTooLarge))
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	select {
	case p.slots <- struct{}{}:
	case <-p.closed:
		return finished(fmt.Errorf("%w: closed", ErrUnavailable))
	}
	if err := p.link.up(); err != nil {
		<-p.slots
		return finished(err)
	}
	number, done := p.register(stream, subject)
	message := nats.NewMsg(subject)
	message.Reply, message.Data = p.prefix+strconv.FormatUint(number, 10), data
	message.Header.Set(nats.ExpectedStreamHdr, stream)
	if msgID != "" {
		message.Header.Set(nats.MsgIdHdr, msgID)
	}
	if err := p.link.nc.PublishMsg(message); err != nil {
		p.finish(number, classifyWrite(err))
	}
	return done
}

func finished(err error) Ack {
	done := make(chan error, 1)
	done <- err
	return done
}

func (p *publisher) register(stream, subject string) (uint64, chan error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	number := p.next
	f := &flight{stream: stream, subject: subject, done: make(chan error, 1)}
	f.timer = time.AfterFunc(p.timeout, func() {
		p.finish(number, fmt.Errorf("%w within %s", ErrUnknown, p.timeout))
	})
	p.flights[number] = f
	return number, f.done
}

// finish ends a flight once; a late or repeated answer is ignored.
func (p *publisher) finish(number uint64, err error) {
	p.mu.Lock()
	f := p.flights[number]
	delete(p.flights, number)
	p.mu.Unlock()
	if f == nil {
		return
	}
	f.timer.Stop()
	f.done <- err
	<-p.slots
}

func (p *publisher) finishAll(err error) {
	p.mu.Lock()
	numbers := make([]uint64, 0, len(p.flights))
	for number := range p.flights {
		numbers = append(numbers, number)
	}
	p.mu.Unlock()
	for _, number := range numbers {
		p.finish(number, err)
	}
}

// close ends all flights as unknown and refuses further calls. It may be called twice.
func (p *publisher) close() {
	p.once.Do(func() { close(p.closed) })
	p.finishAll(fmt.Errorf("%w: closed", ErrUnknown))
}

func (p *publisher) answered(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, p.prefix), 10, 64)
	if err != nil {
		return
	}
	p.mu.Lock()
	f := p.flights[number]
	p.mu.Unlock()
	if f == nil {
		p.link.logger.Debug("late ack dropped")
		return
	}
	sequence, err := classifyAnswer(m, f.stream)
	if err == nil && p.stored != nil {
		p.stored(f.subject, sequence)
	}
	p.finish(number, err)
}

// classifyWrite interprets a failed write. These errors come before the first byte is written; any
// other may have left part of the message on the wire.
func classifyWrite(err error) error {
	for _, certain := range []error{nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed, nats.ErrConnectionDraining,
		nats.ErrMaxPayload, nats.ErrHeadersNotSupported, nats.ErrBadSubject} {
		if errors.Is(err, certain) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

// JetStream's error codes for a message that was not stored because something is full.
const (
	codeAccountResources = 10002
	codeServerResources  = 10023
	codeStoreFailed      = 10077 // also for other causes: see the description
	codeStorageResources = 10047
	codeTooManyRequests  = 10167 // the stream's queue of unwritten messages is full
)

// classifyAnswer interprets the broker's answer, and returns the message's sequence if it is
// stored.
func classifyAnswer(m *nats.Msg, stream string) (sequence uint64, err error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return 0, fmt.Errorf("%w: the broker has no stream %s", ErrUnavailable, stream)
	}
	var ack struct {
		Stream   string    `json:"stream"`
		Sequence uint64    `json:"seq"`
		Error    *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("%w: the broker's answer cannot be read", ErrUnknown)
	}
	if ack.Error == nil {
		if ack.Stream != stream || ack.Sequence == 0 {
			return 0, fmt.Errorf("%w: an ack of another stream came", ErrUnknown)
		}
		return ack.Sequence, nil
	}
	switch ack.Error.Code {
	case codeAccountResources, codeServerResources, codeStorageResources, codeTooManyRequests:
		return 0, fmt.Errorf("%w: %s: %s", ErrFull, stream, ack.Error)
	case codeStoreFailed:
		if strings.HasPrefix(ack.Error.Description, "maximum ") {
			return 0, fmt.Errorf("%w: %s: %s", ErrFull, stream, ack.Error)
		}
	}
	return 0, fmt.Errorf("%w: %s: %s", ErrUnknown, stream, ack.Error)
}
