package tiles

import (
	"context"
	"errors"
	"fmt"

	"nightdrop/shared/proof"
	"nightdrop/shared/untrusted"
)

// Dir is a copy of the log in a directory.
type Dir string

// ReadFile implements [proof.TileSource].
func (d Dir) ReadFile(_ context.Context, path string, limit int) ([]byte, error) {
	data, err := untrusted.Dir(d).ReadFile(path, limit)
	return data, damaged(err)
}

func damaged(err error) error {
	if errors.Is(err, untrusted.ErrUnfit) {
		return fmt.Errorf("%w: %w", proof.ErrDamaged, err)
	}
	return err
}
