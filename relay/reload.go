package main

import (
	"strings"
	"sync"

	"nightdrop/shared/config"
)

// reloads remembers what the last SIGHUP did not take, for readiness and metrics. It is safe for concurrent use.
type reloads struct {
	mu      sync.Mutex
	refused []string
}

// reload reads the TLS certificates again: that of the public listener, and that of the embedded channel's. Each is read and checked whole,
// as at a start, before it replaces the one in use; one that a start would refuse is told and changes nothing.
func (h *house) reload() {
	var refused []string
	if h.broker != nil {
		if err := h.broker.Reload(); err != nil {
			h.logger.Error("the channel's certificate was not reloaded; the old one stays", "error", err)
			refused = append(refused, "channel.embedded.cert: the new certificate was refused, the old one stays: "+plain(err))
		}
	}
	if h.certificate != nil {
		if err := h.certificate.reload(); err != nil {
			h.logger.Error("the certificate was not reloaded; the old one stays", "error", err)
			refused = append(refused, "cert: the new certificate was refused, the old one stays: "+plain(err))
		} else {
			h.logger.Info("certificate reloaded", "expires", h.certificate.validity().Until)
		}
	}
	h.reloads.mu.Lock()
	h.reloads.refused = refused
	h.reloads.mu.Unlock()
	config.TellNow(h.validities(), h.now(), h.logger)
}

// plain is an error's text on one line.
func plain(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// refused says what the last SIGHUP did not take, and why; "" where it took all.
func (h *house) refused() string {
	h.reloads.mu.Lock()
	defer h.reloads.mu.Unlock()
	return strings.Join(h.reloads.refused, "; ")
}

// validities say until when every certificate is good that the relay uses.
func (h *house) validities() []config.Validity {
	list := h.parts.validities()
	if h.broker == nil {
		return list
	}
	own := config.Under("channel.embedded", h.broker.Validities())
	return append(list[:len(list)-len(own)], own...)
}
