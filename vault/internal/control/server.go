package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"nightdrop/vault/internal/loggable"
	"nightdrop/vault/internal/operator"
)

// Limits of the socket.
const (
	maxBody = 256 << 10 // a merchant with many keys is some ten KiB
	// a file of the bank or the acquirer; their readers refuse what is over 64 MiB
	maxFile       = 64<<20 + 1
	headerTimeout = 5 * time.Second
	lineTimeout   = 30 * time.Second
)

// ServerConfig is what a Server works with.
type ServerConfig struct {
	Vault    Vault
	Classify func(error) Code // the kind of an error that is no *Error
	// Refused is called with every call that was refused for want of keys or permission, and of
	// every unlock that failed, before the caller hears of it; nil: nobody is. A caller whom the
	// kernel did not name is UnknownPeer.
	Refused func(actor operator.Actor, call string, code Code)
	Logger  *slog.Logger
}

// Server answers on the socket.
type Server struct {
	cfg  ServerConfig
	http *http.Server
}

// NewServer makes a server; Serve starts it.
func NewServer(cfg ServerConfig) *Server {
	s := &Server{cfg: cfg}
	s.http = &http.Server{
		Handler:           s.routes(),
		ConnContext:       withPeer,
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	return s
}

// Serve answers until Shutdown; it then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown takes no new calls, waits for those under way until ctx ends, then cuts them off.
func (s *Server) Shutdown(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		// calls that are still under way lose their connection; their work stops at its next safe
		// place
		_ = s.http.Close()
	}
}

// Calls that bring shares. A share that is refused when it is looked at by itself stands in the log
// as a refused unlock.
const (
	unlockPattern = "POST /unlock"
	checkPattern  = "POST /unlock/check"
)

// call is one request as the handlers see it.
type call struct {
	*http.Request
	actor operator.Actor
}

func (s *Server) routes() http.Handler {
	v := s.cfg.Vault
	mux := http.NewServeMux()
	mux.Handle("GET /status", s.answer(func(c call) (any, error) { return v.Status(c.Context()) }))
	mux.Handle(unlockPattern, s.answer(s.unlock))
	mux.Handle(checkPattern, s.answer(s.unlock))
	mux.Handle("POST /lock", s.answer(func(c call) (any, error) { return struct{}{}, v.Lock(c.Context(), c.actor) }))
	mux.Handle("GET /merchants", s.answer(func(c call) (any, error) { return v.Merchants(c.Context()) }))
	mux.Handle("POST /merchants", s.answer(with("merchant", func(c call, m NewMerchant) (any, error) { return v.AddMerchant(c.Context(), c.actor, m) })))
	mux.Handle("GET /merchants/{id}", s.answer(func(c call) (any, error) { return v.Merchant(c.Context(), c.PathValue("id")) }))
	mux.Handle("POST /merchants/{id}/update", s.answer(with("update", func(c call, change MerchantChange) (any, error) {
		return v.UpdateMerchant(c.Context(), c.actor, c.PathValue("id"), change)
	})))
	mux.Handle("POST /merchants/{id}/suspend", s.answer(func(c call) (any, error) {
		return v.SuspendMerchant(c.Context(), c.actor, c.PathValue("id"))
	}))
	mux.Handle("POST /merchants/{id}/resume", s.answer(func(c call) (any, error) {
		return v.ResumeMerchant(c.Context(), c.actor, c.PathValue("id"))
	}))
	mux.Handle("POST /merchants/{id}/policy", s.answer(with("policy", func(c call, change PolicyChange) (any, error) {
		return v.SetPolicy(c.Context(), c.actor, c.PathValue("id"), change)
	})))
	mux.Handle("GET /directory", s.answer(func(c call) (any, error) { return v.Directory(c.Context()) }))
	mux.Handle("POST /directory", s.answer(func(c call) (any, error) { return v.PublishDirectory(c.Context(), c.actor) }))
	mux.Handle("GET /keys", s.answer(func(c call) (any, error) { return v.Keys(c.Context()) }))
	s.batchRoutes(mux)
	mux.Handle("GET /payments", s.answer(s.payments))
	mux.Handle("GET /payments/{merchant}/{id}", s.answer(func(c call) (any, error) {
		return v.Payment(c.Context(), c.PathValue("merchant"), c.PathValue("id"))
	}))
	mux.Handle("POST /payments/resolve", s.answer(with("resolution", func(c call, r Resolution) (any, error) { return v.Resolve(c.Context(), c.actor, r) })))
	mux.Handle("POST /payments/resend", s.answer(with("order to send again", s.resendPayments)))
	mux.Handle("POST /returns", s.upload(s.importReturns))
	s.resultRoutes(mux)
	s.findingRoutes(mux)
	s.checkRoutes(mux)
	s.auditRoutes(mux)
	return mux
}

func (s *Server) unlock(c call) (any, error) {
	body, err := io.ReadAll(c.Body)
	defer clear(body)
	if err != nil {
		return nil, &Error{CodeUsage, "the shares could not be read: send them again"}
	}
	var shares Shares
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			shares.lines = append(shares.lines, line)
		}
	}
	if c.Pattern == checkPattern {
		return s.cfg.Vault.CheckShare(c.Context(), shares)
	}
	query := c.URL.Query()
	return s.cfg.Vault.Unlock(c.Context(), c.actor, shares, UnlockOptions{
		ConfirmClock: query.Get("confirm-clock") == "true", ConfirmLedger: query.Get("confirm-ledger") == "true", Rebuild: query.Get("rebuild") == "true"})
}

// with serves a call that brings JSON.
func with[T any](what string, handle func(call, T) (any, error)) func(call) (any, error) {
	return func(c call) (any, error) {
		var v T
		decoder := json.NewDecoder(c.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&v); err != nil {
			return nil, &Error{CodeUsage, "the " + what + " could not be read: " + err.Error()}
		}
		return handle(c, v)
	}
}

// importReturns takes a file of the bank. The log calls it by its name.
func (s *Server) importReturns(c call) (any, error) {
	name := c.URL.Query().Get("name")
	if !loggable.FileName(name) {
		return nil, &Error{CodeUsage, "the file's name would stand in the log for ever: take a copy named with 1 to 100 characters of ASCII, without what may be a card number"}
	}
	return s.cfg.Vault.ImportReturns(c.Context(), c.actor, name, c.Body)
}

func batchNumber(text string) (uint32, error) {
	number, err := strconv.ParseUint(text, 10, 32)
	if err != nil || number == 0 {
		return 0, &Error{CodeUsage, "a batch's number is 1 to 4294967295"}
	}
	return uint32(number), nil
}

func (s *Server) payments(c call) (any, error) {
	q, err := readPaymentQuery(c.URL.Query())
	if err != nil {
		return nil, err
	}
	return s.cfg.Vault.Payments(c.Context(), q)
}
