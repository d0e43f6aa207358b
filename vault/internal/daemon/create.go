package daemon

import (
	"errors"
	"fmt"
	"path/filepath"

	"nightdrop/shared/channel"
	"nightdrop/shared/durable"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
)

// Created is what others need of a new vault.
type Created struct {
	Verifier   note.Verifier
	ChannelKey string // public nkey, for the relay's configuration
}

// Create makes a vault in a new directory: keys, configuration, the channel's key and an empty
// ledger. It hands out the custodians' shares last, so that none is of an incomplete vault, and
// clears them. Nothing is overwritten.
func Create(dir string, o keyring.CreateOptions, give func(shares []keyring.Share) error) (made Created, err error) {
	shares, verifier, err := keyring.Create(dir, o)
	if err != nil {
		return made, err
	}
	defer func() {
		for _, share := range shares {
			share.Clear()
		}
	}()
	made.Verifier = verifier
	made.ChannelKey, err = fill(dir, o, shares)
	if err == nil {
		err = give(shares)
	}
	if err != nil {
		return Created{}, fmt.Errorf("the vault is not whole, remove %s and any share of it, then run init again: %w", dir, err)
	}
	return made, nil
}

// fill makes what a vault's directory holds beside the keys, and returns the channel's public key.
func fill(dir string, o keyring.CreateOptions, shares []keyring.Share) (channelKey string, err error) {
	if err := durable.Create(filepath.Join(dir, settings.File), settings.Reference); err != nil {
		return "", err
	}
	seed, channelKey, err := channel.GenerateNkey()
	if err != nil {
		return "", err
	}
	defer clear(seed)
	if err := durable.Create(filepath.Join(dir, settings.ChannelSeed), seed); err != nil {
		return "", err
	}
	if err := durable.Create(filepath.Join(dir, settings.ChannelSeed+".pub"), []byte(channelKey+"\n")); err != nil {
		return "", err
	}
	ring, err := keyring.Open(dir, keyring.Options{Now: o.Now})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	if err := ring.Unlock(shares[:o.Threshold]); err != nil {
		return "", err
	}
	return channelKey, ledger.Create(filepath.Join(dir, settings.LedgerFile), ring, ledger.Options{Now: o.Now})
}
