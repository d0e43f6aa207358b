package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
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

// runChild is a relay's process: it says its address, then publishes bags and says the number of
// each that is acked, until it is killed.
func runChild(text string) error {
	var config broker.Config
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	served, err := broker.Start(context.Background(), config)
	if err != nil {
		return err
	}
	relay, err := served.Relay()
	if err != nil {
		return err
	}
	fmt.Println("listen", served.Addr())
	type sent struct {
		number int
		ack    channel.Ack
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
		} else if !errors.Is(err, channel.ErrFull) {
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
func startChild(t *testing.T, s *brokertest.Site) *child {
	t.Helper()
	config := s.Config
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
	address, ok := strings.CutPrefix(waittest.Receive(t, "the child to start", c.lines), "listen ")
	if !ok {
		t.Fatal("the child did not start")
	}
	s.Config.Listen = address
	return c
}

// acked reads the numbers of acked bags up to count of them.
func (c *child) acked(t *testing.T, count int) (last int) {
	t.Helper()
	for range count {
		if _, err := fmt.Sscanf(waittest.Receive(t, "the child to go on", c.lines), "acked %d", &last); err != nil {
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
	s := brokertest.New(t)
	last := uint64(0)
	for round := range 3 {
		c := startChild(t, s)
		acked := c.acked(t, 200)
		acked = max(acked, c.kill())
		s.Start()
		v := s.Vault()
		bags := collectBags(t, v)
		found, end := make(map[int]bool), last
		for n := 0; n < acked; {
			m := waittest.Receive(t, fmt.Sprintf("bag %d of round %d", n+1, round), bags)
			if m.Sequence <= last {
				continue // an earlier round's
			}
			if _, err := fmt.Sscanf(string(m.Data[4096:]), " bag %d", &n); err != nil || !bytes.Equal(m.Data, childBag(n)) {
				t.Fatalf("round %d: bag at %d is damaged: %v", round, m.Sequence, err)
			}
			found[n], end = true, m.Sequence
		}
		for n := 1; n <= acked; n++ {
			if !found[n] {
				t.Fatalf("round %d: bag %d was acked and is gone", round, n)
			}
		}
		for { // past the bags that were stored and not acked
			if _, err := v.BagAt(t.Context(), end+1); errors.Is(err, channel.ErrNotFound) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			end++
		}
		last = end
		v.Close()
		s.Stop()
	}
}

func TestSecondBrokerOnTheSameDirectoryIsRefused(t *testing.T) {
	s := brokertest.Start(t)
	_, err := broker.Start(t.Context(), broker.Config{Dir: s.Config.Dir, MaxBytes: 64 << 20})
	if !errors.Is(err, broker.ErrLocked) {
		t.Fatalf("in this process: %v, want locked", err)
	}
	config, err := json.Marshal(broker.Config{Dir: s.Config.Dir, MaxBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childEnv+"="+string(config))
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), broker.ErrLocked.Error()) {
		t.Fatalf("in another process: %v: %s", err, output)
	}
	if err := s.Relay().Ready(); err != nil {
		t.Fatalf("the first broker is not ready any more: %v", err)
	}
}

func TestABrokerThatHangsGivesUnknown(t *testing.T) {
	t.Parallel()
	s := brokertest.New(t)
	c := startChild(t, s)
	options := s.Options()
	options.AckTimeout = 300 * time.Millisecond
	v, err := channel.DialVault(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	waittest.For(t, "the vault to connect", v.Connected)
	mustAck(t, v.PublishResult("shop", 1, "id", []byte("one")))
	if err := c.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var state syscall.WaitStatus // the signal returns before every thread stands still
	if _, err := syscall.Wait4(c.process.Pid, &state, syscall.WUNTRACED, nil); err != nil || !state.Stopped() {
		t.Fatalf("the child does not stop: %v", err)
	}
	if err := waittest.Receive(t, "an answer", v.PublishResult("shop", 2, "id", []byte("two"))); !errors.Is(err, channel.ErrUnknown) {
		t.Fatalf("a broker that hangs: %v, want unknown", err)
	}
	if err := c.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "the broker to answer again", func() bool { return <-v.PublishResult("shop", 2, "id", []byte("two")) == nil })
}
