package iso8583_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/contract"
	"nightdrop/vault/internal/acquirer/iso8583"
)

// Long enough for a thousand answers on a busy machine, short enough to wait out.
const (
	answerTimeout = 1500 * time.Millisecond
	lateAfter     = 2 * time.Second
)

func TestContractAgainstHostInProcess(t *testing.T) {
	t.Parallel()
	h := startHost(t, host.Config{})
	contract.Run(t, func(t *testing.T) contract.Line {
		return line(t, h.Addr(), h.Statement)
	})
}

func TestContractAgainstHostAsProcess(t *testing.T) {
	t.Parallel()
	p := newSimulator(t)
	p.start(t)
	contract.Run(t, func(t *testing.T) contract.Line {
		return line(t, p.address, func() host.Statement { return p.read(t) })
	})
}

func startHost(t *testing.T, cfg host.Config) *host.Host {
	t.Helper()
	cfg.Listen, cfg.Book, cfg.LateAfter = "127.0.0.1:0", filepath.Join(t.TempDir(), "book"), lateAfter
	h, err := host.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func client(t *testing.T, address string) *iso8583.Client {
	t.Helper()
	c := iso8583.New(iso8583.Config{Address: address, AnswerTimeout: answerTimeout, ConnectTimeout: 5 * time.Second})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// kinds maps the host's kinds to ours.
var kinds = map[host.Kind]acquirer.Kind{
	host.KindSale: acquirer.KindSale, host.KindHold: acquirer.KindAuthorisation,
	host.KindCapture: acquirer.KindCapture, host.KindRefund: acquirer.KindRefund,
}

func line(t *testing.T, address string, book func() host.Statement) contract.Line {
	return contract.Line{
		Acquirer: client(t, address), AnswerTimeout: answerTimeout, LateAfter: lateAfter,
		Book: func(_ *testing.T, rrn string) (contract.Booked, bool) {
			for _, s := range book().Transactions {
				if s.RRN == rrn {
					return contract.Booked{Kind: kinds[s.Kind], Captured: s.Captured, Refunded: s.Refunded, Answer: s.Answer, Approval: s.Approval, Amount: s.Amount, Batch: s.Batch,
						Acceptor: s.Acceptor, Masked: s.Masked, Reversed: s.Reversed, Repeats: s.Repeats}, true
				}
			}
			return contract.Booked{}, false
		},
	}
}

// program is the simulator's binary, built once.
var program string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "simulator-*")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "simulator")
	if out, err := exec.Command("go", "build", "-o", program, "nightdrop/ops/simulator").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("build simulator: %v\n%s", err, out))
	}
	return m.Run()
}

// simulator is the host as a process of its own.
type simulator struct {
	book, addressFile string
	address           string
	process           *exec.Cmd
	more              []string // arguments
}

func newSimulator(t *testing.T) *simulator {
	t.Helper()
	dir := t.TempDir()
	return &simulator{book: filepath.Join(dir, "book"), addressFile: filepath.Join(dir, "address"), address: "127.0.0.1:0"}
}

// start starts the program, after a kill on the same port as before.
func (s *simulator) start(t *testing.T) {
	t.Helper()
	_ = os.Remove(s.addressFile)
	s.process = exec.Command(program, append([]string{"serve", "--listen", s.address, "--book", s.book,
		"--late-after", lateAfter.String(), "--address-file", s.addressFile}, s.more...)...)
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	started := s.process
	t.Cleanup(func() { _ = started.Process.Kill(); _ = started.Wait() })
	waittest.For(t, "the simulator to come up", func() bool {
		text, err := os.ReadFile(s.addressFile)
		s.address = strings.TrimSpace(string(text))
		return err == nil
	})
}

// kill ends the program as a power cut would.
func (s *simulator) kill(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.process.Wait()
}

func (s *simulator) read(t *testing.T) host.Statement {
	t.Helper()
	st, err := host.ReadBook(s.book)
	if err != nil {
		t.Fatal(err)
	}
	return st
}
