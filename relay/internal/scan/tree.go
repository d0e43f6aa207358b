package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"nightdrop/shared/text"
)

// Size returns the bytes of all regular files below path.
func Size(path string) (int64, error) {
	var total int64
	err := files(path, func(_ string, info fs.FileInfo) error {
		total += info.Size()
		return nil
	})
	return total, err
}

// Tree scans the file path, or every regular file below the folder path, in lexical order,
// following no symbolic links. progress gets the bytes read. A file that vanishes is passed over;
// one that cannot be read is an error, after the others have been scanned: a scan that did not read
// all proves nothing.
func (s *Scanner) Tree(ctx context.Context, path string, emit func(Finding), progress func(bytes int)) error {
	var unread []error
	err := files(path, func(name string, _ fs.FileInfo) error {
		err := s.file(ctx, name, emit, progress)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			unread = append(unread, err)
		}
		return nil
	})
	return errors.Join(append(unread, err)...)
}

func files(path string, visit func(name string, info fs.FileInfo) error) error {
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("scan %s: %w", path, err)
	}
	return filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) && name != root {
				return nil
			}
			return err
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return visit(name, info)
	})
}

func (s *Scanner) file(ctx context.Context, name string, emit func(Finding), progress func(int)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.reader(ctx, name, 0, f, emit, progress)
}

// ReadNumbers reads one number a line; spaces or dashes may group it, empty lines are allowed. The
// caller clears them after [NewExact].
func ReadNumbers(r io.Reader) ([][]byte, error) {
	var numbers [][]byte
	lines := bufio.NewScanner(text.NewReader(r))
	for lines.Scan() {
		number := make([]byte, 0, maxDigits+1)
		for _, b := range bytes.TrimSpace(lines.Bytes()) {
			if b != ' ' && b != '-' {
				number = append(number, b)
			}
		}
		if len(number) == 0 {
			continue
		}
		if len(number) > maxDigits {
			return nil, ErrNumber
		}
		numbers = append(numbers, number)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the numbers: %w", err)
	}
	if len(numbers) == 0 {
		return nil, errors.New("the file of numbers is empty: nothing would be found")
	}
	return numbers, nil
}
