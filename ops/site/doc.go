// Package site puts up a whole Nightdrop on one machine, as an operator would with the command lines: a certificate authority, keys and
// configuration files in a fresh directory, and the real binaries as processes that can be stopped, killed and started again. The
// demonstration, the end-to-end tests and the benchmarks stand on it.
package site
