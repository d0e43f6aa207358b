// Package e2e holds tests that drive the real binaries as processes, over real TLS, TCP and disks:
// what the parts promise each by itself must hold for the whole, also while any of them is killed.
// Tests whose names begin with TestRoot need root and the build tag root; `make test-root` runs
// them.
package e2e
