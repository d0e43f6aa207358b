package control

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/report"
)

// Shares are custodians' shares as lines of bytes, which the vault clears after use. They print as
// "[redacted]".
type Shares struct{ lines [][]byte }

// Lines gives the shares; the slices are the request's own and are cleared when the call ends.
func (s Shares) Lines() [][]byte { return s.lines }

// String hides them.
func (Shares) String() string { return "[redacted]" }

// GoString hides them.
func (Shares) GoString() string { return "[redacted]" }

// prepare bounds the request's body and finds out who calls.
func (s *Server) prepare(w http.ResponseWriter, r *http.Request, limit int64) (call, error) {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	c := call{Request: r, actor: operator.Actor{Name: peerOf(r.Context()), Origin: "socket", Purpose: r.URL.Query().Get("reason")}}
	if c.actor.Name == "" {
		return c, &Error{CodeNotAllowed, "the kernel did not say who calls: use the vault's own socket"}
	}
	return c, checkPurpose(c.actor.Purpose)
}

// answer serves a call that has one answer.
func (s *Server) answer(handle func(call) (any, error)) http.Handler {
	return s.answerTo(maxBody, handle)
}

// upload serves a call that brings a file. What the handler does not read of it is read and
// dropped, so that the client hears the answer.
func (s *Server) upload(handle func(call) (any, error)) http.Handler {
	return s.answerTo(maxFile, func(c call) (any, error) {
		out, err := handle(c)
		_, _ = io.Copy(io.Discard, c.Body) // what is wrong with it was found already
		return out, err
	})
}

func (s *Server) answerTo(limit int64, handle func(call) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.prepare(w, r, limit)
		var out any
		if err == nil {
			out, err = handle(c)
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			failure := s.failure(c, err)
			w.WriteHeader(failure.Code.status())
			out = failure
		}
		_ = json.NewEncoder(w).Encode(out) // a client that went away needs no answer
	})
}

// line is one line of a stream; exactly one member is set.
type line struct {
	Progress *progressLine    `json:"progress,omitempty"`
	Rows     []report.Payment `json:"rows,omitempty"`
	Result   json.RawMessage  `json:"result,omitempty"`
	Error    *Error           `json:"error,omitempty"`
}

type progressLine struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

// stream serves a call that reports its progress. A failure after work was begun comes with the
// result so far.
func (s *Server) stream(handle func(call, operator.Progress) (any, error)) http.Handler {
	return s.lines(func(c call, send func(line) error) (any, error) {
		// a client that went away ends the request's context
		return handle(c, func(done, total int) { _ = send(line{Progress: &progressLine{done, total}}) })
	})
}

// lines serves a call whose answer is many lines. A client that takes no line for lineTimeout is
// cut off.
func (s *Server) lines(handle func(c call, send func(line) error) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.prepare(w, r, maxBody)
		w.Header().Set("Content-Type", "application/x-ndjson")
		control := http.NewResponseController(w)
		// the connection may serve another call
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
		send := func(l line) error {
			// a connection without deadlines is none of net/http's
			_ = control.SetWriteDeadline(time.Now().Add(lineTimeout))
			if err := json.NewEncoder(w).Encode(l); err != nil {
				return err
			}
			return control.Flush()
		}
		var out any
		if err == nil {
			out, err = handle(c, send)
		}
		var last line
		if out != nil {
			encoded, failed := json.Marshal(out)
			if failed != nil && err == nil {
				err = failed
			}
			last.Result = encoded
		}
		if err != nil {
			last.Error = s.failure(c, err)
		}
		_ = send(last) // a client that went away needs no answer
	})
}

func (s *Server) failure(c call, err error) *Error {
	failure := asError(err, s.cfg.Classify)
	s.cfg.Logger.Info("call failed", "call", c.Pattern, "actor", c.actor.Name, "code", string(failure.Code), "detail", failure.Detail)
	s.refused(c, failure.Code)
	return failure
}
