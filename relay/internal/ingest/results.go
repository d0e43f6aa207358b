package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"nightdrop/shared/envelope"
)

const (
	maxWait     = 60               // seconds of a long poll
	maxSerial   = 1<<53 - 1        // specification 1.2: integers
	pageResults = 100              // results in one answer
	readTimeout = 5 * time.Second  // of one read of the channel
	writeGrace  = 30 * time.Second // for a slow reader, beyond its wait
)

// page is the answer of both calls. Results must not be nil, or encoding/json writes null.
type page struct {
	Results []string `json:"results"`
	Next    *uint64  `json:"next,omitempty"`
}

// results answers with a merchant's results after a serial, waiting for the first if there is none.
func (e *Edge) results(w http.ResponseWriter, r *http.Request) error {
	merchant, err := e.reader(r)
	if err != nil {
		return err
	}
	after, wait, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	slots := e.pages
	if wait > 0 {
		slots = e.polls
	}
	release, ok := slots.acquire(merchant)
	if !ok {
		return rateLimited
	}
	defer release()
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + readTimeout + writeGrace)); err != nil {
		return err
	}
	notes, err := e.await(r.Context(), merchant, after, wait)
	if err != nil {
		return err
	}
	next := after
	if len(notes) > 0 {
		last, err := envelope.Peek[envelope.Result](notes[len(notes)-1])
		if err != nil || last.Serial <= after {
			e.config.Logger.Error("the channel holds a result that cannot be read", "merchant", merchant, "after", after, "error", err)
			return channelUnreadable
		}
		next = last.Serial
	}
	return writePage(w, notes, &next)
}

func (e *Edge) resultsOf(w http.ResponseWriter, r *http.Request) error {
	merchant, err := e.reader(r)
	if err != nil {
		return err
	}
	id := strings.TrimPrefix(r.URL.Path, envelopesPath+"/")
	if !envelope.ValidID(id) {
		return unknownID
	}
	release, ok := e.pages.acquire(merchant)
	if !ok {
		return rateLimited
	}
	defer release()
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	notes, err := e.config.Channel.ResultsOf(ctx, merchant, id)
	if err != nil {
		return channelUnreadable
	}
	if len(notes) == 0 {
		return unknownID
	}
	return writePage(w, notes, nil)
}

// reader returns the merchant that reads. Reads have a rate of their own, so that eager polling
// leaves posts alone, and separate slots for those that wait and those that do not.
func (e *Edge) reader(r *http.Request) (merchant string, err error) {
	if !e.config.Board.HasMembers() {
		return "", noDirectory
	}
	merchant, err = e.authenticate(r)
	if err != nil {
		return "", unauthorized
	}
	if wait, ok := e.reads.spend(merchant); !ok {
		return "", rateLimited.after(wait)
	}
	return merchant, nil
}

// await reads results, waiting for the first. It subscribes before it reads, so nothing is missed.
func (e *Edge) await(ctx context.Context, merchant string, after uint64, wait time.Duration) ([][]byte, error) {
	arrived, cancel := e.config.Channel.ResultArrived(merchant)
	defer cancel()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for last := wait == 0; ; {
		notes, err := e.read(ctx, merchant, after)
		if err != nil || len(notes) > 0 || last {
			return notes, err
		}
		select {
		case <-arrived:
		case <-timer.C:
			last = true
		case <-e.stopping:
			last = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (e *Edge) read(ctx context.Context, merchant string, after uint64) ([][]byte, error) {
	limited, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	notes, err := e.config.Channel.Results(limited, merchant, after, pageResults)
	if err != nil && ctx.Err() == nil {
		e.config.Logger.Warn("results cannot be read from the channel", "error", err)
		return nil, channelUnreadable
	}
	return notes, err
}

// parseQuery reads after (0 to 2^53-1) and wait (0 to 60 seconds): optional, once, plain decimal.
func parseQuery(query string) (after uint64, wait time.Duration, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, 0, malformedQuery
	}
	after, err = decimal(values["after"], maxSerial)
	if err != nil {
		return 0, 0, err
	}
	seconds, err := decimal(values["wait"], maxWait)
	return after, time.Duration(seconds) * time.Second, err
}

func decimal(given []string, most uint64) (uint64, error) {
	if len(given) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(given[0], 10, 64)
	if err != nil || len(given) > 1 || n > most || strconv.FormatUint(n, 10) != given[0] {
		return 0, malformedQuery
	}
	return n, nil
}

func writePage(w http.ResponseWriter, notes [][]byte, next *uint64) error {
	p := page{Results: make([]string, len(notes)), Next: next}
	for i, n := range notes {
		p.Results[i] = string(n)
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(p); err != nil {
		return err
	}
	return serve(w, "application/json", body.Bytes())
}
