package ingest_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/note"
)

const (
	benchClients    = 64   // keep-alive connections, and publishers
	benchRoundPosts = 2048 // posts of each variant in one round: a second or less
	// envelopes that are really sealed; the others hold the same parts under an id of their own
	benchEnvelopes = 256
)

// BenchmarkIngest measures four ways to make 6 KB envelopes durable, in turns, one turn of each a
// round: posts to the relay over TLS with the embedded channel; posts to the same relay with a
// channel that acks at once; posts to the same relay that makes no bags but one synchronous publish
// for each envelope to the same embedded channel; and such publishes over TLS without any relay, by
// as many clients. Metrics: the medians over the rounds of posts/s, instant-posts/s, single-posts/s
// and publishes/s, and of the rounds' ratios, of-instant, of-single and of-publish. ops/bench runs
// it with -benchtime=Nx, N rounds, which -short makes shorter.
func BenchmarkIngest(b *testing.B) {
	vault := newBenchVault(b)
	s := startBenchSite(b)
	channels := [3]*channel.Relay{s.relay(b), s.relay(b), s.relay(b)}
	durable := vault.startRelay(b, channels[0], vault.openBags(b, "durable", channels[0]))
	instant := vault.startRelay(b, channels[1], vault.openBags(b, "instant", ackAtOnce{}))
	single := vault.startRelay(b, channels[2], &singly{channel: channels[2]})
	publishers := s.dialPublishers(b, benchClients)
	sealed := vault.seal(b, benchEnvelopes)
	relays := [][]*poster{dialPosters(b, durable, benchClients), dialPosters(b, instant, benchClients), dialPosters(b, single, benchClients)}

	posts := benchRoundPosts
	if testing.Short() {
		posts /= 8
	}
	var rates [4][]float64
	var ofInstant, ofSingle, ofPublish []float64
	for b.Loop() {
		var round [4]float64
		requests, notes := vault.sign(b, sealed, posts)
		for variant, posters := range relays {
			round[variant] = rate(b, posts, func(client, n int) error {
				return posters[client].post(requests[n%len(requests)])
			})
		}
		round[3] = rate(b, posts/4, func(client, n int) error {
			return <-publishers[client].PublishJournal(1, "", notes[n%len(notes)])
		})
		for variant := range round {
			rates[variant] = append(rates[variant], round[variant])
		}
		ofInstant = append(ofInstant, round[0]/round[1])
		ofSingle = append(ofSingle, round[0]/round[2])
		ofPublish = append(ofPublish, round[0]/round[3])
	}
	b.ReportMetric(median(rates[0]), "posts/s")
	b.ReportMetric(median(rates[1]), "instant-posts/s")
	b.ReportMetric(median(rates[2]), "single-posts/s")
	b.ReportMetric(median(rates[3]), "publishes/s")
	b.ReportMetric(median(ofInstant), "of-instant")
	b.ReportMetric(median(ofSingle), "of-single")
	b.ReportMetric(median(ofPublish), "of-publish")
}

// rate calls act for 0 to n-1 by benchClients callers and returns the calls per second.
func rate(b *testing.B, n int, act func(client, n int) error) float64 {
	b.Helper()
	var next atomic.Int64
	var callers sync.WaitGroup
	failures := make(chan error, benchClients)
	begun := time.Now()
	for client := range benchClients {
		callers.Go(func() {
			for {
				k := int(next.Add(1)) - 1
				if k >= n {
					return
				}
				if err := act(client, k); err != nil {
					failures <- fmt.Errorf("client %d: %w", client, err)
					return
				}
			}
		})
	}
	callers.Wait()
	took := time.Since(begun)
	select {
	case err := <-failures:
		b.Fatal(err)
	default:
	}
	return float64(n) / took.Seconds()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// ackAtOnce is a channel that loses everything.
type ackAtOnce struct{}

func (ackAtOnce) PublishBag(string, string, []byte) channel.Ack {
	done := make(chan error, 1)
	done <- nil
	return done
}

// singly makes an envelope durable by a synchronous publish of its own.
type singly struct {
	channel *channel.Relay
	number  atomic.Uint64
}

func (s *singly) Submit(ctx context.Context, e bagger.Envelope) (bagger.Place, error) {
	place := bagger.Place{Run: "00000000000000000000000000000000", Number: s.number.Add(1), Received: time.Now()}
	select {
	case err := <-s.channel.PublishBag(benchRelay, "", e.Note):
		return place, err
	case <-ctx.Done():
		return place, ctx.Err()
	}
}

func (*singly) Trouble() error { return nil }

func (*singly) Room(bagger.Envelope) error { return nil }

func (*singly) Shares() bagger.Shares { return bagger.Shares{} }

// benchSite is an embedded channel that listens.
type benchSite struct {
	broker  *broker.Broker
	options channel.Options // of a vault's connection
}

func startBenchSite(b *testing.B) benchSite {
	b.Helper()
	dir := b.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	seed, public, err := channel.GenerateNkey()
	if err != nil {
		b.Fatal(err)
	}
	pair := certify(b)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		b.Fatal(err)
	}
	cert := file("channel.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	started, err := broker.Start(b.Context(), broker.Config{Dir: filepath.Join(dir, "store"), MinFree: 1, Listen: "127.0.0.1:0", Cert: cert,
		Key: file("channel.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})), VaultNkey: public})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = started.Close(context.Background()) })
	return benchSite{started, channel.Options{URL: "tls://" + started.Addr(), Seed: file("vault.seed", seed), CA: cert}}
}

func (s benchSite) relay(b *testing.B) *channel.Relay {
	b.Helper()
	relay, err := s.broker.Relay()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(relay.Close)
	return relay
}

// dialPublishers makes n connections. The stream that they may write is the vault's journal, which
// is stored as bags are.
func (s benchSite) dialPublishers(b *testing.B, n int) []*channel.Vault {
	b.Helper()
	publishers := make([]*channel.Vault, n)
	for i := range publishers {
		var err error
		if publishers[i], err = channel.DialVault(b.Context(), s.options); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(publishers[i].Close)
	}
	return publishers
}

func mustSigner(b *testing.B, name string) *note.Signer {
	b.Helper()
	signer, err := note.GenerateSigner(name)
	if err != nil {
		b.Fatal(err)
	}
	return signer
}
