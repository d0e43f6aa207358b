// Package relaytest is a relay over real TLS, with a vault's keys, whose every answer a test can
// bend: what an attacker who owns the relay could do to a storefront.
package relaytest

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
	"nightdrop/shared/seal"
)

// Relay answers as an honest relay until a test sets one of its exported fields, between calls.
type Relay struct {
	*httptest.Server
	Vault   *note.Signer                                 // signs directory and results
	Signer  *note.Signer                                 // the relay's own, in the directory
	Listed  []*note.Signer                               // further relays in the directory
	Serial  uint64                                       // of the directory
	Expires time.Duration                                // of the directory, from now
	Get     func(w http.ResponseWriter, r *http.Request) // instead of every GET
	Post    func(w http.ResponseWriter, body []byte)     // instead of a receipt
	Page    []string                                     // instead of the results that follow
	// results, by serial from 1; "" is one that it lacks
	Chain []string
	Log   *prooftest.Log // the vault's: results are its leaves
	Head  []byte         // instead of the log's newest checkpoint
	// the vault's position; without a vault there is none yet
	Where   envelope.Position
	Keys    map[envelope.PartName]envelope.KeyName // of the directory, X-Wing
	Private map[envelope.PartName]hpke.PrivateKey  // their other halves

	tb        testing.TB
	calls     sync.RWMutex // held for reading by each call
	mu        sync.Mutex
	posts     [][]byte
	authority map[string]string // by path
}

// New starts a relay that stops with the test.
func New(tb testing.TB) *Relay {
	tb.Helper()
	r := &Relay{tb: tb, Vault: Signer(tb, "vault.example"), Signer: Signer(tb, "relay-1"), Serial: 7, Expires: time.Hour, authority: map[string]string{},
		Log: prooftest.Of(tb, 5), Keys: map[envelope.PartName]envelope.KeyName{}, Private: map[envelope.PartName]hpke.PrivateKey{}}
	for i, part := range []envelope.PartName{envelope.PartOrder, envelope.PartAccount, envelope.PartCode} {
		private, err := hpke.MLKEM768X25519().GenerateKey()
		if err != nil {
			tb.Fatal(err)
		}
		kind := envelope.KindDay
		switch part {
		case envelope.PartAccount: // the day key of the order serves both
			r.Keys[part], r.Private[part] = r.Keys[envelope.PartOrder], r.Private[envelope.PartOrder]
			continue
		case envelope.PartCode:
			kind = envelope.KindCode
		}
		r.Keys[part], r.Private[part] = envelope.MakeKeyName(kind, 0x0a0b0c0d+uint32(i), envelope.SuiteXWing), private
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/directory", r.bent(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(r.Directory()) }))
	mux.HandleFunc("POST /v1/envelopes", r.take)
	mux.HandleFunc("GET /v1/results", r.bent(r.results))
	mux.HandleFunc("GET /v1/envelopes/{id}", r.bent(r.results))
	mux.HandleFunc("GET /v1/log/checkpoint", r.bent(r.checkpoint))
	mux.HandleFunc("GET /v1/position", r.bent(r.position))
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.calls.RLock()
		defer r.calls.RUnlock()
		mux.ServeHTTP(w, q)
	}))
	tb.Cleanup(r.Close)
	return r
}

const run = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"

// Signer makes a signing key.
func Signer(tb testing.TB, name string) *note.Signer {
	tb.Helper()
	s, err := note.GenerateSigner(name)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Between changes the relay while it answers nobody, for tests whose calls other programs make.
func (r *Relay) Between(change func()) {
	r.calls.Lock()
	defer r.calls.Unlock()
	change()
}

// TB returns the relay's test.
func (r *Relay) TB() testing.TB { return r.tb }

// Posts returns what was posted, in order.
func (r *Relay) Posts() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([][]byte(nil), r.posts...)
}

// Authority returns the last Authorization header of a path, "" for none.
func (r *Relay) Authority(path string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.authority[path]
}

func (r *Relay) heard(request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.authority[request.URL.Path] = request.Header.Get("Authorization")
}

func (r *Relay) bent(honest http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		r.heard(request)
		if r.Get != nil {
			r.Get(w, request)
			return
		}
		honest(w, request)
	}
}

// Directory returns the vault's directory note.
func (r *Relay) Directory() []byte {
	now := time.Now()
	issued := envelope.At(now.Add(-time.Hour))
	d := envelope.Directory{Vault: r.Vault.Name(), Serial: r.Serial, Generation: 1, Issued: issued, Expires: envelope.At(now.Add(r.Expires)),
		Signers: []note.Verifier{r.Vault.Verifier()}, Relays: []note.Verifier{r.Signer.Verifier()}}
	for _, listed := range r.Listed {
		d.Relays = append(d.Relays, listed.Verifier())
	}
	for _, part := range []envelope.PartName{envelope.PartOrder, envelope.PartCode} {
		d.Keys = append(d.Keys, envelope.DirectoryKey{Name: r.Keys[part], Suite: envelope.SuiteXWing, Public: r.Private[part].PublicKey().Bytes(),
			From: issued, Until: envelope.At(now.Add(23 * time.Hour)), Dies: envelope.At(now.Add(167 * time.Hour))})
	}
	signed, err := envelope.Sign(d, r.Vault)
	if err != nil {
		r.tb.Error(err)
	}
	return signed.Note
}

func (r *Relay) take(w http.ResponseWriter, request *http.Request) {
	r.heard(request)
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.posts = append(r.posts, body)
	r.mu.Unlock()
	if r.Post != nil {
		r.Post(w, body)
		return
	}
	r.Accept(w, body, r.Signer)
}

