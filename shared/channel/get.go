package channel

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// answerTimeout is how long the broker may be silent during a read.
	answerTimeout = 5 * time.Second
	// fetchBytes bounds the data of one read; the message that crosses it is included.
	fetchBytes = 16 << 20
	// maxAnswers is the room for a read's messages: the most of one read, and its end.
	maxAnswers = getBatch + 24
)

// errUnasked is returned for more than was asked for, or something else.
var errUnasked = errors.New("the broker sent what it was not asked for")

// getRequest is a JetStream direct get by one of Sequence (with Batch), Last, Next or MultiLast.
type getRequest struct {
	Sequence  uint64   `json:"seq,omitempty"`
	Last      string   `json:"last_by_subj,omitempty"`
	Next      string   `json:"next_by_subj,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
}

// get reads from a stream without a consumer, so the broker keeps no state. Messages come in stream
// order; none is no error. A broken read returns the whole messages that came, and the error.
func (l *link) get(ctx context.Context, stream string, request getRequest) ([]Message, error) {
	if err := l.up(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", stream, err)
	}
	asked, cancel := l.whileUp(ctx)
	defer cancel()
	reply := l.nc.NewInbox()
	answers, err := l.nc.SubscribeSync(reply)
	if err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", ErrUnavailable, stream, err)
	}
	// an error only means that the connection is gone
	defer func() { _ = answers.Unsubscribe() }()
	if err := answers.SetPendingLimits(maxAnswers, request.MaxBytes+2*maxIncoming); err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", ErrUnavailable, stream, err)
	}
	if err := l.nc.PublishRequest(directSubject(stream), reply, body); err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", ErrUnavailable, stream, err)
	}
	var messages []Message
	var previous uint64
	left := request.allowance()
	for {
		answer, err := nextAnswer(asked, answers)
		if err != nil {
			return messages, fmt.Errorf("read %s: %w", stream, cmp.Or(ctx.Err(), err))
		}
		if status := answer.Header.Get("Status"); status != "" && answer.Header.Get(nats.JSSequence) == "" {
			return messages, endOfGet(stream, status, answer, previous)
		}
		message, last, err := storedMessage(answer)
		if err != nil {
			return messages, fmt.Errorf("read %s: %w", stream, err)
		}
		if request.Batch > 0 && last != previous {
			return messages, fmt.Errorf("read %s: %w: answers were lost on the way", stream, ErrUnavailable)
		}
		if err := left.accept(message, previous); err != nil {
			return messages, fmt.Errorf("read %s: %w: %w", stream, ErrUnavailable, err)
		}
		messages, previous = append(messages, message), message.Sequence
		if request.Batch == 0 && len(request.MultiLast) == 0 {
			return messages, nil
		}
	}
}

type allowance struct {
	messages, bytes int
	after           uint64 // the sequences are above it
}

func (r getRequest) allowance() allowance {
	a := allowance{messages: max(r.Batch, 1), bytes: max(r.MaxBytes, 1)}
	if r.Sequence > 0 {
		a.after = r.Sequence - 1
	}
	return a
}

// accept counts a message, also the one that crosses the bytes asked for. It returns errUnasked if
// none was to follow, or the stream's order is broken: a reader goes on from the last of them.
func (a *allowance) accept(m Message, previous uint64) error {
	switch {
	case a.messages <= 0 || a.bytes <= 0:
		return fmt.Errorf("%w: it sends more", errUnasked)
	case m.Sequence <= max(a.after, previous) || m.Sequence > math.MaxInt64:
		return fmt.Errorf("%w: sequence %d", errUnasked, m.Sequence)
	}
	a.messages, a.bytes = a.messages-1, a.bytes-len(m.Data)
	return nil
}

func nextAnswer(ctx context.Context, answers *nats.Subscription) (*nats.Msg, error) {
	limited, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer, err := answers.NextMsgWithContext(limited)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return answer, nil
}

// endOfGet interprets the status that ends a read: the end of a batch (204), nothing there (404),
// no such stream (503), or a refusal.
func endOfGet(stream, status string, answer *nats.Msg, previous uint64) error {
	switch status {
	case "204":
		if last := answer.Header.Get(nats.JSLastSequence); last != "" && last != strconv.FormatUint(previous, 10) {
			return fmt.Errorf("read %s: %w: answers were lost on the way", stream, ErrUnavailable)
		}
		return nil
	case "404":
		return nil
	case "503":
		return fmt.Errorf("%w: the broker has no stream %s", ErrUnavailable, stream)
	default:
		return fmt.Errorf("%w: read %s: broker status %s, %.*q", ErrUnavailable, stream, status, maxDescription, answer.Header.Get("Description"))
	}
}

// storedMessage reads a direct get's answer; last is the sequence of the one before in the batch.
func storedMessage(answer *nats.Msg) (m Message, last uint64, err error) {
	m = Message{Subject: answer.Header.Get(nats.JSSubject), Data: answer.Data}
	if m.Sequence, err = strconv.ParseUint(answer.Header.Get(nats.JSSequence), 10, 64); err != nil {
		return m, 0, errors.New("an answer of the broker has no sequence")
	}
	if m.Stored, err = time.Parse(time.RFC3339Nano, answer.Header.Get(nats.JSTimeStamp)); err != nil {
		return m, 0, errors.New("an answer of the broker has no time")
	}
	if before := answer.Header.Get(nats.JSLastSequence); before != "" {
		if last, err = strconv.ParseUint(before, 10, 64); err != nil {
			return m, 0, errors.New("an answer of the broker has no order")
		}
	}
	return m, last, nil
}

type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

// maxDescription bounds the broker's text of an error, in bytes, for logs and status.
const maxDescription = 200

// String is the error in one short line.
func (e apiError) String() string {
	return fmt.Sprintf("broker error %d, %.*q", e.Code, maxDescription, e.Description)
}

const codeNoMessage = 10037

func (l *link) call(ctx context.Context, subject string, request, answer any) error {
	if err := l.up(); err != nil {
		return err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	asked, forget := l.whileUp(ctx)
	defer forget()
	limited, cancel := context.WithTimeout(asked, answerTimeout)
	defer cancel()
	reply, err := l.nc.RequestWithContext(limited, subject, body)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, subject, err)
	}
	var failure struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &failure); err != nil {
		return fmt.Errorf("%w: %s: the broker's answer cannot be read", ErrUnavailable, subject)
	}
	if failure.Error != nil {
		if failure.Error.Code == codeNoMessage {
			return fmt.Errorf("%s: %w", subject, ErrNotFound)
		}
		return fmt.Errorf("%w: %s: %s", ErrUnavailable, subject, failure.Error)
	}
	if err := json.Unmarshal(reply.Data, answer); err != nil {
		return fmt.Errorf("%w: %s: the broker's answer cannot be read", ErrUnavailable, subject)
	}
	return nil
}

// streamInfo is what Nightdrop reads of a stream's state.
type streamInfo struct {
	Created time.Time `json:"created"`
	Total   uint64    `json:"total"` // subjects that match, whether they are listed or not
	Config  struct {
		MaxBytes int64 `json:"max_bytes"`
	} `json:"config"`
	State struct {
		Messages uint64 `json:"messages"`
		Bytes    uint64 `json:"bytes"`
		First    uint64 `json:"first_seq"`
		Last     uint64 `json:"last_seq"`

		FirstTime time.Time         `json:"first_ts"`
		Subjects  map[string]uint64 `json:"subjects"` // of those that were asked for
	} `json:"state"`
}

func (l *link) info(ctx context.Context, stream string) (streamInfo, error) {
	var info streamInfo
	err := l.call(ctx, infoSubject(stream), struct{}{}, &info)
	return info, err
}
