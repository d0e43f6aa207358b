package ingest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
)

// dial opens a bare TLS connection to the edge.
func (s *site) dial() net.Conn {
	s.t.Helper()
	c, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.roots})
	s.check(err)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// exchange writes bytes as they are and returns every answer until the server closes, which it must
// within seconds.
func (s *site) exchange(request string) []response {
	s.t.Helper()
	c := s.dial()
	s.check(c.SetDeadline(time.Now().Add(5 * time.Second)))
	_, err := io.WriteString(c, request)
	s.check(err)
	var answers []response
	for reader := bufio.NewReader(c); ; {
		answer, err := http.ReadResponse(reader, nil)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return answers
		}
		s.check(err)
		body, err := io.ReadAll(answer.Body)
		s.check(err)
		answers = append(answers, response{answer.StatusCode, answer.Header, body, answer.Close})
	}
}

const hidden = "GET /v1/directory HTTP/1.1\r\nHost: relay\r\n\r\n"

func TestRequestsThatHideOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	head := "POST /v1/envelopes HTTP/1.1\r\nHost: relay\r\nContent-Type: " + envelope.MediaType + "\r\n"
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
	tests := map[string]struct {
		request string
		status  int
		ours    bool // answered by the relay, not by net/http
	}{
		"chunked":                    {head + "Transfer-Encoding: chunked\r\n\r\n" + chunks, 411, true},
		"chunked and a length":       {head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, 411, true},
		"no length":                  {head + "\r\n" + hidden, 411, true},
		"another transfer encoding":  {head + "Transfer-Encoding: identity\r\n\r\n" + hidden, 501, false},
		"two lengths":                {head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456" + hidden, 400, false},
		"a length with a sign":       {head + "Content-Length: +5\r\n\r\n12345" + hidden, 400, false},
		"two media types":            {head + "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n12345" + hidden, 415, true},
		"an empty body":              {head + "Content-Length: 0\r\n\r\n" + hidden, 400, true},
		"a body before another":      {head + "Content-Length: 5\r\n\r\n12345" + hidden, 400, true},
		"a body announced too large": {head + "Content-Length: 99999999999\r\n\r\n" + hidden, 413, true},
		"a body to another path":     {strings.Replace(head, "/v1/envelopes", "/v1/elsewhere", 1) + "Content-Length: 5\r\n\r\n12345" + hidden, 404, true},
		"a body to a reading path":   {strings.Replace(head, "/v1/envelopes", "/v1/directory", 1) + "Content-Length: 5\r\n\r\n12345" + hidden, 405, true},
		"another method with a body": {strings.Replace(head, "POST", "PUT", 1) + "Content-Length: 5\r\n\r\n12345" + hidden, 405, true},
		"headers without end":        {head + strings.Repeat("X-Filler: 0123456789\r\n", 4000), 431, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answers := s.exchange(test.request)
			if len(answers) != 1 || answers[0].status != test.status {
				t.Fatalf("%d answers, first %+v; want one of status %d", len(answers), answers, test.status)
			}
			if test.ours {
				s.code(answers[0])
			}
		})
	}
}

func TestSlowAndBrokenCallers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	head := fmt.Sprintf("POST /v1/envelopes HTTP/1.1\r\nHost: relay\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n", envelope.MediaType)
	// All wait at the same time, so that the test takes as long as the slowest limit.
	tests := []struct {
		name          string
		open          func() net.Conn
		send          string
		least, atMost time.Duration
		trickles      bool
	}{
		{"no handshake", s.plainDial, "", 4 * time.Second, 9 * time.Second, false},
		{"no header", s.dial, "", 4 * time.Second, 9 * time.Second, false},
		{"slow header", s.dial, "POST /v1/env", 4 * time.Second, 9 * time.Second, false},
		{"half a body", s.dial, head + "half", 9 * time.Second, 14 * time.Second, false},
		{"a trickling body", s.dial, head, 9 * time.Second, 14 * time.Second, true},
	}
	var group sync.WaitGroup
	for _, test := range tests {
		c := test.open()
		group.Go(func() {
			began := time.Now()
			_, _ = io.WriteString(c, test.send)
			if test.trickles {
				go trickle(c)
			}
			_ = c.SetReadDeadline(began.Add(test.atMost))
			got, err := io.ReadAll(c)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() || time.Since(began) < test.least {
				t.Errorf("%s: after %s: %v; want it closed between %s and %s", test.name, time.Since(began), err, test.least, test.atMost)
			}
			// net/http says 400 to a header without end; nobody says anything else.
			if len(got) > 0 && !bytes.HasPrefix(got, []byte("HTTP/1.1 400 Bad Request\r\n")) {
				t.Errorf("%s: answered %q", test.name, got)
			}
		})
	}
	group.Wait()
	// Whoever behaves is not hindered.
	if answer := s.post(sign(s, s.envelope(), s.shops[shop])); answer.status != 202 {
		t.Errorf("afterwards: %d", answer.status)
	}
	waittest.For(s.t, "all to be released", func() bool {
		s.edge.posting.mu.Lock()
		defer s.edge.posting.mu.Unlock()
		return s.edge.posting.all == 0
	})
}

