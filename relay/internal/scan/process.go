package scan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrNoMemory is returned when none of a process's memory could be read.
var ErrNoMemory = errors.New("none of the process's memory could be read: run as its user or as root, and check kernel.yama.ptrace_scope")

// Process scans the readable memory of a running process by /proc (Linux). Offsets in findings are
// addresses. Regions that vanish meanwhile are passed over. It returns [ErrNoMemory] rather than no
// findings when nothing could be read.
func (s *Scanner) Process(ctx context.Context, pid int, emit func(Finding), progress func(bytes int)) error {
	regions, err := readRegions(pid)
	if err != nil {
		return err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return fmt.Errorf("open the memory of process %d: %w", pid, err)
	}
	defer memory.Close()
	path := fmt.Sprintf("/proc/%d/mem", pid)
	read := 0
	for _, r := range regions {
		pages := &pageReader{memory: memory, at: r.start, end: r.end}
		err := s.reader(ctx, path, r.start, pages, emit, progress)
		read += pages.read
		if err != nil {
			return err
		}
	}
	if read == 0 {
		return ErrNoMemory
	}
	return nil
}

type region struct{ start, end int64 }

// readRegions returns a process's readable mappings (proc(5), /proc/pid/maps), except the kernel's.
func readRegions(pid int) ([]region, error) {
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, fmt.Errorf("read the mappings of process %d: %w", pid, err)
	}
	defer maps.Close()
	var regions []region
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var r region
		var permissions string
		line := lines.Text()
		if _, err := fmt.Sscanf(line, "%x-%x %s", &r.start, &r.end, &permissions); err != nil {
			continue // [vsyscall] lies beyond what an int64 holds
		}
		if permissions[0] == 'r' && !strings.Contains(line, "[v") {
			regions = append(regions, r)
		}
	}
	return regions, lines.Err()
}

// pageReader reads a mapping, with zeros for unreadable pages, so that offsets stay true.
type pageReader struct {
	memory  io.ReaderAt
	at, end int64
	read    int // bytes that really came
}

const pageBytes = 4096

func (p *pageReader) Read(b []byte) (int, error) {
	if p.at >= p.end {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.end-p.at)]
	n, err := p.memory.ReadAt(b, p.at)
	p.read += n
	if n == 0 && err != nil {
		n = min(len(b), pageBytes-int(p.at%pageBytes))
		clear(b[:n])
	}
	p.at += int64(n)
	return n, nil
}
