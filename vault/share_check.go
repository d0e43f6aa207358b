package main

import (
	"context"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
)

// CheckShare says whose share each of the lines is, locked or not, and fails with the first that is no share of this
// vault's newest sharing.
func (d *daemon) CheckShare(_ context.Context, given control.Shares) (control.CheckedShare, error) {
	k, _ := d.ring.Threshold()
	checked := control.CheckedShare{Threshold: k}
	for _, line := range given.Lines() {
		share, err := keyring.ParseShare(line)
		if err != nil {
			return control.CheckedShare{}, err
		}
		err = d.ring.CheckShare(share)
		checked.Number = share.Number()
		share.Clear()
		if err != nil {
			return control.CheckedShare{}, err
		}
	}
	return checked, nil
}
