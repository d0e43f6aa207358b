package daemon

import (
	"strings"
	"sync"

	"nightdrop/shared/config"
)

// reloads remembers what the last SIGHUP did not take, for readiness and metrics. It is safe for
// concurrent use.
type reloads struct {
	mu      sync.Mutex
	refused []string
}

// reload reads the TLS certificates again: that of the public listener, and that of the embedded
// channel's. Each is read and checked whole, as at a start, before it replaces the one in use; one
// that a start would refuse is told and changes nothing.
func (d *daemon) reload() {
	var refused []string
	if d.broker != nil {
		if err := d.broker.Reload(); err != nil {
			d.logger.Error("the channel's certificate was not reloaded; the old one stays", "error", err)
			refused = append(refused, "channel.embedded.cert: the new certificate was refused, the old one stays: "+plain(err))
		}
	}
	if d.certificate != nil {
		if err := d.certificate.reload(); err != nil {
			d.logger.Error("the certificate was not reloaded; the old one stays", "error", err)
			refused = append(refused, "cert: the new certificate was refused, the old one stays: "+plain(err))
		} else {
			d.logger.Info("certificate reloaded", "expires", d.certificate.validity().Until)
		}
	}
	d.reloads.mu.Lock()
	d.reloads.refused = refused
	d.reloads.mu.Unlock()
	config.TellNow(d.validities(), d.now(), d.logger)
}

// plain is an error's text on one line.
func plain(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// refused says what the last SIGHUP did not take, and why; "" where it took all.
func (d *daemon) refused() string {
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	return strings.Join(d.reloads.refused, "; ")
}

// validities say until when every certificate is good that the relay uses.
func (d *daemon) validities() []config.Validity {
	list := d.Validities()
	if d.broker == nil {
		return list
	}
	own := config.Under("channel.embedded", d.broker.Validities())
	return append(list[:len(list)-len(own)], own...)
}
