package control

import (
	"net/http"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/report"
)

func (s *Server) batchRoutes(mux *http.ServeMux) {
	v := s.cfg.Vault
	mux.Handle("GET /batches", s.answer(func(c call) (any, error) {
		q, err := batchQuery(c)
		if err != nil {
			return nil, err
		}
		return v.Batches(c.Context(), q)
	}))
	mux.Handle("GET /batches/{number}", s.answer(ofBatch(func(c call, number uint32) (any, error) { return v.Batch(c.Context(), number) })))
	mux.Handle("POST /batches/{number}/compare", s.upload(ofBatch(func(c call, number uint32) (any, error) { return v.Compare(c.Context(), number, c.Body) })))
	mux.Handle("POST /batches/{number}/agree", s.upload(ofBatch(func(c call, number uint32) (any, error) { return v.Agree(c.Context(), c.actor, number, c.Body) })))
	mux.Handle("POST /batches/{number}/adjust", s.answer(ofBatch(func(c call, number uint32) (any, error) {
		return with("adjustment", func(c call, a Adjustment) (any, error) { return v.Adjust(c.Context(), c.actor, number, a) })(c)
	})))
	mux.Handle("POST /files/{name}/again", s.answer(func(c call) (any, error) {
		if c.actor.Purpose == "" {
			return nil, &Error{CodeUsage, "a reason is needed: who said that the bank has not got the file"}
		}
		return v.FileAgain(c.Context(), c.actor, c.PathValue("name"))
	}))
	mux.Handle("POST /batches/close", s.stream(func(c call, p operator.Progress) (any, error) {
		q, err := batchQuery(c)
		if err != nil {
			return nil, err
		}
		return v.CloseBatches(c.Context(), c.actor, q, p)
	}))
	mux.Handle("POST /batches/settle", s.stream(s.settle))
	mux.Handle("GET /report", s.lines(s.report))
}

func batchQuery(c call) (BatchQuery, error) {
	query := c.URL.Query()
	q := BatchQuery{Merchant: query.Get("merchant"), Method: book.Method(query.Get("method"))}
	if q.Method != "" && q.Method != book.MethodCard && q.Method != book.MethodBank {
		return q, &Error{CodeUsage, "a method is card or bank"}
	}
	return q, nil
}

// ofBatch serves a call about the batch that its path numbers.
func ofBatch(handle func(call, uint32) (any, error)) func(call) (any, error) {
	return func(c call) (any, error) {
		number, err := batchNumber(c.PathValue("number"))
		if err != nil {
			return nil, err
		}
		return handle(c, number)
	}
}

func (s *Server) settle(c call, p operator.Progress) (any, error) {
	number := book.AllBatches
	q, err := batchQuery(c)
	if err != nil {
		return nil, err
	}
	if text := c.URL.Query().Get("batch"); text != "" {
		if number, err = batchNumber(text); err != nil {
			return nil, err
		}
	}
	return s.cfg.Vault.Settle(c.Context(), c.actor, number, q.Method, p)
}

func (s *Server) report(c call, send func(line) error) (any, error) {
	query := c.URL.Query()
	q := ReportQuery{From: query.Get("from"), To: query.Get("to"), Merchant: query.Get("merchant"), Rows: query.Get("rows") == "true"}
	if text := query.Get("batch"); text != "" {
		var err error
		if q.Batch, err = batchNumber(text); err != nil {
			return nil, err
		}
	}
	var each func([]report.Payment) error
	if q.Rows {
		each = func(rows []report.Payment) error {
			if len(rows) == 0 {
				return nil
			}
			return send(line{Rows: rows})
		}
	}
	return s.cfg.Vault.Report(c.Context(), q, each)
}
