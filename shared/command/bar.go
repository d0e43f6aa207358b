package command

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"nightdrop/shared/text"
)

const (
	// showAfter is how long work may take before a terminal shows a bar.
	showAfter = time.Second
	// sayEvery is after how long, and then how often, a line says how far work is where there is no
	// terminal.
	sayEvery = 5 * time.Second
)

// Bar shows the progress of work, and that it goes on: on a terminal as a bar, elsewhere as a line
// now and then. It is safe for concurrent use.
type Bar struct {
	what  string
	out   io.Writer
	bytes bool
	began time.Time
	stop  chan struct{}
	ended chan struct{}

	mu     sync.Mutex
	done   int64
	total  int64 // 0 or less: not known
	drawn  int64 // total that is shown
	shown  *progressbar.ProgressBar
	closed bool
}

// NewBar returns a bar on errOut, which what names. Where that is a terminal it appears when the
// work takes over a second; elsewhere a line says every 5 seconds how far it is, also where nobody
// says how far. Call Close at the end, before anything else is written there.
func NewBar(errOut io.Writer, what string) *Bar { return newBar(errOut, what, false) }

// NewByteBar returns one that counts bytes.
func NewByteBar(errOut io.Writer, what string) *Bar { return newBar(errOut, what, true) }

func newBar(errOut io.Writer, what string, bytes bool) *Bar {
	b := &Bar{what: what, out: errOut, bytes: bytes, began: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	every, show := sayEvery, b.say
	if file, ok := errOut.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		every, show = showAfter, b.draw
	}
	go b.watch(every, show)
	return b
}

// watch shows how far the work is until the bar is closed.
func (b *Bar) watch(every time.Duration, show func()) {
	defer close(b.ended)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-ticker.C:
			b.mu.Lock()
			show()
			b.mu.Unlock()
		}
	}
}

// Set reports that done of total are done; a total of 0 or less is not known.
func (b *Bar) Set(done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(done, total)
}

// Add reports that n more of total are done.
func (b *Bar) Add(n, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(b.done+n, total)
}

func (b *Bar) set(done, total int64) {
	b.done, b.total = done, total
	if b.shown != nil {
		b.draw()
	}
}

// draw draws the bar on a terminal; one that cannot be drawn is no failure.
func (b *Bar) draw() {
	total := b.total
	if total <= 0 {
		total = -1 // a wheel that turns
	}
	if b.shown == nil {
		b.shown = progressbar.NewOptions64(total, progressbar.OptionSetDescription(b.what), progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionShowBytes(b.bytes),
			progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionSetWriter(b.out))
		b.drawn = total
	}
	if total != b.drawn {
		b.shown.ChangeMax64(total) // which draws
	}
	b.drawn = total
	_ = b.shown.Set64(b.done)
}

// say writes a line.
func (b *Bar) say() {
	count := func(n int64) string { return text.Thousands(n) }
	if b.bytes {
		count = text.Size
	}
	far := ""
	switch {
	case b.total > 0:
		far = fmt.Sprintf("%s of %s, ", count(b.done), count(b.total))
	case b.done > 0:
		far = count(b.done) + ", "
	}
	fmt.Fprintf(b.out, "%s: %sfor %s so far\n", b.what, far, time.Since(b.began).Round(time.Second))
}

// Aside writes something else to the terminal, in the bar's place.
func (b *Bar) Aside(write func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		_ = b.shown.Clear()
	}
	return write()
}

// Close removes the bar.
func (b *Bar) Close() {
	b.mu.Lock()
	closed := b.closed
	b.closed = true
	b.mu.Unlock()
	if closed {
		return
	}
	close(b.stop)
	<-b.ended
	if b.shown != nil {
		_ = b.shown.Clear()
	}
}
