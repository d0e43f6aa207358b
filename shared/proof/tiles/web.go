package tiles

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightdrop/shared/proof"
	"nightdrop/shared/untrusted"
)

// ErrAddress is returned when an address is not one from which tiles are read.
var ErrAddress = errors.New("give a directory, or the address of one on a web server: https://host/path, or http:// on loopback")

// ErrServer is returned when a web server answers neither with a file nor that there is none.
var ErrServer = errors.New("the web server gives no tiles")

// fileTime bounds how long one file, of at most 64 KiB, may take.
const fileTime = 30 * time.Second

// Web is a copy of the log on a web server. It is safe for concurrent use.
type Web struct {
	base string // without a final slash
	http http.Client
}

// Open returns the source of a copy: a [Web] if place is an address, else a [Dir]. It reads
// nothing. A nil client uses TLS 1.3 and the system's roots; another is used without following
// redirects.
func Open(place string, client *http.Client) (proof.TileSource, error) {
	if strings.Contains(place, "://") {
		return NewWeb(place, client)
	}
	if place == "" {
		return nil, ErrAddress
	}
	return Dir(place), nil
}

// NewWeb checks the address of a copy: https, or http on loopback. Client as for [Open].
func NewWeb(base string, client *http.Client) (*Web, error) {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, ErrAddress // not quoted: it may hold a password
	}
	loopback := u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, ErrAddress
	}
	w := &Web{base: strings.TrimRight(u.String(), "/"), http: http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment,
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: fileTime}}}
	if client != nil {
		w.http = *client
	}
	// whoever owns the server could point us at hosts that only we reach
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return w, nil
}

// ReadFile implements [proof.TileSource], waiting up to 30 seconds. [ErrServer]: the status is not
// 200, 404 or 410; a server that is not reached is a [*url.Error].
func (w *Web) ReadFile(ctx context.Context, path string, limit int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fileTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := w.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusGone:
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	case response.StatusCode/100 == 3:
		return nil, fmt.Errorf("%w: it redirects %s, which is not followed: give the address where the files are", ErrServer, path)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: it answered %d to %s: try again later, or take another copy", ErrServer, response.StatusCode, path)
	}
	data, err := untrusted.ReadAll(response.Body, path, limit)
	return data, damaged(err)
}
