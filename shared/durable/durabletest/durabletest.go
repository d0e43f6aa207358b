// Package durabletest lets a process live as on a disk without hard links, or on one that keeps
// nothing, for tests.
package durabletest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// variable in the environment of a test's binary says what it is to go without.
const variable = "NIGHTDROP_DURABLETEST_WITHOUT"

// Want is what a process goes without.
type Want string

const (
	// Links fails link with EPERM and the flags of renameat2 with EINVAL, as on exFAT.
	Links Want = "links"
	// Sync fails fsync, fdatasync and syncfs with EIO, as on a disk that is failing.
	Sync Want = "sync"
)

// Enter makes the process what Alone started it as; in any other it does nothing. Every TestMain of
// a package whose tests use Alone begins with it.
func Enter() {
	want, set := os.LookupEnv(variable)
	if !set {
		return
	}
	if err := install(filter(Want(want))); err != nil {
		fmt.Fprintln(os.Stderr, "durabletest:", err)
		os.Exit(1)
	}
}

// Alone runs the test that calls it once more in a process of its own, without something, and
// reports true in that process.
func Alone(t *testing.T, want Want) bool {
	t.Helper()
	if _, set := os.LookupEnv(variable); set {
		return true
	}
	cmd := exec.Command(self(), "-test.run=^"+t.Name()+"$", "-test.v") //nolint:gosec // the test itself
	cmd.Env = append(os.Environ(), variable+"="+string(want))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("without %s: %v\n%s", want, err, out)
	}
	return false
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err) // /proc is not there: no test of the project runs then
	}
	return path
}

// In struct seccomp_data: the system call's number, and the low half of its fifth argument on a
// little-endian machine.
const number, fifth = 0, 16 + 8*4

// filter is a program that refuses what a process is to go without. (seccomp(2))
func filter(without Want) (program []unix.SockFilter) {
	program = append(program, load(number))
	switch without {
	case Links:
		program = append(program, equal(unix.SYS_LINKAT, 0, 1), refuse(unix.EPERM),
			equal(unix.SYS_RENAMEAT2, 0, 3), load(fifth), equal(0, 1, 0), refuse(unix.EINVAL))
	case Sync:
		for _, call := range []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNCFS} {
			program = append(program, equal(call, 0, 1), refuse(unix.EIO))
		}
	}
	return append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}

func load(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}

// equal skips statements by whether what was loaded is k.
func equal(k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: yes, Jf: no}
}

func refuse(e unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(e)}
}

// install puts all threads of this process, and all that it becomes, under a filter.
func install(program []unix.SockFilter) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no new privileges: %w", err)
	}
	whole := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&whole))) //nolint:gosec // x/sys has no call for it
	if e != 0 {
		return fmt.Errorf("set the filter of system calls: %w", e)
	}
	return nil
}
