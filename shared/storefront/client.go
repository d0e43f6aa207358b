package storefront

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
)

// Config has which relay, which vault, and who the merchant is.
type Config struct {
	// the relay's origin: https://host or https://host:port, no path; http:// on loopback only
	Relay     string
	Vault     note.Verifier  // the pinned line: what `vault init` printed
	Identity  *Identity      // our keys
	MinSerial uint64         // lowest directory serial to accept; 0: any. Keep the highest seen.
	Suite     envelope.Suite // default SuiteXWing
	// default: TLS 1.3, the system's roots, 90 s a call; redirects are never followed
	HTTP *http.Client
	// what was seen of the vault's log; default: remembered while the client is in use
	Log LogStore
	Now func() time.Time // default time.Now

	// Unreached lets OpenTiles, AllResultsOf, ProveLater, CheckTiles, Compare and CompareTiles go
	// on if the relay is not reached, with what is kept here and, of the vault's keys, the pinned
	// one. It is called with the reason, once. Default nil: they fail.
	Unreached func(error)
}

// Client is one merchant's connection to one relay. Safe for concurrent use.
type Client struct {
	relay    string
	identity *Identity
	suite    envelope.Suite
	http     *http.Client
	now      func() time.Time
	vault    note.Verifier
	pin      *envelope.Pin

	unreached func(error)

	mu        sync.Mutex
	away      time.Time // when the relay was last not reached by what goes on without it
	directory envelope.Signed[envelope.Directory]
	fetched   time.Time

	askedMissing time.Time // when results that are missing were last asked for in vain
	turnMissing  int       // which of the gaps is asked for first the next time

	log     LogStore
	pause   time.Duration // before a checkpoint that is too small is fetched again
	looking sync.Mutex
	seen    *proof.History  // nil until it is loaded
	seenBy  []note.Verifier // the keys by which it was verified
}

// Errors of a call to the relay.
var (
	// ErrUnverified is returned when a relay's answer does not verify: its certificate, its
	// directory (old, or of another vault), or a statement that is unsigned or not about what was
	// sent.
	ErrUnverified = errors.New("the relay's answer does not verify")
	// ErrChain is returned when a merchant's results do not follow one another: two histories
	// exist, or one was inserted. If some are missing it is [ErrMissing].
	ErrChain = errors.New("the chain of results is broken")
)

// Refused is a relay's answer other than the one asked for. It says only that this copy was
// refused: an earlier copy of the same bytes may have been accepted.
type Refused struct {
	Status     int           // HTTP status
	Code       string        // specification 6, such as "unknown-signer"
	Detail     string        // what to do next, in the relay's words
	RetryAfter time.Duration // 0: not said
}

// Error returns the code and what to do next.
func (r *Refused) Error() string {
	return fmt.Sprintf("the relay answered %d %s: %s", r.Status, r.Code, r.Detail)
}

// Temporary reports whether the same bytes may be accepted later: the outcome is unknown, or the
// relay busy.
func (r *Refused) Temporary() bool { return r.Status >= 500 || r.Status == http.StatusTooManyRequests }

// directoryAge is how long a directory is used: well under the 6 hours of a code key.
const directoryAge = 10 * time.Minute

// New checks the configuration. It makes no call.
func New(c Config) (*Client, error) {
	relay, err := publicOrigin(c.Relay)
	if err != nil {
		return nil, err
	}
	if c.Identity == nil {
		return nil, errors.New("no identity: load one with LoadIdentity")
	}
	if c.Vault == (note.Verifier{}) {
		return nil, errors.New("no vault: pin the line that `vault init` printed")
	}
	client := &Client{relay: relay, identity: c.Identity, suite: c.Suite, http: httpClient(c.HTTP), now: c.Now,
		vault: c.Vault, pin: envelope.NewPin(c.Vault, c.MinSerial), unreached: c.Unreached, log: c.Log, pause: checkpointPause}
	if client.log == nil {
		client.log = memoryLog{}
	}
	if client.suite == "" {
		client.suite = envelope.SuiteXWing
	}
	if client.now == nil {
		client.now = time.Now
	}
	return client, nil
}

