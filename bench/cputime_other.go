//go:build !unix

package bench

import "time"

// cpuTime is not known here; reports show costs without it.
func cpuTime() time.Duration { return 0 }
