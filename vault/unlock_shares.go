package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"nightdrop/shared/command"
	"nightdrop/shared/text"
	"nightdrop/vault/internal/control"
)

// maxShareBytes bounds a share file: a share is one line.
const maxShareBytes = 4096

// givenShare is a share as somebody gave it.
type givenShare struct {
	from string // what it is called where it is wrong
	line []byte
}

func clearShares(shares []givenShare) {
	for _, s := range shares {
		clear(s.line)
	}
}

func linesOf(shares []givenShare) (lines [][]byte) {
	for _, s := range shares {
		lines = append(lines, s.line)
	}
	return lines
}

func readShareFiles(paths []string) (shares []givenShare, err error) {
	for _, path := range paths {
		line, err := readShare(path)
		if err != nil {
			return shares, err
		}
		shares = append(shares, givenShare{path, line})
	}
	return shares, nil
}

// readShareLines reads a share a line.
func readShareLines(in io.Reader) (shares []givenShare, err error) {
	scanner := bufio.NewScanner(text.NewReader(io.LimitReader(in, 64*maxShareBytes)))
	for n := 1; scanner.Scan(); n++ {
		if line := bytes.TrimSpace(scanner.Bytes()); len(line) > 0 {
			shares = append(shares, givenShare{fmt.Sprintf("line %d", n), bytes.Clone(line)})
		}
	}
	if len(shares) == 0 && scanner.Err() == nil {
		return nil, fmt.Errorf("%w: no share: name files with --share, or give one a line on standard input", command.ErrUsage)
	}
	return shares, scanner.Err()
}

// readShare reads a custodian's file, unless others may read it too.
func readShare(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read share: %w", err)
	}
	defer f.Close()
	if err := ownersAlone(f); err != nil {
		return nil, err
	}
	share, err := io.ReadAll(io.LimitReader(f, maxShareBytes))
	if err != nil {
		return nil, fmt.Errorf("read share: %w", err)
	}
	return bytes.TrimSpace(text.WithoutMark(share)), nil
}

// ownersAlone fails for a file that others than its owner may read or write, and says what to do
// about that. What is no regular file, such as a pipe, has no readers but those who hold it.
func ownersAlone(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read share: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	remedy := fmt.Sprintf("if nobody has read it, `chmod 600 %s`, else consider it disclosed", f.Name())
	if withoutModes(f) {
		remedy = fmt.Sprintf("its file system has no modes of files: mount it with the option umask=077, or give the share on "+
			"standard input, `vault unlock <%s`", f.Name())
	}
	return fmt.Errorf("%s may be read or written by others than its owner (mode %04o) and is refused: %s: %w", f.Name(),
		info.Mode().Perm(), remedy, fs.ErrPermission)
}

// withoutModes reports whether a file lies where all files have the mode that the mount was given:
// FAT, exFAT, NTFS or another by FUSE, SMB.
func withoutModes(f *os.File) bool {
	// linux/magic.h; both FUSE kinds have one number
	const exfat, fuseBlock, ntfs3 = 0x2011BAB0, 0x65735546, 0x7366746e
	var s unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &s) != nil {
		return false
	}
	switch int64(s.Type) {
	case unix.MSDOS_SUPER_MAGIC, exfat, fuseBlock, ntfs3, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return true
	}
	return false
}

// checkGiven has the vault look at each share by itself, and fails naming every wrong one.
func checkGiven(ctx context.Context, client *control.Client, shares []givenShare) error {
	var wrong []error
	good, needed := map[int]bool{}, 0
	for _, s := range shares {
		checked, err := client.CheckShare(ctx, s.line)
		switch {
		case isWrongShare(err):
			wrong = append(wrong, fmt.Errorf("%s: %w", s.from, err))
			continue
		case err != nil:
			return err
		}
		good[checked.Number], needed = true, checked.Threshold
	}
	if len(wrong) > 0 && len(good) > 0 && len(good) >= needed {
		return fmt.Errorf("%w (the other %d are enough: leave out what is named here)", errors.Join(wrong...), len(good))
	}
	return errors.Join(wrong...)
}

// isWrongShare reports whether the vault has refused a share, and not a call.
func isWrongShare(err error) bool {
	refused, ok := errors.AsType[*control.Error](err)
	return ok && refused.Code == control.CodeNotAllowed
}

// promptShares asks for as many shares as are needed. Each is checked before the next is asked for;
// a wrong one is asked for again by its number, after the rest of what was typed or pasted with it
// is thrown away.
func promptShares(ctx context.Context, client *control.Client, t *hiddenTerminal, out io.Writer, needed int) (shares []givenShare, err error) {
	given := map[int]bool{}
	for len(shares) < needed {
		n := len(shares) + 1
		fmt.Fprintf(out, "share %d of %d: ", n, needed)
		line, err := t.line(ctx)
		fmt.Fprintln(out)
		if err != nil {
			return shares, fmt.Errorf("read share: %w", err)
		}
		if len(line) == 0 {
			continue
		}
		checked, err := client.CheckShare(ctx, line)
		switch {
		case isWrongShare(err):
			fmt.Fprintf(out, "share %d: %v; give share %d again\n", n, err, n)
		case err != nil:
			clear(line)
			return shares, err
		case given[checked.Number]:
			fmt.Fprintf(out, "share %d: number %d was given already; give share %d again, of another custodian\n", n,
				checked.Number, n)
		default:
			given[checked.Number] = true
			shares = append(shares, givenShare{line: line})
			continue
		}
		clear(line)
		t.drain()
	}
	return shares, nil
}
