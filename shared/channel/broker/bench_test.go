package broker_test

import (
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
)

// BenchmarkPublishBag is the durable way in, eight in flight, by size of bag.
func BenchmarkPublishBag(b *testing.B) {
	for name, size := range map[string]int{"6KB": 6 << 10, "400KB": 400 << 10, "1MB": channel.MaxMessage} {
		b.Run(name, func(b *testing.B) {
			served, err := broker.Start(b.Context(), broker.Config{Dir: b.TempDir(), MaxBytes: 16 << 30, MinFree: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = served.Close(b.Context()) }()
			relay, err := served.Relay()
			if err != nil {
				b.Fatal(err)
			}
			defer relay.Close()
			bag := make([]byte, size)
			b.SetBytes(int64(size))
			flights := make(chan channel.Ack, 8)
			ended := make(chan error, 1)
			go func() {
				for ack := range flights {
					if err := <-ack; err != nil {
						ended <- err
						return
					}
				}
				ended <- nil
			}()
			for b.Loop() {
				flights <- relay.PublishBag("relay-a", "", bag)
			}
			close(flights)
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}
