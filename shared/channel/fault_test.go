package channel

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"nightdrop/shared/folded"
)

// TestWaitsBeginAnewAfterASteadyConnection: the long waits after many faults of brokers end with a
// connection that stood for long, also where no fault but a plain break ends it; a short one
// changes nothing.
func TestWaitsBeginAnewAfterASteadyConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &link{folded: folded.New(slog.New(slog.DiscardHandler)), watchers: map[*watcher]struct{}{}}
		for range 10 {
			l.violated(errProtocol)
		}
		if w := l.wait(1); w < reconnectWait<<maxDoublings {
			t.Errorf("after ten faults it waits %s", w)
		}
		l.connected(nil)
		time.Sleep(steady / 2)
		l.broke(nil, nil)
		if w := l.wait(1); w < reconnectWait<<maxDoublings {
			t.Errorf("after a short connection it waits %s", w)
		}
		l.connected(nil)
		time.Sleep(steady + time.Second)
		l.broke(nil, nil)
		time.Sleep(time.Hour) // it is down: that time does not count
		if w := l.wait(1); w >= 2*reconnectWait {
			t.Errorf("after a steady connection it waits %s", w)
		}
		time.Sleep(2 * time.Hour)
	})
}

// TestABrokersWordsAreShort: what a broker says of an error goes into logs and status in a short
// line.
func TestABrokersWordsAreShort(t *testing.T) {
	said := `{"error":{"code":500,"err_code":1,"description":"` + strings.Repeat("x", 1<<20) + `\n"}}`
	_, err := classifyAnswer(&nats.Msg{Data: []byte(said)}, streamResults)
	if err == nil || len(err.Error()) > 2*maxDescription || strings.Contains(err.Error(), "\n") {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}
