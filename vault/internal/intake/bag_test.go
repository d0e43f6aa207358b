package intake

import (
	"bytes"
	"slices"
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// sales returns one sealed sale for each of n, cheaply.
func (d *fixture) sales(n int) [][]byte {
	d.TB.Helper()
	list := make([][]byte, n)
	for k := range list {
		list[k] = d.sale()
	}
	return list
}

func (d *fixture) sale() []byte {
	d.TB.Helper()
	sale := d.shop.Sale()
	sale.Suite, sale.Code = envelope.SuiteX25519, ""
	return d.shop.Seal(sale)
}

// bags packs n bags of one sale.
func (d *fixture) bags(run *vaulttest.Run, n int) []channel.Message {
	d.TB.Helper()
	list := make([]channel.Message, n)
	for k := range list {
		list[k] = run.Bag(d.sale())
	}
	return list
}

// payments counts the payments that were received.
func (d *fixture) payments() uint64 { return d.State().Payments }

// fault is a way in which bags come, and its findings. want counts payments.
type fault struct {
	name     string
	send     func(d *fixture) []channel.Message
	found    map[book.Finding]uint64
	want     uint64
	position uint64 // of the run under test, where it matters
}

func TestBagFaults(t *testing.T) {
	for _, f := range slices.Concat(gapFaults(), forkFaults(), alterations(), restarts(), brokenRestarts()) {
		t.Run(f.name, func(t *testing.T) {
			d := newFixture(t)
			d.take(f.send(d)...)
			d.expectFound(f.found)
			if got := d.payments(); got != f.want {
				t.Errorf("%d payments, want %d", got, f.want)
			}
			if got := d.runState(d.run).Number; f.position != 0 && got != f.position {
				t.Errorf("position %d, want %d", got, f.position)
			}
		})
	}
}

type findings = map[book.Finding]uint64

// gapFaults are bags that come late, twice or never.
func gapFaults() []fault {
	return []fault{
		{"in order", func(d *fixture) []channel.Message { return d.bags(d.run, 10) }, nil, 10, 10},
		{"overtaken within the window", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 6)
			return []channel.Message{b[0], b[2], b[3], b[1], b[5], b[4]}
		}, nil, 6, 6},
		{"the first ones overtaken", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 4)
			return []channel.Message{b[3], b[2], b[1], b[0]}
		}, nil, 4, 4},
		{"one missing, not yet beyond the window", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 5)
			return []channel.Message{b[0], b[2], b[3], b[4]}
		}, nil, 4, 1},
		{"one missing", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 6)
			return []channel.Message{b[0], b[2], b[3], b[4], b[5]}
		}, findings{book.FindingBagMissing: 1}, 5, 6},
		{"two gaps", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 9)
			return []channel.Message{b[0], b[2], b[4], b[8]}
		}, findings{book.FindingBagMissing: 2}, 4, 5},
		{"a missing one that comes after all", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 6)
			return []channel.Message{b[0], b[2], b[3], b[4], b[5], b[1]}
		}, findings{book.FindingBagMissing: 1}, 6, 6},
		{"a huge number", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 1)
			d.run.Number = 1<<53 - 2
			return append(b, d.run.Bag(d.sale()))
		}, findings{book.FindingBagMissing: 1}, 2, 1<<53 - 5},
		{"a smaller window than there were bags ahead", func(d *fixture) []channel.Message {
			d.run.Window = 8
			b := d.bags(d.run, 8)
			d.run.Window = 1
			return append([]channel.Message{b[1], b[3], b[5], b[7]}, d.bags(d.run, 1)...)
		}, findings{book.FindingBagMissing: 4}, 5, 9},
		{"repeated", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			return []channel.Message{b[0], b[0], b[1], b[0], b[1]}
		}, nil, 2, 2},
	}
}

// forkFaults are bags that contradict one another.
func forkFaults() []fault {
	return []fault{
		{"two bags of one number", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 1)
			fork := d.run.Fork()
			return append(append(b, d.run.Bag(d.sale())), fork.Bag(d.sale()))
		}, findings{book.FindingBagForked: 1}, 3, 2},
		{"more forks than are remembered", func(d *fixture) []channel.Message {
			var b []channel.Message
			for range book.MaxForks + 2 {
				b = append(b, d.run.Fork().Bag(d.sale()))
			}
			return b
		}, findings{book.FindingBagForked: book.MaxForks + 1}, book.MaxForks + 2, 0},
		{"another bag before", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 1)
			d.run.Previous = envelope.ZeroDigest[:63] + "1"
			return append(b, d.run.Bag(d.sale()))
		}, findings{book.FindingBagForked: 1}, 2, 2},
		{"a fork that was overtaken by its number's successor", func(d *fixture) []channel.Message {
			fork := d.run.Fork()
			b := d.bags(d.run, 2)
			return []channel.Message{b[1], fork.Bag(d.sale())}
		}, findings{book.FindingBagForked: 1}, 2, 2},
	}
}

