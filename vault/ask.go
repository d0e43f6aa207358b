package main

import (
	"io"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

// ask makes one call of the daemon, and prints its answer.
func ask[T any](g *global, c console, call func(*control.Client) (T, error), show func(io.Writer, T)) error {
	return follow(g, c, "waiting for the vault", func(client *control.Client, _ operator.Progress) (T, error) { return call(client) }, show)
}

// follow is ask for a call that takes long: a bar shows how far it is.
func follow[T any](g *global, c console, what string, call func(*control.Client, operator.Progress) (T, error), show func(io.Writer, T)) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	progress, done := bar(c.errOut, what)
	answer, err := call(client, progress)
	done()
	if err != nil {
		return err
	}
	return g.print(c.out, answer, func(w io.Writer) { show(w, answer) })
}
