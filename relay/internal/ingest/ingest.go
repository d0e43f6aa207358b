// Package ingest is the relay's HTTP edge (specification 6): it accepts sealed envelopes, answers
// with receipts when they are durable, and gives merchants their sealed results.
//
// It holds no secrets and keeps nothing. No byte of a body is ever logged or echoed, in case a
// plaintext was posted by mistake. HTTP/1.1 only: a refused post closes its connection, which over
// HTTP/2 would end the posts of others that share it.
package ingest

import (
	"context"
	_ "embed" // openapi.yaml
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/channel"
	"nightdrop/shared/config"
	"nightdrop/shared/note"
)

//go:embed openapi.yaml
var openAPI []byte

// Bags makes envelopes durable: [bagger.Bagger].
type Bags interface {
	// Submit returns when the envelope is durable. After any error except [bagger.ErrShare] the
	// outcome is unknown.
	Submit(ctx context.Context, e bagger.Envelope) (bagger.Place, error)
	// Trouble returns why Submit would refuse any envelope now, or nil.
	Trouble() error
	// Room returns [bagger.ErrShare] if Submit would.
	Room(e bagger.Envelope) error
	Shares() bagger.Shares
}

// Channel is what the edge reads of the channel: [channel.Relay].
type Channel interface {
	Results(ctx context.Context, merchant string, after uint64, limit int) ([][]byte, error)
	ResultsOf(ctx context.Context, merchant, id string) ([][]byte, error)
	ResultArrived(merchant string) (<-chan struct{}, func())
	Ready() error
	Streams() []channel.StreamState
}

// Config configures an [Edge]. Every field is required.
type Config struct {
	Signer  *note.Signer // signs receipts
	Origin  string       // https://host[:port], the audience of tokens
	Board   *Board
	Bags    Bags
	Channel Channel
	Limits  Limits
	Metrics *Metrics
	Now     func() time.Time
	Logger  *slog.Logger

	Certificates func() []config.Validity // in use; nil: none
	// why the last reload was refused; "" if it was not; nil: never
	Refused func() string
}

// Edge is the public handler. It is safe for concurrent use.
type Edge struct {
	config    Config
	tokens    *jwt.Parser
	addresses *budgets[netip.Prefix]
	sites     *budgets[netip.Prefix]
	posts     *budgets[string]
	reads     *budgets[string]
	posting   *slots[netip.Prefix]
	merchants *slots[string] // posting
	polls     *slots[string] // reads that may wait
	pages     *slots[string] // reads that do not
	stopping  chan struct{}  // closed when long polls are to end
	stopped   atomic.Bool
}

// New returns an edge.
func New(config Config) (*Edge, error) {
	limits := config.Limits
	if min(limits.InFlight, limits.AddressInFlight, limits.MerchantInFlight, limits.Polls, limits.MerchantPolls) < 1 {
		return nil, errors.New("the limits of concurrent requests must be at least 1")
	}
	e := &Edge{
		config: config, tokens: newTokenParser(config.Origin, config.Now), stopping: make(chan struct{}),
		posting:   newSlots[netip.Prefix](limits.InFlight, limits.AddressInFlight),
		merchants: newSlots[string](limits.InFlight, limits.MerchantInFlight),
		polls:     newSlots[string](limits.Polls, limits.MerchantPolls),
		pages:     newSlots[string](limits.Polls, limits.MerchantPolls),
	}
	var err, err2, err3, err4 error
	e.addresses, err = newBudgets[netip.Prefix](limits.AddressRate, limits.AddressBurst, limits.Tracked, config.Now)
	e.posts, err2 = newBudgets[string](limits.MerchantRate, limits.MerchantBurst, limits.Tracked, config.Now)
	e.reads, err3 = newBudgets[string](limits.MerchantRate, limits.MerchantBurst, limits.Tracked, config.Now)
	e.sites, err4 = newBudgets[netip.Prefix](siteRates*limits.AddressRate, siteRates*limits.AddressBurst, limits.Tracked, config.Now)
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	return e, nil
}

// Stop ends long polls with what there is, and makes Ready fail, so that a load balancer looks
// elsewhere. Requests are still answered.
func (e *Edge) Stop() {
	if !e.stopped.Swap(true) {
		close(e.stopping)
	}
}

const (
	callPost       = "post"
	callResults    = "results"
	callEnvelope   = "envelope"
	callDirectory  = "directory"
	callPosition   = "position"
	callCheckpoint = "checkpoint"
	callOpenAPI    = "openapi"
	callOther      = "other"
)

const envelopesPath = "/v1/envelopes"

// call returns the name of the request's path, by exact comparison: no cleaning, escapes or
// redirects.
func call(r *http.Request) string {
	if r.URL.RawPath != "" {
		return callOther
	}
	switch path := r.URL.Path; path {
	case envelopesPath:
		return callPost
	case "/v1/results":
		return callResults
	case "/v1/directory":
		return callDirectory
	case "/v1/position":
		return callPosition
	case "/v1/log/checkpoint":
		return callCheckpoint
	case "/openapi.yaml":
		return callOpenAPI
	default:
		id, ok := strings.CutPrefix(path, envelopesPath+"/")
		if ok && id != "" && !strings.Contains(id, "/") {
			return callEnvelope
		}
		return callOther
	}
}

func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := e.config.Now()
	name := call(r)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	code := "ok"
	if err := e.answer(w, r, name); err != nil {
		var no refusal
		if !errors.As(err, &no) {
			// The body did not arrive, or the caller has gone: there is nobody to answer.
			e.config.Metrics.answered(name, "broken", e.config.Now().Sub(started))
			panic(http.ErrAbortHandler)
		}
		code = no.code
		no.write(w, r)
	}
	e.config.Metrics.answered(name, code, e.config.Now().Sub(started))
	e.config.Logger.LogAttrs(r.Context(), slog.LevelDebug, "answered",
		slog.String("call", name), slog.String("answer", code), slog.String("address", r.RemoteAddr))
}

func offered(name, method string) bool {
	if name == callPost {
		return method == http.MethodPost
	}
	return method == http.MethodGet || method == http.MethodHead
}

// answer answers, or returns a refusal to answer with; on any other error the connection is closed.
func (e *Edge) answer(w http.ResponseWriter, r *http.Request, name string) error {
	if wait, ok := e.spendAddress(r); !ok {
		return rateLimited.after(wait)
	}
	if name == callOther {
		return notFound
	}
	if !offered(name, r.Method) {
		w.Header().Set("Allow", "GET, HEAD")
		if name == callPost {
			w.Header().Set("Allow", "POST")
		}
		return wrongMethod
	}
	switch name {
	case callPost:
		return e.post(w, r)
	case callResults:
		return e.results(w, r)
	case callEnvelope:
		return e.resultsOf(w, r)
	case callDirectory:
		d := e.config.Board.Directory()
		if d == nil {
			return noDirectory
		}
		return serve(w, "text/plain; charset=utf-8", d.Note)
	case callPosition:
		return serve(w, "text/plain; charset=utf-8", e.config.Board.Position())
	case callCheckpoint:
		return serve(w, "text/plain; charset=utf-8", e.config.Board.Checkpoint())
	default:
		return serve(w, "application/yaml", openAPI)
	}
}

// serve answers 200 with body, or refuses if it is empty.
func serve(w http.ResponseWriter, contentType string, body []byte) error {
	if body == nil {
		return notFound
	}
	w.Header().Set("Content-Type", contentType)
	_, err := w.Write(body)
	return err
}
