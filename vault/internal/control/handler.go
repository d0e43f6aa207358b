package control

import (
	"encoding/json"
	"net/http"

	"nightdrop/vault/internal/settle"
)

// Shares are custodians' shares as lines of bytes, which the vault clears after use. They print as "[redacted]".
type Shares struct{ lines [][]byte }

// Lines gives the shares; the slices are the request's own and are cleared when the call ends.
func (s Shares) Lines() [][]byte { return s.lines }

// String hides them.
func (Shares) String() string { return "[redacted]" }

// GoString hides them.
func (Shares) GoString() string { return "[redacted]" }

// prepare bounds the request and finds out who calls.
func (s *Server) prepare(w http.ResponseWriter, r *http.Request) (call, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	c := call{Request: r, actor: settle.Actor{Name: peerOf(r.Context()), Origin: "socket", Purpose: r.URL.Query().Get("reason")}}
	if c.actor.Name == "" {
		return c, &Error{CodeNotAllowed, "the kernel did not tell who calls: use the vault's own socket"}
	}
	return c, checkPurpose(c.actor.Purpose)
}

// answer serves a call that has one answer.
func (s *Server) answer(handle func(call) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.prepare(w, r)
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
	Progress *progressLine   `json:"progress,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *Error          `json:"error,omitempty"`
}

type progressLine struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

// stream serves a call that tells of its progress. A failure after work was begun comes with the result so far.
func (s *Server) stream(handle func(call, settle.Progress) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := s.prepare(w, r)
		w.Header().Set("Content-Type", "application/x-ndjson")
		control := http.NewResponseController(w)
		send := func(l line) {
			if json.NewEncoder(w).Encode(l) == nil { // a client that went away ends the request's context
				_ = control.Flush()
			}
		}
		var out any
		if err == nil {
			out, err = handle(c, func(done, total int) { send(line{Progress: &progressLine{done, total}}) })
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
		send(last)
	})
}

func (s *Server) failure(c call, err error) *Error {
	failure := asError(err, s.cfg.Classify)
	s.cfg.Logger.Info("call failed", "call", c.Pattern, "actor", c.actor.Name, "code", string(failure.Code), "detail", failure.Detail)
	return failure
}
