package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"nightdrop/vault/internal/operator"
)

// Client calls a running vault. It is safe for concurrent use. Every error that the vault gives is
// an *Error.
type Client struct {
	socket string
	reason string
	http   *http.Client
}

// NewClient makes a client for the socket at path; reason, which may be empty, stands in the log as
// what the calls are for.
func NewClient(path, reason string) *Client {
	dialer := net.Dialer{}
	return &Client{socket: path, reason: reason, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) },
	}}}
}

// Await waits until a daemon answers, for at most the time given: one that was started a moment ago
// makes its socket first.
func (c *Client) Await(ctx context.Context, most time.Duration) error {
	end := time.Now().Add(most)
	for {
		_, err := c.Status(ctx)
		failure, ok := errors.AsType[*Error](err)
		if !ok || failure.Code != CodeUnavailable || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Status asks what the vault is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/status", nil)
}

// Unlock gives k custodians' shares, one a line. The caller clears them.
func (c *Client) Unlock(ctx context.Context, shares [][]byte, o UnlockOptions) (Unlocked, error) {
	body := bytes.Join(shares, []byte("\n"))
	defer clear(body)
	return send[Unlocked](ctx, c, "/unlock", url.Values{"confirm-clock": {strconv.FormatBool(o.ConfirmClock)},
		"confirm-ledger": {strconv.FormatBool(o.ConfirmLedger)}, "rebuild": {strconv.FormatBool(o.Rebuild)}}, body)
}

// CheckShare has the vault look at one share, which changes nothing. The caller clears it.
func (c *Client) CheckShare(ctx context.Context, share []byte) (CheckedShare, error) {
	return send[CheckedShare](ctx, c, "/unlock/check", nil, share)
}

// Lock has the vault forget its keys: its process starts anew, locked.
func (c *Client) Lock(ctx context.Context) error {
	_, err := send[struct{}](ctx, c, "/lock", nil, nil)
	return err
}

// Merchants lists them.
func (c *Client) Merchants(ctx context.Context) ([]Merchant, error) {
	return get[[]Merchant](ctx, c, "/merchants", nil)
}

// Merchant shows one.
func (c *Client) Merchant(ctx context.Context, id string) (Merchant, error) {
	return get[Merchant](ctx, c, "/merchants/"+url.PathEscape(id), nil)
}

// AddMerchant enrols one.
func (c *Client) AddMerchant(ctx context.Context, m NewMerchant) (Merchant, error) {
	return sendJSON[Merchant](ctx, c, "/merchants", m)
}

// UpdateMerchant changes what a merchant was enrolled with.
func (c *Client) UpdateMerchant(ctx context.Context, id string, change MerchantChange) (Merchant, error) {
	return sendJSON[Merchant](ctx, c, "/merchants/"+url.PathEscape(id)+"/update", change)
}

// SuspendMerchant stops a merchant's new envelopes.
func (c *Client) SuspendMerchant(ctx context.Context, id string) (Merchant, error) {
	return send[Merchant](ctx, c, "/merchants/"+url.PathEscape(id)+"/suspend", nil, nil)
}

// ResumeMerchant lets them in again.
func (c *Client) ResumeMerchant(ctx context.Context, id string) (Merchant, error) {
	return send[Merchant](ctx, c, "/merchants/"+url.PathEscape(id)+"/resume", nil, nil)
}

// SetPolicy changes parts of a merchant's policy.
func (c *Client) SetPolicy(ctx context.Context, id string, change PolicyChange) (Merchant, error) {
	return sendJSON[Merchant](ctx, c, "/merchants/"+url.PathEscape(id)+"/policy", change)
}

// Directory shows the newest directory.
func (c *Client) Directory(ctx context.Context) (Directory, error) {
	return get[Directory](ctx, c, "/directory", nil)
}

// PublishDirectory issues a directory now.
func (c *Client) PublishDirectory(ctx context.Context) (Directory, error) {
	return send[Directory](ctx, c, "/directory", nil, nil)
}

// Keys lists the sealing keys.
func (c *Client) Keys(ctx context.Context) ([]Key, error) { return get[[]Key](ctx, c, "/keys", nil) }

// given is a query's number, "" where it is 0 and restricts nothing.
func given[T int | uint32 | uint64](n T) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (out T, err error) {
	response, err := c.do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	err = decode(response, &out)
	return out, err
}

func send[T any](ctx context.Context, c *Client, path string, query url.Values, body []byte) (out T, err error) {
	return post[T](ctx, c, path, query, bytes.NewReader(body))
}

func sendJSON[T any](ctx context.Context, c *Client, path string, v any) (out T, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return out, err
	}
	return send[T](ctx, c, path, nil, body)
}

func post[T any](ctx context.Context, c *Client, path string, query url.Values, body io.Reader) (out T, err error) {
	response, err := c.do(ctx, http.MethodPost, path, query, body)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	err = decode(response, &out)
	return out, err
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	if query == nil {
		query = url.Values{}
	}
	if c.reason != "" {
		query.Set("reason", c.reason)
	}
	target := url.URL{Scheme: "http", Host: "vault", RawPath: path, RawQuery: query.Encode()}
	var err error
	if target.Path, err = url.PathUnescape(path); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		cause := err
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			cause = wrapped.Err
		}
		if errors.Is(cause, io.EOF) || errors.Is(cause, syscall.ECONNRESET) {
			return nil, &Error{CodeUnavailable, fmt.Sprintf("the vault ended before it answered on %s: its log says why, and what to do first; "+
				"whether it did what it was asked is not known", c.socket)}
		}
		return nil, &Error{CodeUnavailable, fmt.Sprintf("no vault answers on %s (%v): start it with `vault serve`", c.socket, cause)}
	}
	return response, nil
}

func decode(response *http.Response, out any) error {
	if response.StatusCode != http.StatusOK {
		return readError(response)
	}
	if err := json.NewDecoder(response.Body).Decode(out); err != nil {
		return &Error{CodeUnavailable, "the vault's answer broke off: ask for its status, then call again"}
	}
	return nil
}

// readError reads the vault's own error, or says what came instead.
func readError(response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	failure := &Error{}
	if err != nil || json.Unmarshal(text, failure) != nil || failure.Code == "" {
		return &Error{CodeFailed, "the vault answered " + response.Status + ": is the command line of the daemon's version?"}
	}
	return failure
}

// follow has long work done and reads of its progress to its end.
func follow[T any](ctx context.Context, c *Client, path string, query url.Values, progress operator.Progress) (out T, err error) {
	return read[T](ctx, c, http.MethodPost, path, query, func(l line) error {
		if l.Progress != nil && progress != nil {
			progress(l.Progress.Done, l.Progress.Total)
		}
		return nil
	})
}

// read reads a stream to its end: each line that is not the last goes to more, whose error ends it.
func read[T any](ctx context.Context, c *Client, method, path string, query url.Values, more func(line) error) (out T, err error) {
	response, err := c.do(ctx, method, path, query, nil)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return out, readError(response)
	}
	for decoder := json.NewDecoder(response.Body); ; {
		var l line
		if err := decoder.Decode(&l); err != nil {
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			return out, &Error{CodeUnavailable, "the vault's answer broke off: call again, it goes on where it stopped"}
		}
		if l.Progress != nil || l.Rows != nil {
			if err := more(l); err != nil {
				return out, err
			}
			continue
		}
		if l.Result != nil {
			if err := json.Unmarshal(l.Result, &out); err != nil {
				return out, err
			}
		}
		if l.Error != nil {
			return out, l.Error
		}
		return out, nil
	}
}