func trickle(c net.Conn) {
	for {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *site) plainDial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.address)
	s.check(err)
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestASlowAckIsNotASlowBody posts while the bag takes longer than a body may.
func TestASlowAckIsNotASlowBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(p *plan) {
		p.bags = func(b Bags) Bags { return slowBags{b, bodyTimeout + time.Second} }
		p.limits.AckWait = 20 * time.Second
	})
	if answer := s.post(sign(s, s.envelope(), s.shops[shop])); answer.status != 202 {
		t.Errorf("answer %d %s", answer.status, answer.body)
	}
}

func TestOnlyTLS13(t *testing.T) {
	s := newSite(t, nil)
	_, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.roots, MaxVersion: tls.VersionTLS12})
	if err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	c, err := tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.roots, NextProtos: []string{"h2", "http/1.1"}})
	if err == nil {
		defer c.Close()
		if got := c.ConnectionState().NegotiatedProtocol; got == "h2" {
			t.Error("HTTP/2 was agreed on")
		}
	}
}

func TestPathsAndMethodsAreExact(t *testing.T) {
	s := newSite(t, nil)
	tests := []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/", 404, "not-found", ""},
		{"GET", "/v1/directory/", 404, "not-found", ""},
		{"GET", "//v1/directory", 404, "not-found", ""},
		{"GET", "/v1/../v1/directory", 404, "not-found", ""},
		{"GET", "/v1/%64irectory", 404, "not-found", ""},
		{"GET", "/V1/directory", 404, "not-found", ""},
		{"GET", "/v1/envelopes/", 404, "not-found", ""},
		{"GET", "/v1/envelopes/a/b", 404, "not-found", ""},
		{"GET", "/healthz", 404, "not-found", ""},
		{"GET", "/metrics", 404, "not-found", ""},
		{"GET", "/v1/position", 404, "not-found", ""},
		{"GET", "/v1/log/checkpoint", 404, "not-found", ""},
		{"GET", "/v1/envelopes", 405, "method", "POST"},
		{"HEAD", "/v1/envelopes", 405, "", "POST"},
		{"DELETE", "/v1/envelopes", 405, "method", "POST"},
		{"OPTIONS", "/v1/envelopes", 405, "method", "POST"},
		{"POST", "/v1/directory", 405, "method", "GET, HEAD"},
		{"POST", "/v1/results", 405, "method", "GET, HEAD"},
		{"PUT", "/openapi.yaml", 405, "method", "GET, HEAD"},
		{"GET", "/v1/results", 401, "unauthorized", ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			answer := s.do(test.method, "", nil, func(r *http.Request) { r.URL.Opaque = test.path })
			if answer.status != test.status || answer.header.Get("Allow") != test.allow || answer.header.Get("Location") != "" {
				t.Errorf("answer %d, Allow %q", answer.status, answer.header.Get("Allow"))
			}
			if test.code != "" && s.code(answer) != "urn:nightdrop:"+test.code {
				t.Errorf("code %s, want %s", s.code(answer), test.code)
			}
			if answer.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("a CORS header was sent")
			}
		})
	}
	get := s.get("/v1/directory")
	head := s.do(http.MethodHead, "/v1/directory", nil, nil)
	if head.status != 200 || len(head.body) != 0 || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
		t.Errorf("HEAD: %d, %v", head.status, head.header)
	}
}

func TestTheContractNamesEveryCall(t *testing.T) {
	s := newSite(t, func(p *plan) { p.silent = true })
	answer := s.get("/openapi.yaml")
	var contract struct {
		OpenAPI    string                               `yaml:"openapi"`
		Paths      map[string]map[string]map[string]any `yaml:"paths"`
		Components struct {
			Responses map[string]any `yaml:"responses"`
			Schemas   map[string]any `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(answer.body, &contract); err != nil || answer.header.Get("Content-Type") != "application/yaml" {
		t.Fatalf("%v, %v", err, answer.header)
	}
	want := map[string]string{envelopesPath: "post", envelopesPath + "/{id}": "get", "/v1/results": "get", "/v1/directory": "get",
		"/v1/position": "get", "/v1/log/checkpoint": "get", "/openapi.yaml": "get"}
	for path, method := range want {
		if contract.Paths[path][method]["responses"] == nil {
			t.Errorf("the contract says nothing of %s %s", method, path)
		}
	}
	if len(contract.Paths) != len(want) || !strings.HasPrefix(contract.OpenAPI, "3.") {
		t.Errorf("%d paths, OpenAPI %q", len(contract.Paths), contract.OpenAPI)
	}
	for _, reference := range bytes.Split(answer.body, []byte(`$ref: "#/components/`))[1:] {
		kind, rest, _ := strings.Cut(string(reference), "/")
		name, _, _ := strings.Cut(rest, `"`)
		if contract.Components.Responses[name] == nil && contract.Components.Schemas[name] == nil {
			t.Errorf("the contract refers to %s/%s, which is not there", kind, name)
		}
	}
	for _, r := range everyRefusal() {
		if !bytes.Contains(answer.body, []byte(r.code)) {
			t.Errorf("the contract does not name %s", r.code)
		}
	}
}

func everyRefusal() []refusal {
	return []refusal{rateLimited, noDirectory, channelUnavailable, channelFull, lengthRequired, mediaType, tooLarge, malformedNote,
		unknownSigner, merchantSuspended, clockOff, late, unknownKey, notSealed, unauthorized, unknownID, notFound}
}
