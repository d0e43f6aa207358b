package daemon

import (
	"runtime"
	"testing"
)

func TestTheMemoryLimitFollowsWhatIsLive(t *testing.T) {
	const mb = 1 << 20
	tests := []struct {
		name              string
		limit, live, want int64
	}{
		{"little is live", memoryLimit, 10 * mb, memoryLimit},
		{"what a few hundred clients take", memoryLimit, 75 * mb, memoryLimit},
		{"more than fits", memoryLimit, 88 * mb, 126 * mb},
		{"far more", memoryLimit, 1000 * mb, 1266 * mb},
		{"it stays while it is needed", 2000 * mb, 1000 * mb, 2000 * mb},
		{"it comes down by halves", 2000 * mb, 100 * mb, 1000 * mb},
		{"never below the least", 150 * mb, 20 * mb, memoryLimit},
		{"unknown", memoryLimit, 0, memoryLimit},
	}
	for _, test := range tests {
		if got := nextLimit(test.limit, test.live); got != test.want {
			t.Errorf("%s: limit %d, want %d", test.name, got, test.want)
		}
	}
	runtime.GC()
	if liveBytes() == 0 {
		t.Error("the runtime does not report what is live")
	}
}
