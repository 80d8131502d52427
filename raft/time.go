package raft

import (
	"math"
	"time"
)

// Time is a moment on the driver's clock, in nanoseconds since an origin of the driver's choice. The core never reads
// a clock; it is told the time with every call, so that the same code runs on the wall clock and in virtual time.
type Time int64

// Add returns the moment d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns how long before t the moment u was.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// forever is later than any moment a driver will name.
const forever Time = math.MaxInt64
