// Package control is the one way into a running vault: HTTP over a unix socket, between the command
// line and the daemon.
//
// The socket has mode 0600 in a directory of mode 0700; who may open it is whom the operating
// system lets. The peer's user, read from the kernel (SO_PEERCRED), is the actor of every event
// that a call causes. Bodies are JSON, except for shares, which are plain lines so that they need
// not become strings. Errors are {"code", "detail"}. Long work answers with a stream of JSON lines:
// {"progress": {...}} any number of times, then one {"result": ...} or {"error": {...}}. When the
// client goes away the work stops at its next safe place; the same call goes on with it later.
package control
