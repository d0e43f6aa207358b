package tiles_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
	"nightdrop/shared/proof/tiles"
)

const size = 700

// copied is a directory that holds a copy of a log.
func copied(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	prooftest.Of(t, size).Export(size, vector.Signer(t, "vault.example", "vault.example")).Write(t, dir)
	return dir
}

// prove proves a leaf from a source that is opened for it.
func prove(ctx context.Context, t *testing.T, place string, client *http.Client) error {
	t.Helper()
	source, err := tiles.Open(place, client)
	if err != nil {
		return err
	}
	vault := vector.Signer(t, "vault.example", "vault.example")
	log, err := proof.OpenTiles(ctx, source, vault.Verifier())
	if err != nil {
		return err
	}
	p, err := log.Prove(ctx, 300, prooftest.Record(300))
	if err == nil {
		_, err = p.Verify(prooftest.Record(300), vault.Verifier())
	}
	return err
}

func TestFromADirectory(t *testing.T) {
	if err := prove(t.Context(), t, copied(t), nil); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(copied(t), "tile", "0", "001")
	for name, c := range map[string]struct {
		bend func(dir, tile string) error
		want error // nil: any
	}{
		"no such directory":       {func(dir, _ string) error { return os.RemoveAll(dir) }, fs.ErrNotExist},
		"no checkpoint":           {func(dir, _ string) error { return os.Remove(filepath.Join(dir, "checkpoint")) }, fs.ErrNotExist},
		"a tile removed":          {func(_, tile string) error { return os.Remove(tile) }, proof.ErrIncomplete},
		"a tile cut":              {func(_, tile string) error { return os.Truncate(tile, 100) }, proof.ErrDamaged},
		"a tile without end":      {func(_, tile string) error { return os.Truncate(tile, 1<<40) }, proof.ErrDamaged},
		"a directory for a tile":  {func(_, tile string) error { return errors.Join(os.Remove(tile), os.Mkdir(tile, 0o755)) }, proof.ErrDamaged},
		"a pipe for a tile":       {func(_, tile string) error { return errors.Join(os.Remove(tile), unix.Mkfifo(tile, 0o644)) }, proof.ErrDamaged},
		"a link out of it":        {func(_, tile string) error { return errors.Join(os.Remove(tile), os.Symlink(outside, tile)) }, nil},
		"a link to a device":      {func(_, tile string) error { return errors.Join(os.Remove(tile), os.Symlink("/dev/zero", tile)) }, nil},
		"a file for a directory":  {func(dir, _ string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) }, nil},
		"a tile of other entries": {func(dir, tile string) error { return os.Rename(filepath.Join(dir, "tile", "0", "000"), tile) }, proof.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t)
			if err := c.bend(dir, filepath.Join(dir, "tile", "0", "001")); err != nil {
				t.Fatal(err)
			}
			if err := prove(t.Context(), t, dir, nil); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// server is a web server with a copy below /logs/vault; bend, where it is not nil, answers for one
// tile.
func server(t *testing.T, bend http.HandlerFunc) *httptest.Server {
	t.Helper()
	files := http.StripPrefix("/logs/vault/", http.FileServer(http.Dir(copied(t))))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bend != nil && strings.HasSuffix(r.URL.Path, "/tile/0/001") {
			bend(w, r)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestFromAWebServer(t *testing.T) {
	s := server(t, nil)
	for _, address := range []string{s.URL + "/logs/vault", s.URL + "/logs/vault/"} {
		if err := prove(t.Context(), t, address, s.Client()); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := prove(t.Context(), t, s.URL+"/logs", s.Client()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("where there is none: %v", err)
	}
	if _, unreached := errors.AsType[*url.Error](prove(t.Context(), t, s.URL+"/logs/vault", nil)); !unreached {
		t.Error("a certificate that the system does not know was taken")
	}
	plain := httptest.NewServer(s.Config.Handler)
	t.Cleanup(plain.Close)
	if err := prove(t.Context(), t, plain.URL+"/logs/vault", nil); err != nil {
		t.Errorf("plain http on loopback: %v", err)
	}
	// A server may compress what it sends.
	if err := prove(t.Context(), t, server(t, compressed(make([]byte, 10<<20))).URL+"/logs/vault", s.Client()); !errors.Is(err, proof.ErrDamaged) {
		t.Errorf("a tile that unpacks to ten megabytes: %v", err)
	}
}

func compressed(data []byte) http.HandlerFunc {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(data)
	_ = w.Close()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}
}

func TestAServerThatIsAnAttackers(t *testing.T) {
	asked := false
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		_, _ = w.Write(make([]byte, proof.TileBytes))
	}))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		bend http.HandlerFunc
		want error
	}{
		"sends to another host":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, tiles.ErrServer},
		"sends to another path":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusMovedPermanently) }, tiles.ErrServer},
		"has none":                {http.NotFound, proof.ErrIncomplete},
		"has none any more":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }, proof.ErrIncomplete},
		"is in trouble":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, tiles.ErrServer},
		"wants a name":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, tiles.ErrServer},
		"gives half of it":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4096)) }, proof.ErrDamaged},
		"gives nothing":           {func(http.ResponseWriter, *http.Request) {}, proof.ErrDamaged},
		"gives another tile":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, proof.TileBytes)) }, proof.ErrDamaged},
		"gives a byte more":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, proof.TileBytes+1)) }, proof.ErrDamaged},
		"gives bytes without end": {endless, proof.ErrDamaged},
		"breaks off":              {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, c.bend)
			if err := prove(t.Context(), t, s.URL+"/logs/vault", s.Client()); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if asked {
		t.Error("a redirect was followed")
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 1<<16)); err != nil {
			return
		}
	}
}

func TestACallThatIsCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := server(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if err := prove(ctx, t, s.URL+"/logs/vault", s.Client()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"", "http://logs.example/vault", "http://192.0.2.1/", "ftp://logs.example/", "https://", "https:///path", "file:///etc",
		"https://user:secret@logs.example/", "https://logs.example/?a=b", "https://logs.example/?", "https://logs.example/#x", "https://logs.example:port/"} {
		if _, err := tiles.Open(address, nil); !errors.Is(err, tiles.ErrAddress) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"https://logs.example/vault", "https://logs.example:8443", "http://localhost:80/x", "http://[::1]/x", "http://127.0.0.1:1/", "dir", "/dir"} {
		if _, err := tiles.Open(address, nil); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}