// alterations are messages that are not what a relay of the directory signed.
func alterations() []fault {
	return []fault{
		{"body altered", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 3)
			b[1].Data[len(b[1].Data)-1] ^= 1
			return b
		}, findings{book.FindingBagAltered: 1}, 2, 1},
		{"an envelope cut off", func(d *fixture) []channel.Message {
			b := d.run.Bag(d.sales(2)...)
			_, _, envelopes, err := envelope.SplitBag(b.Data)
			if err != nil {
				d.TB.Fatal(err)
			}
			b.Data = b.Data[:len(b.Data)-len(envelopes[1])-4]
			return []channel.Message{b}
		}, findings{book.FindingBagAltered: 1}, 0, 0},
		{"note altered", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 1)
			b[0].Data = bytes.Replace(b[0].Data, []byte(`"window":4`), []byte(`"window":5`), 1)
			return b
		}, findings{book.FindingBagAltered: 1}, 0, 0},
		{"no bag at all", func(*fixture) []channel.Message {
			return []channel.Message{{Subject: "bag.relay-1", Data: []byte("hello")}, {Subject: "bag.relay-1"},
				{Subject: "bag.relay-1", Data: []byte{0, 0, 0, 1, 'x'}}}
		}, findings{book.FindingBagAltered: 3}, 0, 0},
		{"a relay of another directory", func(d *fixture) []channel.Message {
			stranger := *d.relay
			stranger.Signer = vaulttest.Signer(d.TB, "relay-9")
			return []channel.Message{stranger.Start().Bag(d.sale())}
		}, findings{book.FindingUnknownRelay: 1}, 0, 0},
		{"a stranger's key of the relay's name", func(d *fixture) []channel.Message {
			stranger := *d.relay
			stranger.Signer = vaulttest.Signer(d.TB, "relay-1")
			return []channel.Message{stranger.Start().Bag(d.sale())}
		}, findings{book.FindingUnknownRelay: 1}, 0, 0},
	}
}

// restarts are runs that follow another properly.
func restarts() []fault {
	return []fault{
		{"restart that names the end", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			return append(b, d.bags(d.run.Restart(), 2)...)
		}, nil, 4, 2},
		{"restart before the last acks were seen", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			next := d.run.Restart()
			return append(append(b, d.bags(d.run, 4)...), d.bags(next, 1)...)
		}, nil, 7, 6},
		{"restarts whose first bags were overtaken by the next run", func(d *fixture) []channel.Message {
			a := d.bags(d.run, 2)
			second := d.run.Restart()
			b := d.bags(second, 2)
			c := d.bags(second.Restart(), 2)
			return append(a, b[1], c[1], b[0], c[0])
		}, nil, 6, 2},
		{"restart after a run without an ack", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			died, next := d.run.Restart(), d.run.Restart()
			return append(append(b, d.bags(died, 4)...), d.bags(next, 1)...)
		}, nil, 7, 2},
		{"restart of a relay that died in its first bag ever", func(d *fixture) []channel.Message {
			return append(d.bags(d.run, 1), d.bags(d.relay.Start(), 2)...)
		}, nil, 3, 1},
		{"restarts of a relay that died in its first bags again and again", func(d *fixture) []channel.Message {
			b := append(d.bags(d.run, 1), d.bags(d.relay.Start(), 2)...)
			return append(append(b, d.bags(d.relay.Start(), 1)...), d.bags(d.relay.Start(), 9)...)
		}, nil, 13, 1},
		{"restart of a relay that died with a window of its first bags in flight", func(d *fixture) []channel.Message {
			b, next := d.bags(d.run, 4), d.bags(d.relay.Start(), 2)
			return append(b, next[1], next[0])
		}, nil, 6, 4},
	}
}

