package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"nightdrop/relay/internal/bagger"
	"nightdrop/relay/internal/ingest"
	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
)

const (
	benchRelay    = "relay-one"
	benchMerchant = "bookshop"
)

// benchVault is a vault that has published a directory, and a merchant of it.
type benchVault struct {
	signer    *note.Signer
	relay     *note.Signer
	merchant  *note.Signer
	directory envelope.Signed[envelope.Directory]
	members   envelope.Signed[envelope.Members]
	now       time.Time
}

func newBenchVault(b *testing.B) *benchVault {
	b.Helper()
	v := &benchVault{signer: mustSigner(b, "vault.example.com"), relay: mustSigner(b, benchRelay), merchant: mustSigner(b, benchMerchant), now: time.Now()}
	expires := envelope.At(v.now.Add(48 * time.Hour))
	d := envelope.Directory{Vault: v.signer.Name(), Serial: 1, Generation: 1, Issued: envelope.At(v.now), Expires: expires,
		Signers: []note.Verifier{v.signer.Verifier()}, Relays: []note.Verifier{v.relay.Verifier()}}
	for id, kind := range []envelope.Kind{envelope.KindDay, envelope.KindCode} {
		private, err := hpke.MLKEM768X25519().GenerateKey()
		if err != nil {
			b.Fatal(err)
		}
		d.Keys = append(d.Keys, envelope.DirectoryKey{Name: envelope.MakeKeyName(kind, uint32(id+1), envelope.SuiteXWing), Suite: envelope.SuiteXWing,
			Public: private.PublicKey().Bytes(), From: envelope.At(v.now.Add(-time.Hour)), Until: expires, Dies: expires})
	}
	m := envelope.Members{Vault: v.signer.Name(), Serial: 1, Generation: 1, Issued: envelope.At(v.now), Expires: expires,
		Merchants: []envelope.Member{{ID: benchMerchant, Verifiers: []note.Verifier{v.merchant.Verifier()}, Status: envelope.MemberActive}}}
	var err, err2 error
	v.directory, err = envelope.Sign(d, v.signer)
	v.members, err2 = envelope.Sign(m, v.signer)
	if err := errors.Join(err, err2); err != nil {
		b.Fatal(err)
	}
	return v
}

// seal makes n sales of three X-Wing parts.
func (v *benchVault) seal(b *testing.B, n int) (sales []envelope.Envelope) {
	b.Helper()
	plain := map[envelope.PartName]string{
		envelope.PartOrder:   `{"operation":"sale","reference":"order 17","amount":1999,"currency":"EUR"}`,
		envelope.PartAccount: `{"card":{"number":"4242424242424242","expiry":"2033-11","name":"A. Shopper"}}`,
		envelope.PartCode:    `{"code":"123"}`,
	}
	for range n {
		id := uuid.NewString()
		part := func(name envelope.PartName, key envelope.DirectoryKey) *envelope.Part {
			p, err := seal.Seal(key.Name, key.Public, name, benchMerchant, id, []byte(plain[name]))
			if err != nil {
				b.Fatal(err)
			}
			return &p
		}
		day, code := v.directory.Value.Keys[0], v.directory.Value.Keys[1]
		sales = append(sales, envelope.Envelope{Merchant: benchMerchant, ID: id, Created: envelope.At(v.now), Until: envelope.At(v.now.Add(time.Hour)),
			Order: *part(envelope.PartOrder, day), Account: part(envelope.PartAccount, day), Code: part(envelope.PartCode, code)})
	}
	return sales
}

// sign makes n notes of sealed sales, as notes and as whole HTTP requests. Each is new, for the
// relay puts none twice into a bag within a minute: their ids are their own, which only who opens
// the parts could show.
func (v *benchVault) sign(b *testing.B, sales []envelope.Envelope, n int) (requests, notes [][]byte) {
	b.Helper()
	for i := range n {
		sale := sales[i%len(sales)]
		sale.ID = uuid.NewString()
		signed, err := envelope.Sign(sale, v.merchant)
		if err != nil {
			b.Fatal(err)
		}
		notes = append(notes, signed.Note)
		requests = append(requests, append(fmt.Appendf(nil, "POST /v1/envelopes HTTP/1.1\r\nHost: relay\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
			envelope.MediaType, len(signed.Note)), signed.Note...))
	}
	return requests, notes
}

// openBags makes a bagger as `relay serve` has it.
func (v *benchVault) openBags(b *testing.B, name string, publisher bagger.Publisher) *bagger.Bagger {
	b.Helper()
	logger := slog.New(slog.DiscardHandler)
	head, err := bagger.OpenHead(filepath.Join(b.TempDir(), name), time.Now, logger)
	if err != nil {
		b.Fatal(err)
	}
	bags, err := bagger.Open(bagger.Config{Relay: benchRelay, Signer: v.relay, Publisher: publisher, Head: head, Window: 4,
		QueueEnvelopes: 16 * envelope.MaxBagEnvelopes, QueueBytes: 32 * envelope.MaxBagBytes, Repeats: 65536,
		Sizing: bagger.Sizing{Stream: 4 << 30}, Now: time.Now, Logger: logger, Observer: ingest.NewMetrics()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = bags.Close(context.Background())
		_ = head.Close()
	})
	return bags
}

// startRelay serves an edge over TLS, as `relay serve` does, and returns its address.
func (v *benchVault) startRelay(b *testing.B, relay *channel.Relay, bags ingest.Bags) string {
	b.Helper()
	logger := slog.New(slog.DiscardHandler)
	metrics := ingest.NewMetrics()
	board := ingest.NewBoard(envelope.NewPin(v.signer.Verifier(), 0), v.relay.Verifier(), time.Now, logger)
	board.Offer(channel.NoticeDirectory, v.directory.Note)
	board.Offer(channel.NoticeMembers, v.members.Note)
	edge, err := ingest.New(ingest.Config{Signer: v.relay, Origin: "https://relay", Board: board, Bags: bags, Channel: relay,
		Limits: ingest.Limits{AddressRate: 1e6, AddressBurst: 1e6, Tracked: 1024, MerchantRate: 1e6, MerchantBurst: 1e6, InFlight: 1024, AddressInFlight: 256, MerchantInFlight: 256,
			Polls: 1, MerchantPolls: 1, AckWait: 10 * time.Second},
		Metrics: metrics, Now: time.Now, Logger: logger})
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	guarded := tls.NewListener(ingest.LimitListener(listener, 4096, 4096, metrics.Connection),
		&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certify(b)}})
	server := ingest.NewServer(edge, logger)
	go func() { _ = server.Serve(guarded) }()
	b.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// certify makes a certificate for 127.0.0.1 that vouches for itself.
func certify(b *testing.B) tls.Certificate {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		b.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// poster is one keep-alive connection of a client that does as little as possible: it shares the
// processors with the relay.
type poster struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialPosters(b *testing.B, address string, n int) []*poster {
	b.Helper()
	posters := make([]*poster, n)
	for i := range posters {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		posters[i] = &poster{conn, bufio.NewReader(conn)}
	}
	return posters
}

// post sends a whole request and reads the receipt.
func (p *poster) post(request []byte) error {
	if _, err := p.conn.Write(request); err != nil {
		return err
	}
	status, err := p.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	accepted := bytes.HasPrefix(status, []byte("HTTP/1.1 202 "))
	length := -1
	for {
		line, err := p.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	body := make([]byte, max(length, 0))
	if _, err := io.ReadFull(p.in, body); err != nil {
		return err
	}
	if !accepted {
		return fmt.Errorf("the relay answered %s", body)
	}
	return nil
}
