package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
)

// evidenceFlag gives a command of a person's word its --evidence.
func evidenceFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "evidence", "",
		"a file that proves it: its SHA-256 goes into the log, and nothing else of it")
}

// digestOf is the hex SHA-256 of a file that the operator named; "" where none is named.
func digestOf(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	file, err := command.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return "", fmt.Errorf("read the evidence: %w", err)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}