// brokenRestarts are runs that follow none, or not the last bag.
func brokenRestarts() []fault {
	return []fault{
		{"restart that names a bag long ago", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			next := d.run.Restart()
			return append(append(b, d.bags(d.run, 5)...), d.bags(next, 1)...)
		}, findings{book.FindingRestart: 1}, 8, 7},
		{"restart that names the run before the last", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			died, next := d.run.Restart(), d.run.Restart()
			return append(append(b, d.bags(died, 5)...), d.bags(next, 1)...)
		}, findings{book.FindingRestart: 1}, 8, 2},
		{"restart that names nothing", func(d *fixture) []channel.Message {
			return append(d.bags(d.run, 5), d.bags(d.relay.Start(), 2)...)
		}, findings{book.FindingRestart: 1}, 7, 5},
		{"restart that names nothing after runs that were more than a window together", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			b = append(b, d.bags(d.run.Restart(), 3)...)
			return append(b, d.bags(d.relay.Start(), 1)...)
		}, findings{book.FindingRestart: 1}, 6, 2},
		{"restart that names nothing after a first bag that never came", func(d *fixture) []channel.Message {
			return append(d.bags(d.run, 2)[1:], d.bags(d.relay.Start(), 1)...)
		}, findings{book.FindingBagMissing: 1}, 2, 2},
		{"restart that names nothing, overtaken by its second bag", func(d *fixture) []channel.Message {
			b, next := d.bags(d.run, 5), d.bags(d.relay.Start(), 2)
			return append(b, next[1], next[0])
		}, findings{book.FindingRestart: 1}, 7, 5},
		{"restart after bags that never came", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 4)
			return append(b[:2], d.bags(d.run.Restart(), 1)...)
		}, findings{book.FindingBagMissing: 1}, 3, 4},
		{"restart with a gap before the end", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 3)
			return append([]channel.Message{b[0], b[2]}, d.bags(d.run.Restart(), 1)...)
		}, findings{book.FindingBagMissing: 1}, 3, 3},
		{"restart after a run of which nothing came", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			lost := d.run.Restart()
			d.bags(lost, 3)
			return append(b, d.bags(lost.Restart(), 1)...)
		}, findings{book.FindingBagMissing: 1}, 3, 2},
		{"restart after another bag of that number", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 2)
			fork := d.relay.Start()
			fork.ID, fork.Number, fork.Previous = d.run.ID, 1, envelope.ZeroDigest[:63]+"1"
			fork.Bag(d.sale())
			return append(b, d.bags(fork.Restart(), 1)...)
		}, findings{book.FindingBagForked: 1}, 3, 2},
		{"restart after a huge number", func(d *fixture) []channel.Message {
			b := d.bags(d.run, 1)
			next := d.relay.Start()
			next.After = &envelope.BagRef{Run: d.run.ID, Number: 1<<53 - 1, Digest: envelope.ZeroDigest}
			return append(b, d.bags(next, 1)...)
		}, findings{book.FindingBagMissing: 1}, 2, 1<<53 - 1},
	}
}

func TestRelaysThatChangedAreSeenByTheCommit(t *testing.T) {
	d := newFixture(t)
	b := d.bags(d.run, 1)
	g, err := d.intake.judgeAll(b)
	if err != nil {
		t.Fatal(err)
	}
	next := d.SetRelays("relay-2")[0]
	if err := d.intake.commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	d.expectFound(findings{book.FindingUnknownRelay: 1})
	d.take(next.Start().Bag(d.sale()))
	if d.payments() != 1 {
		t.Errorf("%d payments", d.payments())
	}
}

func TestOneEnvelopeTenThousandTimes(t *testing.T) {
	d := newFixture(t)
	msg := d.sale()
	sale, err := envelope.Peek[envelope.Envelope](msg)
	if err != nil {
		t.Fatal(err)
	}
	conflict := d.shop.Sale()
	conflict.ID, conflict.Suite = sale.ID, envelope.SuiteX25519
	other := d.shop.Seal(conflict)
	d.take(d.run.Bag(msg))
	for range 40 {
		batch := make([][]byte, envelope.MaxBagEnvelopes)
		for n := range batch {
			batch[n] = msg
		}
		batch[len(batch)-1] = other
		d.take(d.run.Bag(batch...))
	}
	if p := d.Payment("shop-1", sale.ID); p.Digest != vaulttest.Digest(t, msg) || p.Stage != book.StageReceived {
		t.Errorf("payment %+v", p)
	}
	facts := d.facts()
	if d.payments() != 1 || len(facts) != 1 || facts[0].Code != envelope.CodeIDConflict || facts[0].Amount != 0 || facts[0].Reference != "" {
		t.Errorf("%d payments, facts %+v", d.payments(), facts)
	}
}

