package main

import (
	"fmt"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settle"
)

// tellSilence says in a status that the acquirer's host is silent, where it is.
func tellSilence(s *control.Status, e *settle.Engine) {
	since, messages := e.Silent()
	if since.IsZero() {
		return
	}
	s.HostSilent = &control.Silence{Since: envelope.At(since), Messages: messages}
	s.Acquirer = fmt.Sprintf("silent since %s: it takes messages and answers none; new authorisations wait until it "+
		"answers one that is repeated", since.UTC().Format(time.RFC3339))
}
