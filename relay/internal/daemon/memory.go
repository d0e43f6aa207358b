package daemon

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryLimit is what a relay with some hundred clients uses. The embedded broker keeps blocks
	// of 8 MB that it could read again; the collector must run before they pile up.
	memoryLimit = 96 << 20
	// memoryOther is what the limit counts besides the heap: stacks, and the collector's own.
	memoryOther = 16 << 20
	memoryEvery = 5 * time.Second
)

// limitMemory makes the collector run early while little is in use, and after a growth of a quarter
// once more is in use than fits: a fixed limit would cost half the processor. Most of what is in
// use are the broker's blocks, without pointers, so a collection is quick. It leaves GOMEMLIMIT
// alone if set. It returns when ctx ends, without a limit.
func limitMemory(ctx context.Context) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	defer debug.SetMemoryLimit(math.MaxInt64)
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	for limit := int64(memoryLimit); ; {
		debug.SetMemoryLimit(limit)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			limit = nextLimit(limit, liveBytes())
		}
	}
}

// nextLimit returns the limit for what is live. Between the bounds it stays as it is.
func nextLimit(limit, live int64) int64 {
	switch {
	case live > limit/10*9:
		return live + live/4 + memoryOther
	case live < limit/4:
		return max(memoryLimit, limit/2)
	default:
		return limit
	}
}

func liveBytes() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(min(sample[0].Value.Uint64(), math.MaxInt64/4))
}