func TestOtherBytesUnderAnID(t *testing.T) {
	d := newFixture(t)
	first := d.shop.Sale()
	msgs := [][]byte{d.shop.Seal(first)}
	for n := range book.MaxConflicts + 3 {
		again := d.shop.Sale()
		again.ID, again.Order = first.ID, vaulttest.Order(int64(100+n), "USD", "order 18")
		msgs = append(msgs, d.shop.Seal(again))
	}
	d.take(d.run.Bag(msgs...), d.run.Bag(msgs...))
	facts := d.facts()
	if len(facts) != book.MaxConflicts {
		t.Errorf("%d conflicts were answered", len(facts))
	}
	d.expectFound(map[book.Finding]uint64{book.FindingConflicts: 1})
	for _, f := range facts {
		if f != (envelope.Facts{Payment: first.ID, Status: envelope.StatusRejected, Code: envelope.CodeIDConflict}) {
			t.Errorf("conflict answered %+v", f)
		}
	}
	if p := d.Payment("shop-1", first.ID); p.Amount != 1999 {
		t.Errorf("the first instruction became %+v", p)
	}
}

// Sent results are resent at most every ten seconds.
func TestRepetitionSendsResultsAgain(t *testing.T) {
	d := newFixture(t)
	sale := d.shop.Sale()
	sale.Order = vaulttest.Order(0, "USD", "order 17")
	msg := d.shop.Seal(sale)
	d.take(d.run.Bag(msg))
	send := func() int {
		var ready []ledger.Ready
		err := d.Ledger.Commit(t.Context(), func(tx *ledger.Tx) (err error) {
			if ready, err = tx.UnsentResults(10); err != nil {
				return err
			}
			return tx.MarkSent(ready)
		})
		if err != nil {
			t.Fatal(err)
		}
		return len(ready)
	}
	d.sealFirstResult()
	if send() != 1 {
		t.Fatal("the result was not sent a first time")
	}
	d.take(d.run.Bag(msg, msg), d.run.Bag(msg))
	if n := send(); n != 1 {
		t.Errorf("%d results sent again", n)
	}
	d.take(d.run.Bag(msg))
	if n := send(); n != 0 {
		t.Errorf("%d results sent again within ten seconds", n)
	}
	d.Clock.Pass(resendEvery)
	d.take(d.run.Bag(msg))
	if n := send(); n != 1 {
		t.Errorf("%d results sent again after ten seconds", n)
	}
}

// sealFirstResult makes a note of the only pending result.
func (d *fixture) sealFirstResult() {
	d.TB.Helper()
	err := d.Ledger.Commit(d.TB.Context(), func(tx *ledger.Tx) error {
		pending, err := tx.PendingResults(1)
		if err != nil {
			return err
		}
		p := pending[0]
		plain, err := envelope.EncodeResult(p.Facts, p.Place, nil)
		if err != nil {
			return err
		}
		name, public, err := seal.ReplyKey(p.ReplyKey)
		if err != nil {
			return err
		}
		part, err := seal.Seal(name, public, envelope.PartResult, p.Merchant, p.ID, plain)
		if err != nil {
			return err
		}
		signed, err := envelope.Sign(envelope.Result{Merchant: p.Merchant, Serial: p.Serial, Previous: envelope.ZeroDigest, ID: p.ID,
			Digest: p.Digest, Created: p.Created, Sealed: part}, d.Ring.Signer())
		if err != nil {
			return err
		}
		return tx.PutResult(p.Merchant, p.Serial, p.ID, signed.Digest, signed.Note)
	})
	if err != nil {
		d.TB.Fatal(err)
	}
}

func TestTakingFromManySidesAtOnce(t *testing.T) {
	d := newFixture(t)
	messages := d.bags(d.run, 24)
	errs := make(chan error)
	for range 6 {
		go func() { errs <- d.intake.Take(t.Context(), messages) }()
	}
	for range 6 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if d.payments() != 24 || d.runState(d.run).Number != 24 {
		t.Errorf("%d payments, position %d", d.payments(), d.runState(d.run).Number)
	}
	d.expectFound(nil)
}

func TestSplitKeepsOrderAndBounds(t *testing.T) {
	i := &Intake{Config: Config{GroupBytes: 100}}
	var messages []channel.Message
	for n, size := range []int{60, 40, 1, 200, 99, 1, 1} {
		messages = append(messages, channel.Message{Sequence: uint64(n + 1), Data: make([]byte, size)})
	}
	var sizes []int
	next := uint64(1)
	for _, g := range i.split(messages) {
		size := 0
		for _, m := range g {
			if m.Sequence != next {
				t.Fatalf("sequence %d, want %d", m.Sequence, next)
			}
			next++
			size += len(m.Data)
		}
		sizes = append(sizes, size)
	}
	if len(sizes) != 5 || sizes[0] != 100 || sizes[1] != 1 || sizes[2] != 200 || sizes[3] != 100 || sizes[4] != 1 {
		t.Errorf("groups of %v bytes", sizes)
	}
	if next != 8 || len(i.split(nil)) != 0 {
		t.Errorf("%d messages came out", next-1)
	}
}
