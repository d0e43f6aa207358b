package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"nightdrop/shared/durable"
)

// Options are what [Run] needs beside the settings.
type Options struct {
	// if not "", the addresses listened on are written to it, as JSON, once all listen
	AddressFile string
	Version     string           // for the log
	Reload      <-chan os.Signal // each one reads the TLS certificates again
	Logger      *slog.Logger
}

// ErrWedged is returned when the embedded channel's store fails: restart. Nothing acked is lost.
var ErrWedged = errors.New("the channel's store failed")

// wedgedGrace is how long a stop waits for answers when the channel gives none.
const wedgedGrace = 2 * time.Second

// Run starts a relay and serves until ctx ends, or it cannot go on. What was accepted is answered
// before it returns, within the settings' stop_grace.
func Run(ctx context.Context, s Settings, o Options) (err error) {
	d := &daemon{settings: s, version: o.Version, logger: o.Logger, now: time.Now}
	defer func() {
		// ctx has ended; what was accepted is still answered, unless the channel has failed.
		patience := s.StopGrace.Std()
		if errors.Is(err, ErrWedged) {
			patience = wedgedGrace
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		err = errors.Join(err, d.stop(grace))
	}()
	if err := d.start(ctx); err != nil {
		return err
	}
	return d.serve(ctx, o)
}

// serve runs a started daemon until it is to stop, or cannot go on.
func (d *daemon) serve(ctx context.Context, o Options) error {
	if o.AddressFile != "" {
		if err := writeAddresses(o.AddressFile, d.addresses()); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			d.logger.Info("stopping")
			return nil
		case <-d.wedged():
			d.logger.Error("the channel's store failed and stays so; starting anew", "do", "look for a full or failing disk")
			return ErrWedged
		case err := <-d.failed:
			return err
		case <-o.Reload:
			d.reload()
		}
	}
}

// writeAddresses replaces the file whole, so that a reader sees all of it or nothing.
func writeAddresses(path string, addresses map[string]string) error {
	data, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	if err := durable.Replace(path, append(data, '\n')); err != nil {
		return fmt.Errorf("write the address file: %w", err)
	}
	return nil
}
