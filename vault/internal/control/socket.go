package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxSocketPath is Linux's limit of a unix socket's path (sockaddr_un).
const maxSocketPath = 107

// CheckSocket returns why a socket cannot be made at path, as far as that shows without making it
// or asking who answers there: the path is too long, its directory is not there or not closed to
// others, or something else is in its place.
func CheckSocket(path string) error {
	if len(path) > maxSocketPath {
		return &Error{CodeUsage, fmt.Sprintf("socket path %s is longer than %d bytes: set a shorter `socket` in vault.toml", path, maxSocketPath)}
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("socket directory: %w", err)
	}
	if dir.Mode().Perm()&0o077 != 0 {
		return &Error{CodeNotAllowed, fmt.Sprintf("%s can be entered by others: set its mode to 0700", filepath.Dir(path))}
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != os.ModeSocket {
		return &Error{CodeConflict, path + " is there and is not a socket: move it away or set another `socket` in vault.toml"}
	}
	return nil
}

// Listen makes the socket at path, mode 0600. Its directory must be closed to others (mode 0700). A
// socket that a dead process left is replaced; one that answers is a conflict.
func Listen(path string) (net.Listener, error) {
	if err := CheckSocket(path); err != nil {
		return nil, err
	}
	if err := removeDead(path); err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("close the socket to others: %w", err), listener.Close())
	}
	return listener, nil
}

func removeDead(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return CheckSocket(path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close() // it was only opened to see whether anybody answers
		return &Error{CodeConflict, "a vault answers on " + path + " already"}
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("socket: %w", err)
	}
	return os.Remove(path)
}
