// Package flips flips single bits of what a vault, its relay and its journal keep on disks: it
// finds the used bytes of their files, draws one by a seed, and lays a disk out with it. Tests go
// on from there and hold what comes of it against a run without the flip.
package flips