// publicOrigin returns a relay's origin as tokens name it: lower case, without port 443.
func publicOrigin(relay string) (string, error) {
	u, err := url.Parse(relay)
	if err != nil || u.Hostname() == "" || relay != u.Scheme+"://"+u.Host {
		return "", errors.New("relay: give its public origin and nothing after it, such as https://relay.example or https://relay.example:8443")
	}
	host := strings.ToLower(u.Host)
	switch ip := net.ParseIP(u.Hostname()); {
	case u.Scheme == "https":
		return "https://" + strings.TrimSuffix(host, ":443"), nil
	case u.Scheme == "http" && (ip.IsLoopback() || u.Hostname() == "localhost"):
		return "http://" + host, nil
	}
	return "", errors.New("relay: only https, for everyone on the way could read the token that asks for results; plain http on loopback only")
}

// callTimeout leaves room for a long poll of 60 seconds.
const callTimeout = 90 * time.Second

// httpClient returns a copy of given, or the default, that follows no redirect: whoever owns the
// relay could point it at hosts that only the shop's server reaches.
func httpClient(given *http.Client) *http.Client {
	h := http.Client{Timeout: callTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: callTimeout}}
	if given != nil {
		h = *given
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &h
}

// Merchant returns the client's merchant id.
func (c *Client) Merchant() string { return c.identity.Merchant() }

// Directory returns the vault's current directory, verified against the pin, fetched again after
// ten minutes or when it has expired. If the relay has none, the last one counts until it expires.
// [ErrUnverified] wraps the pin's error.
func (c *Client) Directory(ctx context.Context) (envelope.Signed[envelope.Directory], error) {
	return c.directoryAfter(ctx, c.now().Add(-directoryAge))
}

// directoryAfter returns a directory fetched after a time.
func (c *Client) directoryAfter(ctx context.Context, after time.Time) (envelope.Signed[envelope.Directory], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	usable := c.directory.Note != nil && now.Before(c.directory.Value.Expires.Time)
	if usable && c.fetched.After(after) {
		return c.directory, nil
	}
	body, err := c.get(ctx, "/v1/directory", note.MaxDirectoryBytes, false)
	switch {
	case err != nil && usable && !errors.Is(err, ErrUnverified):
		return c.directory, nil
	case err != nil:
		return envelope.Signed[envelope.Directory]{}, fmt.Errorf("fetch directory: %w", err)
	}
	directory, err := c.pin.Directory(body, now)
	if err != nil {
		return envelope.Signed[envelope.Directory]{}, fmt.Errorf("directory: %w: %w", ErrUnverified, err)
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

// do returns the body of an answer of the wanted status, or [*Refused].
func (c *Client) do(request *http.Request, want int, limit int64) ([]byte, error) {
	response, err := c.http.Do(request)
	if _, forged := errors.AsType[*tls.CertificateVerificationError](err); forged {
		return nil, fmt.Errorf("%w: %w", ErrUnverified, err)
	}
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

// Limits of what a relay may make a client wait, print and log.
const (
	maxRetryAfter  = 5 * time.Minute
	maxDetailBytes = 300
)

// refusal reads an RFC 9457 problem; of anything else (a proxy's page) it keeps only the status.
func refusal(response *http.Response, body []byte) *Refused {
	refused := &Refused{Status: response.StatusCode, Code: "http", Detail: "no explanation was given"}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		refused.RetryAfter = time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	}
	if response.StatusCode/100 == 3 {
		refused.Detail = "it redirects, which no relay does and is not followed: check the origin"
	}
	var problem struct{ Type, Detail string }
	isProblem := strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json")
	if !isProblem || json.Unmarshal(body, &problem) != nil {
		return refused
	}
	// both are shown on terminals, where control characters are commands
	if code, ok := strings.CutPrefix(problem.Type, "urn:nightdrop:"); ok && envelope.ValidMerchant(code) {
		refused.Code, refused.Detail = code, printable(problem.Detail)
	}
	return refused
}

// printable returns the printable ASCII of text, cut to maxDetailBytes.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7E {
			return -1
		}
		return r
	}, text)
	return text[:min(len(text), maxDetailBytes)]
}
