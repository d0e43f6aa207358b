package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/storefront"
)

const (
	relayClients  = 256
	relayPosts    = 40_000 // some 240 MB
	relayBrief    = 1024
	relayMerchant = "bookshop"
	// that are really sealed; what is posted holds their parts, each under an id of its own, for a
	// repetition costs nothing
	relayEnvelopes = 256
)

// relayMemory puts up a whole site and posts with 256 clients at a time. Metric: peak-MB, the most
// that was ever resident of the relay process (10^6 bytes).
var relayMemory = source{name: "the relay process at 256 clients", measure: func(ctx context.Context, b *bench) (m metrics, err error) {
	dir, err := os.MkdirTemp("", "nightdrop-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := site.New(ctx, site.Options{Dir: dir, Bin: b.bin})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.Launch(ctx, site.Merchant{ID: relayMerchant, Currencies: []string{"EUR"}}); err != nil {
		return nil, err
	}
	posts := relayPosts
	if b.brief {
		posts = relayBrief
	}
	if err := load(ctx, s, posts); err != nil {
		return nil, err
	}
	peak, err := peakResident(s.Relay.Pid())
	return metrics{"peak-MB": float64(peak) / 1e6}, err
}}

// load posts envelopes, that many, by all clients.
func load(ctx context.Context, s *site.Site, posts int) error {
	client, err := s.HTTPClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	sales, err := sealedSales(ctx, s)
	if err != nil {
		return err
	}
	signer, err := signerOf(s)
	if err != nil {
		return err
	}
	fresh := func(n int) ([]byte, error) {
		sale := sales[n%len(sales)]
		sale.ID = uuid.NewString()
		signed, err := envelope.Sign(sale, signer)
		return signed.Note, err
	}
	var next atomic.Int64
	clients, ctx := errgroup.WithContext(ctx)
	for range relayClients {
		clients.Go(func() error {
			for {
				n := int(next.Add(1)) - 1
				if n >= posts {
					return nil
				}
				body, err := fresh(n)
				if err != nil {
					return err
				}
				if err := post(ctx, client, s.Origin(), body); err != nil {
					return err
				}
			}
		})
	}
	return clients.Wait()
}

// signerOf reads the shop's signing key, which its SDK keeps to itself.
func signerOf(s *site.Site) (*note.Signer, error) {
	text, err := os.ReadFile(s.Identity(relayMerchant))
	if err != nil {
		return nil, err
	}
	var identity struct {
		Signer string `json:"signer"`
	}
	if err := json.Unmarshal(text, &identity); err != nil {
		return nil, errors.New("the shop's identity cannot be read")
	}
	return note.ParseSigner(identity.Signer)
}

// sealedSales seals sales of three X-Wing parts.
func sealedSales(ctx context.Context, s *site.Site) ([]envelope.Envelope, error) {
	shop, err := s.Shop(relayMerchant)
	if err != nil {
		return nil, err
	}
	defer shop.HTTP.CloseIdleConnections()
	sales := make([]envelope.Envelope, relayEnvelopes)
	for n := range sales {
		sealed, err := shop.Seal(ctx, storefront.Payment{
			Order:   envelope.Order{Operation: envelope.OpSale, Reference: fmt.Sprintf("order %d", n), Amount: 1999, Currency: "EUR"},
			Account: []byte(`{"card":{"number":"4242424242424242","expiry":"2033-11","name":"A. Shopper"}}`),
			Code:    []byte(`{"code":"123"}`),
		})
		if err != nil {
			return nil, err
		}
		signed, err := envelope.Open[envelope.Envelope](sealed.Note, shop.Identity.Verifier())
		if err != nil {
			return nil, err
		}
		sales[n] = signed.Value
	}
	return sales, nil
}

func post(ctx context.Context, client *http.Client, origin string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+"/v1/envelopes", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", envelope.MediaType)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the relay answered %s: %s", response.Status, answer)
	}
	return nil
}

// peakResident is the most bytes of memory that a process ever had. (proc_pid_status(5), VmHWM)
func peakResident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for text := range strings.Lines(string(status)) {
		value, ok := strings.CutPrefix(text, "VmHWM:")
		if !ok {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		return kilobytes << 10, err
	}
	return 0, fmt.Errorf("process %d reports no VmHWM", pid)
}
