package simulation

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing/synctest"
	"time"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/settle"
)

// Times of the vault under simulation: short ones, so that a seed takes little of the machine's.
const (
	answerTimeout = 2 * time.Second
	retryAfter    = 200 * time.Millisecond
	drain         = time.Second
	patience      = 20 * time.Second
)

// process is the vault's engine with its line to the host, from a start to a stop or a kill.
type process struct {
	engine *settle.Engine
	client *iso8583.Client
	fate   *fate
	stop   context.CancelFunc
	gone   chan struct{} // closed when the engine has ended, with err
	err    error
	outbox map[string][]byte // what the outbox held at the kill
}

// start starts the vault's engine. It dies at the given point; 0 lets it live.
func (w *world) start(killAt int) {
	p := &process{gone: make(chan struct{})}
	made := make(chan struct{}) // closed when there is an engine
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.fate = newFate(killAt, func(d damage) {
		w.story.line("the vault is killed")
		p.outbox = w.picture(d)
		stop()
	})
	p.client = iso8583.New(iso8583.Config{Address: "the host", AnswerTimeout: answerTimeout, ConnectTimeout: answerTimeout,
		Report: func(o iso8583.Oddity) { <-made; p.engine.Odd(string(o.Kind), o.Detail) },
		Dial: func(ctx context.Context) (net.Conn, error) {
			if !p.fate.alive() {
				return nil, errKilled
			}
			conn, err := w.host.dial(ctx)
			if err != nil {
				return nil, err
			}
			return &mortalConn{Conn: conn, fate: p.fate}, nil
		}})
	synctest.Wait() // the line is up, or it is not: the engine does not race it
	p.engine = settle.New(settle.Config{
		Ledger: &mortalLedger{world: w, real: w.vault.Ledger, fate: p.fate, lose: w.plan.mutation.lose},
		Opener: w.vault.Ring, Accounts: w.vault.Ring, Acquirer: w.line(p.client),
		Bank:      &settle.Bank{Sender: sender, Outbox: w.outbox, Calendar: nacha.Calendar{Location: time.UTC, Cutoff: 20 * time.Hour, Lead: 1}},
		Terminals: []string{"ND000001"}, Outstanding: w.plan.outstanding, ReversalRetry: retryAfter, Silences: w.plan.silences,
		RepeatFor: w.plan.repeatFor, Drain: drain, Patience: patience,
		Now: w.vault.Clock.Now, Logger: slog.New(slog.DiscardHandler)})
	close(made)
	w.process = p
	w.story.line("the vault starts")
	go func() { defer close(p.gone); p.err = p.engine.Run(ctx) }()
	synctest.Wait()
}

var sender = nacha.Bank{ImmediateDestination: "091000019", DestinationName: "NORTHERN CLEARING BANK", ImmediateOrigin: "1987654321",
	OriginName: "NIGHTDROP VAULT", ODFI: "09100001"}

// line is the acquirer as the engine has it: it tells the story, and is where a mutation sits.
func (w *world) line(client acquirer.Acquirer) acquirer.Acquirer {
	var a acquirer.Acquirer = &toldLine{Acquirer: client, story: w.story}
	if w.plan.mutation.line != nil {
		a = w.plan.mutation.line(a)
	}
	return a
}

type toldLine struct {
	acquirer.Acquirer
	story *story
}

// Ready looks a little later than it is asked: the engine and the host both do things every tenth
// of a second, and at one moment the order of the two would be anybody's.
func (l *toldLine) Ready() error {
	time.Sleep(lookLater)
	return l.Acquirer.Ready()
}

// lookLater is a time of which no wait of engine, client or host is a multiple.
const lookLater = 17_731 * time.Nanosecond

func (l *toldLine) Authorise(ctx context.Context, r acquirer.Request) (acquirer.Answer, error) {
	l.story.line("  %s %d %s asked as %06d", r.Kind, r.Amount, r.Currency, r.STAN)
	return l.told(r.STAN)(l.Acquirer.Authorise(ctx, r))
}

func (l *toldLine) Capture(ctx context.Context, c acquirer.Capture) (acquirer.Answer, error) {
	l.story.line("  capture %d %s advised as %06d, repeat %d", c.Amount, c.Currency, c.STAN, c.Repeat)
	return l.told(c.STAN)(l.Acquirer.Capture(ctx, c))
}

func (l *toldLine) Reverse(ctx context.Context, r acquirer.Reversal) (acquirer.Answer, error) {
	l.story.line("  reversal of %s %06d advised as %06d, repeat %d", r.Original.Kind, r.Original.STAN, r.STAN, r.Repeat)
	return l.told(r.STAN)(l.Acquirer.Reverse(ctx, r))
}

func (l *toldLine) told(stan uint32) func(acquirer.Answer, error) (acquirer.Answer, error) {
	return func(a acquirer.Answer, err error) (acquirer.Answer, error) {
		l.story.line("  %06d answered %q, %v", stan, a.Code, err)
		return a, err
	}
}

// end waits until a process that was stopped or killed is gone.
func (w *world) end() {
	p := w.process
	p.stop()
	<-p.gone
	_ = p.client.Close()
	w.process = nil
	if p.fate.alive() {
		if p.err != nil {
			w.fail("the engine ended with %v", p.err)
		}
		w.story.line("the vault stops")
		return
	}
	if p.err != nil && !errors.Is(p.err, errKilled) {
		w.fail("the killed engine ended with %v", p.err)
	}
	w.hang(p.outbox)
	w.must(w.bank.Step()) // which looks into the outbox whenever it likes
	w.vault.Kill()
}

// revive starts the vault again where it has been killed or stopped, or has ended by itself.
func (w *world) revive() {
	if w.process != nil {
		select {
		case <-w.process.gone:
		case <-w.process.fate.died:
		default:
			return
		}
		w.end()
	}
	w.start(0)
}

// picture reads the outbox, all of whose files are small, after damaging a copy of it.
func (w *world) picture(d damage) map[string][]byte {
	held := w.held(w.outbox)
	if d == nil {
		return held
	}
	dir, err := os.MkdirTemp(w.dir, "picture-")
	w.must(err)
	w.fill(dir, held)
	w.must(d(dir))
	return w.held(dir)
}

// held reads the files of a directory.
func (w *world) held(dir string) map[string][]byte {
	files := map[string][]byte{}
	list, err := os.ReadDir(dir)
	w.must(err)
	for _, f := range list {
		files[f.Name()], err = os.ReadFile(filepath.Join(dir, f.Name()))
		w.must(err)
	}
	return files
}

func (w *world) fill(dir string, files map[string][]byte) {
	for name, content := range files {
		w.must(os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
}

// hang puts the outbox back to what it held at the kill: what the dead process cleared away was
// still there.
func (w *world) hang(files map[string][]byte) {
	for name, content := range w.held(w.outbox) {
		if there, kept := files[name]; !kept || string(there) != string(content) {
			w.must(os.Remove(filepath.Join(w.outbox, name)))
		}
	}
	w.fill(w.outbox, files)
}
