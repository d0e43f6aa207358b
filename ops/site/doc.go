// Package site makes a whole Nightdrop on one machine and runs it, as an operator would with the
// command lines: a certificate authority, keys and configuration files in one directory, and the
// real binaries as processes that can be stopped, killed and started again, also by a later
// process. `make site`, the demonstration, the end-to-end tests and the benchmarks stand on it. It
// is for those alone: the custodians' shares lie beside the vault.
package site
