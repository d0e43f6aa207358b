package ingest

import (
	"encoding/json"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	headerTimeout = 5 * time.Second // for a TLS handshake, and for the headers of a request
	// between requests; over the minute that most clients keep a connection
	idleTimeout = 75 * time.Second
	// to write an answer; the waits of long polls and durable acks come on top
	answerTimeout  = 10 * time.Second
	maxHeaderBytes = 16 << 10 // a bearer token takes 400 bytes
)

// NewServer returns the public server for an edge, without TLS. Timeouts bound every phase: slow
// headers and handshakes here, slow bodies in post, slow readers by the write timeout.
func NewServer(edge *Edge, logger *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           edge,
		Protocols:         &protocols,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      bodyTimeout + edge.config.Limits.AckWait + answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          quietLog(logger),
	}
}

// The bounds of the admin listener's connections, in all and of one address.
const (
	AdminConnections  = 64
	AdminAddressConns = 32
)

// NewAdminServer returns the admin listener's server: /healthz (the process runs), /readyz (posts
// can be accepted, else 503 with the reasons; and how full the streams are), /metrics (Prometheus).
func NewAdminServer(edge *Edge, logger *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeState(w, true, map[string]bool{"ok": true}) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		state := edge.State()
		writeState(w, state.OK, state)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(edge.config.Metrics.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          quietLog(logger),
	}
}

// quietLog logs at debug level what net/http says of connections: anybody can cause it.
func quietLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}

func writeState(w http.ResponseWriter, ok bool, state any) {
	body, err := json.Marshal(state)
	if err != nil {
		panic(http.ErrAbortHandler) // strings and numbers always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n'))
}
