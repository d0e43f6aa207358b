// Package tidy holds tests about the repository itself: who may import what, what the binaries
// link, how long functions are, and that the README is true. Each rule has its reason
// beside it. Do not relax a rule to fix a build.
package tidy
