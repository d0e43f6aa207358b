package storefront

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// Config says which relay, which vault, and who we are.
type Config struct {
	Relay     string           // the relay's public origin: https://host or https://host:port, no path
	Vault     note.Verifier    // the pinned line: what `vault init` printed
	Identity  *Identity        // our keys
	MinSerial uint64           // lowest directory serial to accept; 0: any. Keep the highest one seen.
	Suite     envelope.Suite   // default SuiteXWing
	HTTP      *http.Client     // default: TLS 1.3 by the system's roots, 90 s a call
	Now       func() time.Time // default time.Now
}

// Client talks to one relay for one merchant. It is safe for concurrent use.
type Client struct {
	relay    string
	identity *Identity
	suite    envelope.Suite
	http     *http.Client
	now      func() time.Time
	pin      *envelope.Pin

	mu        sync.Mutex
	directory envelope.Signed[envelope.Directory]
	fetched   time.Time
}

// Errors of a call to the relay.
var (
	// ErrUnverified is returned when a relay's answer is not what it should be: not signed, not about what was sent.
	ErrUnverified = errors.New("the relay's answer does not verify")
	// ErrChain is returned when a merchant's results do not follow one another: one was withheld, or two histories exist.
	ErrChain = errors.New("the chain of results is broken")
)

// Refused is a relay's answer other than the one asked for. It says only that this copy was refused: an earlier copy of the same
// bytes may have been taken.
type Refused struct {
	Status     int           // HTTP status
	Code       string        // INTERFACES 6, such as "unknown-signer"
	Detail     string        // what to do next, in the relay's words
	RetryAfter time.Duration // 0: not said
}

// Error tells the code and what to do next.
func (r *Refused) Error() string {
	return fmt.Sprintf("the relay answered %d %s: %s", r.Status, r.Code, r.Detail)
}

// Temporary tells whether the same bytes may be taken later: the outcome is unknown or the relay was busy.
func (r *Refused) Temporary() bool { return r.Status >= 500 || r.Status == http.StatusTooManyRequests }

// directoryAge is how long a directory is used before the client looks for a newer one: well under the 6 hours of a code key.
const directoryAge = 10 * time.Minute

// New checks the configuration. It makes no call.
func New(c Config) (*Client, error) {
	origin, err := url.Parse(c.Relay)
	if err != nil || origin.Host == "" || origin.Path != "" || (origin.Scheme != "https" && origin.Scheme != "http") {
		return nil, fmt.Errorf("relay %q: give its public origin, such as https://relay.example or https://relay.example:8443", c.Relay)
	}
	if c.Identity == nil {
		return nil, errors.New("no identity: load one with LoadIdentity")
	}
	if c.Vault == (note.Verifier{}) {
		return nil, errors.New("no vault: pin the line that `vault init` printed")
	}
	client := &Client{relay: strings.TrimSuffix(c.Relay, "/"), identity: c.Identity, suite: c.Suite, http: c.HTTP, now: c.Now,
		pin: envelope.NewPin(c.Vault, c.MinSerial)}
	if client.suite == "" {
		client.suite = envelope.SuiteXWing
	}
	if client.now == nil {
		client.now = time.Now
	}
	if client.http == nil {
		client.http = &http.Client{Timeout: callTimeout}
	}
	return client, nil
}

// callTimeout leaves room for a long poll of 60 seconds.
const callTimeout = 90 * time.Second

// Merchant is the id that the client acts for.
func (c *Client) Merchant() string { return c.identity.Merchant() }

// Directory returns the vault's current directory, verified against the pin, fetched again after ten minutes or when it has expired.
func (c *Client) Directory(ctx context.Context) (envelope.Signed[envelope.Directory], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	fresh := now.Sub(c.fetched) < directoryAge && now.Before(c.directory.Value.Expires.Time)
	if c.directory.Note != nil && fresh {
		return c.directory, nil
	}
	body, err := c.get(ctx, "/v1/directory", note.MaxDirectoryBytes, false)
	if err != nil {
		return envelope.Signed[envelope.Directory]{}, fmt.Errorf("fetch directory: %w", err)
	}
	directory, err := c.pin.Directory(body, now)
	if err != nil {
		return envelope.Signed[envelope.Directory]{}, fmt.Errorf("directory: %w", err)
	}
	c.directory, c.fetched = directory, now
	return directory, nil
}

// get makes one call and returns the body of a 200.
func (c *Client) get(ctx context.Context, path string, limit int64, authorised bool) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.relay+path, nil)
	if err != nil {
		return nil, err
	}
	if authorised {
		token, err := c.token()
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return c.do(request, http.StatusOK, limit)
}

// do returns the body of an answer of the wanted status, or *Refused.
func (c *Client) do(request *http.Request, want int, limit int64) ([]byte, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the relay's answer: %w", err)
	}
	if response.StatusCode != want {
		return nil, refusal(response, body)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("answer of over %d bytes: %w", limit, ErrUnverified)
	}
	return body, nil
}

// refusal reads an RFC 9457 problem; anything else (a proxy's page) keeps only its status.
func refusal(response *http.Response, body []byte) *Refused {
	refused := &Refused{Status: response.StatusCode, Code: "http", Detail: "no explanation was given"}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		refused.RetryAfter = time.Duration(seconds) * time.Second
	}
	var problem struct{ Type, Detail string }
	code, isProblem := "", strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json")
	if isProblem && json.NewDecoder(bytes.NewReader(body)).Decode(&problem) == nil {
		code, _ = strings.CutPrefix(problem.Type, "urn:nightdrop:")
	}
	if code != "" {
		refused.Code, refused.Detail = code, problem.Detail
	}
	return refused
}