// Accept answers a posted envelope with a receipt by a relay.
func (r *Relay) Accept(w http.ResponseWriter, body []byte, by *note.Signer) {
	posted := r.read(body)
	receipt, err := envelope.Sign(envelope.Receipt{Merchant: posted.Value.Merchant, ID: posted.Value.ID, Digest: posted.Digest(), Relay: by.Name(),
		Run: run, Number: 1, Received: envelope.At(time.Now())}, by)
	if err != nil {
		r.tb.Error(err)
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(receipt.Note)
}

func (r *Relay) read(body []byte) envelope.Unverified[envelope.Envelope] {
	posted, err := envelope.Read[envelope.Envelope](body)
	if err != nil {
		r.tb.Error(err)
	}
	return posted
}

// Problem answers with a problem document.
func Problem(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"urn:nightdrop:%s","status":%d,"detail":"do this next"}`, code, status)
}

func (r *Relay) results(w http.ResponseWriter, request *http.Request) {
	page := r.Page
	if page == nil {
		page = r.follow(request.PathValue("id"), request.URL.Query().Get("after"))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"results": page, "next": 0})
}

func (r *Relay) checkpoint(w http.ResponseWriter, _ *http.Request) {
	head := r.Head
	if head == nil {
		head = r.Log.Sign(r.Log.Size(), r.Vault)
	}
	_, _ = w.Write(head)
}

func (r *Relay) position(w http.ResponseWriter, _ *http.Request) {
	if r.Where.Vault == "" {
		Problem(w, http.StatusNotFound, "not-found")
		return
	}
	signed, err := envelope.Sign(r.Where, r.Vault)
	if err != nil {
		r.tb.Error(err)
	}
	_, _ = w.Write(signed.Note)
}

// Reach sets the vault's position to a bag of the run in Accept's receipts; 0: to none.
func (r *Relay) Reach(number uint64, issued time.Time) {
	r.Where = envelope.Position{Vault: r.Vault.Name(), Generation: 1, Issued: envelope.At(issued)}
	if number > 0 {
		r.Where.Relays = []envelope.PositionEntry{{Relay: r.Signer.Name(), Run: run, Number: number, Digest: strings.Repeat("a1", 32)}}
	}
}

func (r *Relay) follow(id, after string) []string {
	from, _ := strconv.Atoi(after)
	page := []string{}
	for i, text := range r.Chain {
		if text == "" {
			continue
		}
		result, err := envelope.Peek[envelope.Result]([]byte(text))
		if err != nil {
			r.tb.Error(err)
		}
		if id == "" && i >= from || result.ID == id {
			page = append(page, text)
		}
	}
	return page
}

// Answer is what the vault says to one envelope.
type Answer struct {
	ID      string
	Digest  string
	Status  envelope.Status
	Code    envelope.Code
	Bend    func(leaf *[proof.LeafBytes]byte) // the log holds something else than what is told
	Prove   func(index, size int64) []byte    // instead of the log's proof; nil bytes: none
	Created time.Time                         // default now
}

// Approve returns an approval of each envelope posted, each id once.
func (r *Relay) Approve() []Answer {
	var answers []Answer
	seen := map[string]bool{}
	for _, body := range r.Posts() {
		posted := r.read(body)
		if !seen[posted.Value.ID] {
			answers = append(answers, Answer{ID: posted.Value.ID, Digest: posted.Digest(), Status: envelope.StatusApproved, Code: envelope.ISOCode("00")})
		}
		seen[posted.Value.ID] = true
	}
	return answers
}

// Results makes a merchant's results from serial 1 as the vault would, sealed to a reply key's
// line: each is a new leaf, proved by a checkpoint of one entry more.
func (r *Relay) Results(merchant, replyLine string, answers ...Answer) []string {
	r.tb.Helper()
	name, public, err := seal.ReplyKey(replyLine)
	if err != nil {
		r.tb.Fatal(err)
	}
	var chain []string
	previous := envelope.ZeroDigest
	for i, a := range answers {
		plain, err := r.log(a)
		if err != nil {
			r.tb.Fatal(err)
		}
		part, err := seal.Seal(name, public, envelope.PartResult, merchant, a.ID, plain)
		if err != nil {
			r.tb.Fatal(err)
		}
		if a.Created.IsZero() {
			a.Created = time.Now()
		}
		signed, err := envelope.Sign(envelope.Result{Merchant: merchant, Serial: uint64(i + 1), Previous: previous, ID: a.ID,
			Digest: a.Digest, Created: envelope.At(a.Created), Sealed: part}, r.Vault)
		if err != nil {
			r.tb.Fatal(err)
		}
		previous = signed.Digest
		chain = append(chain, string(signed.Note))
	}
	return chain
}

// log makes a result's plaintext and the leaf that it reports.
func (r *Relay) log(a Answer) ([]byte, error) {
	facts, err := envelope.EncodeFacts(envelope.Facts{Payment: a.ID, Status: a.Status, Code: a.Code, Amount: 1999, Currency: "EUR",
		Reference: "order-1", Masked: "424242******4242", Approval: "A1"})
	if err != nil {
		return nil, err
	}
	entry := sha256.Sum256(facts)
	place := envelope.Place{Salt: bytes.Repeat([]byte{0x5a}, proof.SaltBytes), Entry: hex.EncodeToString(entry[:])}
	leaf := proof.LeafRecord(place.Salt, facts, entry)
	if a.Bend != nil {
		a.Bend(&leaf)
	}
	index := r.Log.Add(leaf)
	r.Log.Grow(index + 2) // something else happened before the result was sealed
	place.Index = uint64(index)
	if a.Prove == nil {
		a.Prove = func(index, size int64) []byte { return r.Log.Text(index, size, r.Vault) }
	}
	return envelope.EncodeResult(facts, place, a.Prove(index, r.Log.Size()))
}
