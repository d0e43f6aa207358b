// Package byhand is an acquirer's host for tests whose bytes are written by hand after the public
// tables of ISO 8583:1987: two bytes of length, the message type, the bitmaps in hex, and fields in
// ASCII. It shares no code with the vault's packing nor with the simulator's, so that neither is
// the only judge of what the vault writes and of what it makes of an answer.
package byhand

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Message is what the host heard. It never holds account data.
type Message struct {
	Type     string // 0100, 0200, 0220, 0221, 0420, 0421, 0500
	Amount   int64  // field 4
	STAN     string // field 11
	Sent     string // field 7
	RRN      string // field 37
	Terminal string // field 41
	Original string // field 90
	// how often this terminal has sent this trace number in a message of this class, from 1
	Times int
}

// Answer is what the host says to a message.
type Answer struct {
	Code     string // field 39; "": nothing at all
	Amount   int64  // field 4; 0: the message's
	Approval string // field 38, six characters; "": none
}

// Host answers every connection. Network messages (0800) are approved.
type Host struct {
	listener net.Listener
	answer   func(Message) Answer
	done     sync.WaitGroup

	mu    sync.Mutex
	heard []Message
	times map[string]int
	conns map[net.Conn]bool
}

// Listen begins a host on a free port of loopback. answer is called for one message at a time, in
// the order in which they come. Close ends it.
func Listen(answer func(Message) Answer) (*Host, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	h := &Host{listener: listener, answer: answer, times: map[string]int{}, conns: map[net.Conn]bool{}}
	h.done.Add(1)
	go h.accept()
	return h, nil
}

// Addr is host:port.
func (h *Host) Addr() string { return h.listener.Addr().String() }

// Heard returns the messages that came, but for network messages, oldest first.
func (h *Host) Heard() []Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Message(nil), h.heard...)
}

// Close hangs up on everyone and waits for them.
func (h *Host) Close() error {
	err := h.listener.Close()
	h.mu.Lock()
	for conn := range h.conns {
		_ = conn.Close()
	}
	h.mu.Unlock()
	h.done.Wait()
	return err
}

func (h *Host) accept() {
	defer h.done.Done()
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		h.conns[conn] = true
		h.mu.Unlock()
		h.done.Add(1)
		go func() {
			defer h.done.Done()
			defer func() { _ = conn.Close() }()
			_ = h.serve(conn) // it ends with the connection
		}()
	}
}

func (h *Host) serve(conn net.Conn) error {
	r := bufio.NewReader(conn)
	for {
		var header [2]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return err
		}
		raw := make([]byte, binary.BigEndian.Uint16(header[:]))
		if _, err := io.ReadFull(r, raw); err != nil {
			return err
		}
		mti, fields, err := read(string(raw))
		clear(raw)
		if err != nil {
			return err
		}
		out := h.reply(mti, fields)
		if out == "" {
			continue
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)); err != nil {
			return err
		}
	}
}

// reply notes a message and returns its answer, "" where there is none.
func (h *Host) reply(mti string, fields map[int]string) string {
	if mti == "0800" {
		return write("0810", map[int]string{7: fields[7], 11: fields[11], 39: "00", 70: fields[70]})
	}
	amount, _ := strconv.ParseInt(fields[4], 10, 64) // a 0500 has none
	m := Message{Type: mti, Amount: amount, STAN: fields[11], Sent: fields[7], RRN: fields[37],
		Terminal: strings.TrimRight(fields[41], " "), Original: fields[90]}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := mti[:3] + m.Terminal + m.STAN + m.Sent
	h.times[key]++
	m.Times = h.times[key]
	h.heard = append(h.heard, m)
	a := h.answer(m)
	if a.Code == "" {
		return ""
	}
	out := map[int]string{38: a.Approval, 39: a.Code}
	for _, id := range []int{4, 7, 11, 37, 41, 42, 49, 60} {
		out[id] = fields[id]
	}
	if a.Amount != 0 {
		out[4] = fmt.Sprintf("%012d", a.Amount)
	}
	return write(mti[:2]+string(mti[2]+1)+"0", out)
}

// lengths are those of the fields of fixed length; those of variable length have a number of digits
// of length, as a negative number. (ISO 8583:1987, table of data elements)
var lengths = map[int]int{
	2: -2, 3: 6, 4: 12, 7: 10, 11: 6, 12: 6, 13: 4, 14: 4, 22: 3, 25: 2, 37: 12, 38: 6, 39: 2, 41: 8, 42: 15, 43: 40,
	48: -3, 49: 3, 60: -3, 66: 1, 70: 3, 74: 10, 75: 10, 76: 10, 77: 10, 86: 16, 87: 16, 88: 16, 89: 16, 90: 42, 97: 17,
}

var errCut = errors.New("the message is cut, or has a field that is not among its lengths")

// read splits a message into its type and fields; fields 2, 14 and 48 are left out.
func read(raw string) (mti string, fields map[int]string, err error) {
	if len(raw) < 20 {
		return "", nil, errCut
	}
	mti, bitmap, rest := raw[:4], raw[4:20], raw[20:]
	first, err := strconv.ParseUint(bitmap, 16, 64)
	if err != nil {
		return "", nil, errCut
	}
	var second uint64
	if first>>63 == 1 {
		if len(rest) < 16 {
			return "", nil, errCut
		}
		if second, err = strconv.ParseUint(rest[:16], 16, 64); err != nil {
			return "", nil, errCut
		}
		rest = rest[16:]
	}
	fields = map[int]string{}
	for id := 2; id <= 128; id++ {
		if id <= 64 && first>>(64-id)&1 == 0 || id > 64 && second>>(128-id)&1 == 0 {
			continue
		}
		value, after, ok := take(rest, lengths[id])
		if !ok {
			return "", nil, errCut
		}
		if rest = after; id != 2 && id != 14 && id != 48 {
			fields[id] = value
		}
	}
	if rest != "" {
		return "", nil, errCut
	}
	return mti, fields, nil
}

// take cuts a field off the front of rest.
func take(rest string, length int) (value, after string, ok bool) {
	if length < 0 {
		if len(rest) < -length {
			return "", "", false
		}
		n, err := strconv.ParseUint(rest[:-length], 10, 16)
		if err != nil {
			return "", "", false
		}
		rest, length = rest[-length:], int(n)
	}
	if length == 0 || len(rest) < length {
		return "", "", false
	}
	return rest[:length], rest[length:], true
}

// write joins a type and fields to a message; empty fields are left out.
func write(mti string, fields map[int]string) string {
	var bits [2]uint64
	var body strings.Builder
	for id := 2; id <= 128; id++ {
		value := fields[id]
		if value == "" {
			continue
		}
		bits[(id-1)/64] |= 1 << (63 - (id-1)%64)
		if digits := -lengths[id]; digits > 0 {
			fmt.Fprintf(&body, "%0*d", digits, len(value))
		}
		body.WriteString(value)
	}
	bitmap := fmt.Sprintf("%016X", bits[0])
	if bits[1] != 0 {
		bitmap = fmt.Sprintf("%016X%016X", bits[0]|1<<63, bits[1])
	}
	return mti + bitmap + body.String()
}
