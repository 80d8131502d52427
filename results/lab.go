package results

import (
	"fmt"
	"slices"
	"time"
)

// JobLab is the Header.Job of the MIT lab's tests. Their cells have a test as Scenario, and the Params ParamSuite and
// ParamHeartbeat.
const (
	JobLab         = "lab2b"
	ParamSuite     = "suite"
	ParamHeartbeat = "heartbeat"
)

// Lab is what one of the MIT lab's tests measured. A test that failed has Status Invalid, a Reason, and what it had
// measured until then.
type Lab struct {
	Total time.Duration `json:"total_ns"`

	// Where Total went: these parts add up to it.
	Own        time.Duration `json:"own_ns"`        // pauses that the test prescribes, and its first look for each leader
	Elections  time.Duration `json:"elections_ns"`  // further looks for a leader, and waiting for a replica that takes a proposal
	Agreements time.Duration `json:"agreements_ns"` // from a proposal's acceptance to the look that found it applied, or in vain
	Stale      time.Duration `json:"stale_ns"`      // the same in vain, where the leader that took the proposal was deposed
	Rest       time.Duration `json:"rest_ns"`       // everything else: proposing, restarting

	// Each is how long each agreement took, in order: from a proposal's acceptance to the look that found it applied. Clients
	// that run beside the test make agreements too, in time that is the test's own.
	Each       []time.Duration `json:"each_ns,omitempty"`
	Vain       uint64          `json:"vain"`        // proposals that were not applied within two seconds
	StaleWaits uint64          `json:"stale_waits"` // those among them whose leader was deposed

	RPCs         uint64 `json:"rpcs"`          // requests sent, to dead ends too
	RequestBytes uint64 `json:"request_bytes"` // of them, encoded, without framing
	ReplyBytes   uint64 `json:"reply_bytes"`   // of delivered replies
	Committed    uint64 `json:"committed"`     // last index that anyone applied
	Rejections   uint64 `json:"rejections"`    // AppendEntries rejected by followers
	Elected      uint64 `json:"candidacies"`   // elections that were begun

	// How punctual the clock was: waits of the test that ended late, and by how much. 0 in virtual time.
	Waits   uint64        `json:"waits"`
	LateSum time.Duration `json:"late_sum_ns"`
	LateMax time.Duration `json:"late_max_ns"`
}

// Median returns the median time of an agreement, the lower one of two in the middle; false if there was none.
func (l *Lab) Median() (time.Duration, bool) {
	if len(l.Each) == 0 {
		return 0, false
	}
	return slices.Sorted(slices.Values(l.Each))[(len(l.Each)-1)/2], true
}

// Mean returns the mean time of an agreement, rounded down; false if there was none.
func (l *Lab) Mean() (time.Duration, bool) {
	if len(l.Each) == 0 {
		return 0, false
	}
	var sum time.Duration
	for _, d := range l.Each {
		sum += d
	}
	return sum / time.Duration(len(l.Each)), true
}

// Bytes returns the bytes of requests and delivered replies.
func (l *Lab) Bytes() uint64 { return l.RequestBytes + l.ReplyBytes }

func (l *Lab) check() error {
	if sum := l.Own + l.Elections + l.Agreements + l.Stale + l.Rest; sum != l.Total {
		return fmt.Errorf("lab: the parts add up to %v, the total is %v", sum, l.Total)
	}
	if min(l.Own, l.Elections, l.Agreements, l.Stale) < 0 {
		return fmt.Errorf("lab: a part is negative: own %v, elections %v, agreements %v, stale %v", l.Own, l.Elections, l.Agreements, l.Stale)
	}
	if l.StaleWaits > l.Vain {
		return fmt.Errorf("lab: %d waits for stale leaders among %d in vain", l.StaleWaits, l.Vain)
	}
	return nil
}
