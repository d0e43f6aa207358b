package channel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childEnv holds the configuration of a child process that runs a broker of its own.
const childEnv = "NIGHTDROP_CHANNEL_TEST_BROKER"

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		if err := runChild(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// runChild is a relay's process: it says its address, then publishes bags and says the number of each that is acked,
// until it is killed.
func runChild(text string) error {
	var config EmbeddedConfig
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	broker, err := StartEmbedded(context.Background(), config)
	if err != nil {
		return err
	}
	relay, err := broker.Relay()
	if err != nil {
		return err
	}
	fmt.Println("listen", broker.Addr())
	type sent struct {
		number int
		ack    Ack
	}
	flights := make(chan sent, 8)
	go func() {
		for i := 1; ; i++ {
			flights <- sent{i, relay.PublishBag("relay-a", fmt.Sprintf("m%d of %d", i, os.Getpid()), childBag(i))}
		}
	}()
	for f := range flights {
		if err := <-f.ack; err == nil {
			fmt.Println("acked", f.number)
		} else if !errors.Is(err, ErrFull) {
			return err
		}
	}
	return nil
}

// childBag is the bag with a number: 4 KB that tell which.
func childBag(i int) []byte {
	return append(bytes.Repeat([]byte{byte(i)}, 4096), fmt.Sprintf(" bag %d", i)...)
}

// child is a relay's process under test.
type child struct {
	process *os.Process
	lines   chan string // what it says, until it ends
	wait    func() error
}

// startChild runs a broker on the site's files in a process of its own.
func (s *site) startChild(t *testing.T) *child {
	t.Helper()
	config := s.config
	config.Logger = nil
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childEnv+"="+string(text))
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{process: command.Process, lines: make(chan string, 1<<16), wait: command.Wait}
	go func() {
		defer close(c.lines)
		for said := bufio.NewScanner(output); said.Scan(); {
			c.lines <- said.Text()
		}
	}()
	t.Cleanup(func() { c.kill() })
	address, ok := strings.CutPrefix(receive(t, "the child to start", c.lines), "listen ")
	if !ok {
		t.Fatal("the child did not start")
	}
	s.config.Listen = address
	return c
}

// acked reads the numbers of acked bags up to count of them.
func (c *child) acked(t *testing.T, count int) (last int) {
	t.Helper()
	for range count {
		if _, err := fmt.Sscanf(receive(t, "the child to go on", c.lines), "acked %d", &last); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// kill ends the process as a power cut would, and returns the last number that it had said.
func (c *child) kill() (last int) {
	if c.wait == nil {
		return 0
	}
	_ = c.process.Kill()
	for line := range c.lines {
		_, _ = fmt.Sscanf(line, "acked %d", &last) // a line cut by the kill says nothing
	}
	_ = c.wait()
	c.wait = nil
	return last
}

func TestAckedBagsSurviveKill(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	last := 0
	for round := range 3 {
		c := s.startChild(t)
		acked := c.acked(t, 200)
		acked = max(acked, c.kill())
		s.start(t)
		v := s.vault(t)
		bags, _ := collectBags(t, v, 0)
		found := make(map[int]bool)
		for n := 0; n < acked; {
			m := receive(t, fmt.Sprintf("bag %d of round %d", n+1, round), bags)
			if m.Sequence <= uint64(last) {
				continue // an earlier round's
			}
			if _, err := fmt.Sscanf(string(m.Data[4096:]), " bag %d", &n); err != nil || !bytes.Equal(m.Data, childBag(n)) {
				t.Fatalf("round %d: bag at %d is damaged: %v", round, m.Sequence, err)
			}
			found[n] = true
		}
		for n := 1; n <= acked; n++ {
			if !found[n] {
				t.Fatalf("round %d: bag %d was acked and is gone", round, n)
			}
		}
		info, err := v.reads.info(t.Context(), streamEnvelopes)
		if err != nil {
			t.Fatal(err)
		}
		last = int(info.State.Last)
		v.Close()
		s.close(t)
	}
}

func TestEverythingSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	bags, ended := collectBags(t, v, 0)
	mustAck(t, r.PublishBag("relay-a", "m1", []byte("before")))
	mustAck(t, v.PublishResult("shop", 1, "id", []byte("result")))
	mustAck(t, v.PublishJournal(3, "j1", []byte("entries")))
	if err := v.PublishNotice(t.Context(), NoticeMembers, []byte("members")); err != nil {
		t.Fatal(err)
	}
	receive(t, "the bag before", bags)
	r.Close()
	s.close(t)
	waitFor(t, "the vault to notice", func() bool { return v.writes.up() != nil })
	if err := receive(t, "an answer", v.PublishResult("shop", 2, "id", nil)); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("without a broker: %v, want unavailable", err)
	}
	s.start(t)
	r = s.relay(t)
	waitFor(t, "the vault to reconnect", v.Connected)
	if m, err := v.BagAt(t.Context(), 1); err != nil || string(m.Data) != "before" {
		t.Fatalf("bag 1: %q, %v", m.Data, err)
	}
	mustAck(t, r.PublishBag("relay-a", "m2", []byte("after")))
	if m := receive(t, "the bag after", bags); string(m.Data) != "after" {
		t.Fatalf("after the restart came %q", m.Data)
	}
	if found, err := r.Results(t.Context(), "shop", 0, 10); err != nil || len(found) != 1 {
		t.Fatalf("results: %q, %v", found, err)
	}
	if info, err := v.writes.info(t.Context(), streamJournal); err != nil || info.State.Last != 1 {
		t.Fatalf("journal: %+v, %v", info, err)
	}
	select {
	case err := <-ended:
		t.Fatalf("Bags ended: %v", err)
	default:
	}
}

