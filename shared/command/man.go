//go:build man

package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var (
	// exitCodes finds the exit codes in a program's help, and exitCode the beginning of each.
	exitCodes = regexp.MustCompile(`(?s)Exit codes: (\d .*?)\.(?:\s|$)`)
	exitCode  = regexp.MustCompile(`(?:^|; )(\d) `)
)

// addManual adds the command that writes the program's man pages, which only `make man` builds: the
// programs that run in production link no writer of documents.
func addManual(root *cobra.Command) {
	root.AddCommand(&cobra.Command{Use: "man DIR", Hidden: true, Args: Arguments(cobra.ExactArgs(1)), RunE: func(_ *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o755); err != nil { //nolint:gosec // for everybody
			return err
		}
		root.DisableAutoGenTag = true
		codes := exitCodes.FindStringSubmatch(root.Long)
		if codes == nil {
			return fmt.Errorf("the help of %s has no exit codes", root.Name())
		}
		root.Long = strings.Replace(root.Long, codes[0], "", 1)
		return writePages(root, args[0], exitStatus(strings.Join(strings.Fields(codes[1]), " ")))
	}})
}

// writePages writes a page of cmd and of each visible command below it.
func writePages(cmd *cobra.Command, dir, status string) error {
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			if err := writePages(below, dir, status); err != nil {
				return err
			}
		}
	}
	cmd.Example = examples(cmd)
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Source: "Nightdrop " + Release, Manual: "Nightdrop"}
	var page bytes.Buffer
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return fmt.Errorf("the page of %s: %w", name, err)
	}
	text, related, found := strings.Cut(strings.Replace(page.String(), "\n.SH EXAMPLE\n", "\n.SH EXAMPLES\n", 1), ".SH SEE ALSO\n")
	text += status
	if found {
		text += ".SH SEE ALSO\n" + related
	}
	return os.WriteFile(filepath.Join(dir, name+".1"), []byte(text), 0o644) //nolint:gosec // for everybody
}

// examples returns those of cmd, or where it has none the first of each command below it.
func examples(cmd *cobra.Command) string {
	if cmd.Example != "" {
		return cmd.Example
	}
	var lines []string
	for _, below := range cmd.Commands() {
		if line, _, _ := strings.Cut(below.Example, "\n"); line != "" && below.IsAvailableCommand() {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// exitStatus returns the section on the exit codes that help names, as a list.
func exitStatus(help string) string {
	section := ".SH EXIT STATUS\n"
	places := exitCode.FindAllStringSubmatchIndex(help, -1)
	for i, place := range places {
		end := len(help)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		section += fmt.Sprintf(".TP\n.B %s\n%s\n", help[place[2]:place[3]], strings.ReplaceAll(help[place[1]:end], "-", `\-`))
	}
	return section + "\n"
}
