package channel

import (
	"bytes"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"

	"nightdrop/shared/text"
)

// GenerateNkey makes a role's key: the seed, for a file of mode 0600 that [Options].Seed names, and
// the public key (U...), for the broker's configuration.
func GenerateNkey() (seed []byte, public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", fmt.Errorf("generate nkey: %w", err)
	}
	defer pair.Wipe()
	if public, err = pair.PublicKey(); err != nil {
		return nil, "", fmt.Errorf("generate nkey: %w", err)
	}
	if seed, err = pair.Seed(); err != nil {
		return nil, "", fmt.Errorf("generate nkey: %w", err)
	}
	return append(seed, '\n'), public, nil
}

// readSeed reads a role's key from a file, which others must not be able to read.
func readSeed(path string) (nkeys.KeyPair, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("nkey seed: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("nkey seed %s may be read by others: chmod 600 it, and replace the key if it was exposed", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("nkey seed: %w", err)
	}
	defer clear(data)
	pair, err := nkeys.FromSeed(bytes.TrimSpace(text.WithoutMark(data)))
	if err != nil {
		return nil, fmt.Errorf("nkey seed %s is not a seed (one line, SU...): %w", path, err)
	}
	public, err := pair.PublicKey()
	if err != nil || !nkeys.IsValidPublicUserKey(public) {
		return nil, fmt.Errorf("nkey seed %s is not a user's (one line, SU...)", path)
	}
	return pair, nil
}