// copyTree copies a store as a restored backup would.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestBagsNoticeAStreamThatLostItsTail(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]struct {
		old    bool // the store goes back to an old copy; else it is empty
		refill int  // and is filled with other bags before the vault comes back
	}{
		"old copy":                      {old: true},
		"old copy, filled up by others": {old: true, refill: 30},
		"empty":                         {},
		"empty, filled up by others":    {refill: 30},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSite(t)
			publish := func(from, to int) {
				r := s.relay(t)
				for i := from; i < to; i++ {
					mustAck(t, r.PublishBag("relay-a", "", textf("%s bag %d", t.Name(), i)))
				}
				r.Close()
			}
			publish(0, 10)
			s.close(t)
			copyTree(t, s.config.Dir, s.file("copy"))
			s.start(t)
			v := s.vault(t)
			bags, ended := collectBags(t, v, 5)
			publish(10, 20)
			for i := 4; i < 20; i++ {
				receive(t, "a bag", bags)
			}
			s.close(t)
			if after.old {
				copyTree(t, s.file("copy"), s.config.Dir)
			} else if err := os.RemoveAll(s.config.Dir); err != nil {
				t.Fatal(err)
			}
			if after.refill > 0 { // while the vault cannot reach the broker
				listen := s.config.Listen
				s.config.Listen = "127.0.0.1:0"
				s.start(t)
				publish(100, 100+after.refill)
				s.close(t)
				s.config.Listen = listen
			}
			s.start(t)
			if err := receive(t, "Bags to end", ended); !errors.Is(err, ErrRewound) {
				t.Fatalf("Bags ended with %v, want rewound", err)
			}
		})
	}
}

func TestSecondBrokerOnTheSameDirectoryIsRefused(t *testing.T) {
	s := startSite(t)
	_, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: s.config.Dir, MaxBytes: 64 << 20})
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("in this process: %v, want locked", err)
	}
	config, err := json.Marshal(EmbeddedConfig{Dir: s.config.Dir, MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childEnv+"="+string(config))
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), ErrLocked.Error()) {
		t.Fatalf("in another process: %v: %s", err, output)
	}
	if err := s.relay(t).Ready(); err != nil {
		t.Fatalf("the first broker is not ready any more: %v", err)
	}
}

func TestABrokerThatHangsGivesUnknown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.startChild(t)
	options := s.options("vault")
	options.AckTimeout = 300 * time.Millisecond
	v, err := DialVault(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	waitFor(t, "the vault to connect", v.Connected)
	mustAck(t, v.PublishResult("shop", 1, "id", []byte("one")))
	if err := c.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, "an answer", v.PublishResult("shop", 2, "id", []byte("two"))); !errors.Is(err, ErrUnknown) {
		t.Fatalf("a broker that hangs: %v, want unknown", err)
	}
	if err := c.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the broker to answer again", func() bool { return <-v.PublishResult("shop", 2, "id", []byte("two")) == nil })
}

func TestNoBrokerIsUnavailable(t *testing.T) {
	s := newSite(t)
	s.start(t)
	s.close(t) // its address is known and nobody listens
	for _, role := range []string{"vault", "relay"} {
		s.key(t, role)
	}
	v, err := DialVault(t.Context(), s.options("vault"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	r, err := DialRelay(t.Context(), s.options("relay"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	checks := map[string]error{
		"bag":     <-r.PublishBag("relay-a", "m", []byte("bag")),
		"ready":   r.Ready(),
		"result":  <-v.PublishResult("shop", 1, "id", []byte("result")),
		"journal": <-v.PublishJournal(1, "j", []byte("entry")),
		"notice":  v.PublishNotice(t.Context(), NoticePosition, []byte("note")),
		"purge":   v.PurgeBags(t.Context(), 10),
	}
	_, checks["results"] = r.Results(t.Context(), "shop", 0, 1)
	_, checks["results of"] = r.ResultsOf(t.Context(), "shop", "id")
	_, checks["bag at"] = v.BagAt(t.Context(), 1)
	for name, err := range checks {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
}

func TestStoreIsPrivate(t *testing.T) {
	s := startSite(t)
	info, err := os.Stat(s.config.Dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("store directory: %v, %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(s.config.Dir, "lock")); err != nil {
		t.Fatal(err)
	}
}
