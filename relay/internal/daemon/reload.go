package daemon

import (
	"strings"
	"sync"

	"nightdrop/shared/config"
)

// reloads keeps what the last SIGHUP refused, for readiness and metrics. Safe for concurrent use.
type reloads struct {
	mu      sync.Mutex
	refused []string
}

// reload reads the TLS certificates of the public listener and of the embedded channel again. Each
// is checked whole, as at a start, before it replaces the old; a refused one is reported and
// changes nothing.
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
	config.LogEnds(d.validities(), d.now(), d.logger)
}

func plain(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// refused returns why the last SIGHUP was refused; "" if it was not.
func (d *daemon) refused() string {
	d.reloads.mu.Lock()
	defer d.reloads.mu.Unlock()
	return strings.Join(d.reloads.refused, "; ")
}

func (d *daemon) validities() []config.Validity {
	list := d.Validities()
	if d.broker == nil {
		return list
	}
	own := config.Under("channel.embedded", d.broker.Validities())
	return append(list[:len(list)-len(own)], own...)
}
