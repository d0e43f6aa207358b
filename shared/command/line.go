package command

import (
	"fmt"
	"strings"

	"nightdrop/shared/text"
)

// maxLineFile bounds a file of public keys, in bytes: sixteen of the longest.
const maxLineFile = 64 << 10

// Line is what an option that takes a public key is given: the line itself, or @FILE that holds it,
// as it was printed. Of a file whose lines begin with words, as `storefront keygen` prints them, it
// is the one that begins with label. It fails where the file cannot be read, has over 64 KiB, or
// has not exactly one such line.
func Line(given, label string) (string, error) {
	path, named := strings.CutPrefix(given, "@")
	if !named {
		return strings.TrimSpace(given), nil
	}
	data, err := Read(path, maxLineFile)
	if err != nil {
		return "", err
	}
	var lines, labelled []string
	for line := range strings.Lines(string(text.WithoutMark(data))) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		lines = append(lines, line)
		if key, found := strings.CutPrefix(line, label+" "); found {
			labelled = append(labelled, strings.TrimSpace(key))
		}
	}
	switch {
	case len(labelled) == 1:
		return labelled[0], nil
	case len(labelled) == 0 && len(lines) == 1:
		return lines[0], nil
	case len(labelled) > 1:
		return "", fmt.Errorf("%s has %d lines that begin with %q: name a file with one", path, len(labelled), label)
	}
	return "", fmt.Errorf("%s has %d lines, and none begins with %q: name a file that holds the key and nothing else", path, len(lines), label)
}
