//go:build !man

package command

import "github.com/spf13/cobra"

// addManual adds nothing: see its namesake, which `make man` builds.
func addManual(*cobra.Command) {}
