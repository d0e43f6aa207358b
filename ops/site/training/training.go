package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"nightdrop/ops/site"
)

// training is one run of the site.
type training struct {
	out    io.Writer // for the facts
	said   io.Writer // for all else
	asJSON bool
	site   *site.Site
}

// merchants are two, so that one can be seen to know nothing of the other. The second may do what
// needs a permission.
var merchants = []site.Merchant{
	{ID: "corner-cafe", Name: "Corner Cafe", Currencies: []string{"EUR", "USD"}},
	{ID: "bookshop", Name: "Bookshop", Currencies: []string{"EUR", "USD"}, Policy: []string{"--storage", "on", "--payouts", "USD=10000000"}},
}

const (
	auditor = "anna"

	answerTimeout = 5 * time.Second // more than a busy machine needs
	repeatFor     = 2 * time.Minute // what has no answer by then waits for a person
	envelopeBytes = 256 << 20       // of the channel's disk
)

func (t *training) say(format string, args ...any) { fmt.Fprintf(t.said, format+"\n", args...) }

func (t *training) progress(format string, args ...any) { t.say("  "+format, args...) }

// run keeps the site until ctx is done, which is how it ends well.
func (t *training) run(ctx context.Context, dir, bin string) (err error) {
	began := time.Now()
	var made bool
	t.site, made, err = site.Keep(ctx, site.Options{Dir: dir, Bin: bin, AnswerTimeout: answerTimeout, RepeatFor: repeatFor,
		EnvelopeBytes: envelopeBytes, BothJournals: true, Auditor: auditor, ConfirmClock: true, Progress: t.progress})
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted before it was made: nothing is left of it")
	}
	if err != nil {
		return err
	}
	if made {
		t.say("A new site was made in %s and starts:", t.site.Dir)
	} else {
		t.say("The site in %s goes on where it stopped:", t.site.Dir)
	}
	if err := t.start(ctx); err != nil {
		return errors.Join(err, t.stop())
	}
	t.say("Ready after %.1f s.", time.Since(began).Seconds())
	if err := t.show(); err != nil {
		return errors.Join(err, t.stop())
	}
	ended := t.site.Ended(ctx)
	if ended != nil {
		err = fmt.Errorf("%s has ended by itself, so the rest is stopped too; the end of its log, %s:\n%s", ended.Name, ended.Log, ended.Tail())
	}
	return errors.Join(err, t.stop())
}

// start writes what the commands to try need, and starts everything.
func (t *training) start(ctx context.Context) error {
	if err := t.writeFiles(); err != nil {
		return err
	}
	err := t.site.Launch(ctx, merchants...)
	if ctx.Err() != nil {
		return errors.New("interrupted before it was ready")
	}
	if err == nil {
		return nil
	}
	for _, p := range t.site.Processes() {
		if !p.Running() {
			return fmt.Errorf("%w\n%s", err, p.Tail())
		}
	}
	return err
}

// stop stops the vault first, then the relay and the simulator, and says how to go on.
func (t *training) stop() error {
	t.say("Stopping, in order (Ctrl-C again: at once):")
	err := t.site.Stop()
	program, exeErr := os.Executable()
	if exeErr != nil {
		program = "bin/site"
	}
	t.say("Stopped; nothing is lost. Go on:  %s\n                  Delete:  %s", shell(program, "--dir", t.site.Dir), shell("rm", "-r", t.site.Dir))
	return err
}
