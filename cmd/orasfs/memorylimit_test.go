package main

import (
	"runtime"
	"testing"
)

func TestLimitFollowsWhatIsLive(t *testing.T) {
	const mib = 1 << 20
	for live, want := range map[int64]int64{0: 320 * mib, 200 * mib: 320 * mib, 256 * mib: 320 * mib, 400 * mib: 500 * mib, 640 * mib: 960 * mib} {
		if got := limitOf(320*mib, live); got != want {
			t.Errorf("with %d MiB live it is %d MiB, want %d", live/mib, got/mib, want/mib)
		}
	}
	before := liveBytes()
	held := make([]byte, 64*mib)
	for i := range held {
		held[i] = 1
	}
	seen := make(chan struct{}, 1)
	afterCollection(func() {
		select {
		case seen <- struct{}{}:
		default:
		}
	})
	for range 2 { // a second one is noticed as well
		runtime.GC()
		<-seen
	}
	if grown := liveBytes() - before; grown < 48*mib || grown > 128*mib {
		t.Errorf("64 MiB more are %d MiB", grown/mib)
	}
	runtime.KeepAlive(held)
}
