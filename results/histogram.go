package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// MaxLatency is the largest duration that a Histogram can hold: more than any trial may take. Run files of earlier
// versions have histograms that end at an hour; they are read as ones of this range.
const MaxLatency = 365 * 24 * time.Hour

const (
	lowestNs = 1 // values below 2048 ns, zero among them, are held exactly
	digits   = 3 // a bucket is at most 1/1024 of its values wide
)

// ErrOutOfRange is wrapped by what Histogram.Record returns for a duration below zero or above MaxLatency.
var ErrOutOfRange = errors.New("duration out of range")

// ErrDamaged is wrapped by every error that says that a histogram or a run file contradicts itself.
var ErrDamaged = errors.New("damaged")

// Histogram counts durations from 0 to MaxLatency, in nanoseconds, as an HdrHistogram with three significant digits.
// Beside the buckets it keeps the exact minimum, maximum and sum, so Min, Max and Mean are exact, and a histogram whose
// values are all equal has exactly that value as every quantile. Nothing is ever clipped: what does not fit is an
// error, and it is the caller's part to make the trial invalid.
//
// It takes about 370 KiB while values are recorded and a few KiB after it was read from a run file. The zero value is
// not ready: use NewHistogram. It is not for concurrent use.
type Histogram struct {
	counts   counts
	min, max int64 // ns; both 0 while empty
	sum      int64 // ns

	// Proposals of one batch take equally long: equal durations in a row are counted here, and go to the buckets as
	// one.
	run, times int64 // ns; how often it came since it last went to the buckets
}

// counts is what hdr.Histogram, quick to record into, and hdr.PackedHistogram, small to keep, have in common.
type counts interface {
	RecordValue(v int64) error
	TotalCount() int64
	ValueAtPercentile(p float64) int64
	Min() int64
	Max() int64
	EncodeV2() ([]byte, error)
	LowestTrackableValue() int64
	HighestTrackableValue() int64
	SignificantFigures() int64
}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram {
	return &Histogram{counts: hdr.New(lowestNs, int64(MaxLatency), digits)}
}

// Record counts d. A duration below zero or above MaxLatency is not counted and is an error that wraps ErrOutOfRange.
func (h *Histogram) Record(d time.Duration) error { return h.RecordMany(d, 1) }

// RecordMany counts d n times. Either all are counted or none, and that is an error as Record's.
func (h *Histogram) RecordMany(d time.Duration, n uint64) error {
	if n == 0 {
		return nil
	}
	if d < 0 || d > MaxLatency {
		return fmt.Errorf("%w: %v is not in 0..%v: nothing was recorded, so the trial is invalid",
			ErrOutOfRange, d, MaxLatency)
	}
	v := int64(d)
	if n > math.MaxInt64 || v > 0 && (math.MaxInt64-h.sum)/v < int64(n) {
		return fmt.Errorf("%w: the sum of all durations passes %v: nothing was recorded, so the trial is invalid",
			ErrOutOfRange, time.Duration(math.MaxInt64))
	}
	if v == h.run && h.times > 0 {
		h.times += int64(n)
		h.sum += v * int64(n)
		return nil
	}
	if err := h.settle(); err != nil {
		return err
	}
	if h.counts.TotalCount() == 0 {
		h.min, h.max = v, v
	}
	h.run, h.times = v, int64(n)
	h.min, h.max, h.sum = min(h.min, v), max(h.max, v), h.sum+v*int64(n)
	return nil
}

// settle brings what was recorded last to the buckets.
func (h *Histogram) settle() error {
	n := h.times
	if n == 0 {
		return nil
	}
	h.times = 0
	if c, ok := h.counts.(*hdr.Histogram); ok {
		if err := c.RecordValues(h.run, n); err != nil {
			return fmt.Errorf("%w: %v", ErrOutOfRange, err)
		}
		return nil
	}
	for range n {
		if err := h.counts.RecordValue(h.run); err != nil {
			return fmt.Errorf("%w: %v", ErrOutOfRange, err)
		}
	}
	return nil
}

// settled returns the buckets with everything in them. Durations were in range when they were recorded, so nothing can
// be refused.
func (h *Histogram) settled() counts {
	if err := h.settle(); err != nil {
		panic(err)
	}
	return h.counts
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return uint64(h.counts.TotalCount() + h.times) }

// Min returns the smallest recorded duration, exactly, and 0 for an empty histogram.
func (h *Histogram) Min() time.Duration { return time.Duration(h.min) }

// Max returns the largest recorded duration, exactly, and 0 for an empty histogram.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

// Sum returns the exact sum of all recorded durations.
func (h *Histogram) Sum() time.Duration { return time.Duration(h.sum) }

// Mean returns the mean of all recorded durations, rounded down to a nanosecond, and 0 for an empty histogram. It is
// drawn from the exact sum, so means of stages add up as the stages do.
func (h *Histogram) Mean() time.Duration {
	n := h.Count()
	if n == 0 {
		return 0
	}
	return time.Duration(h.sum / int64(n))
}

// Quantile returns the duration that a fraction q, 0 to 1, of all recorded durations do not exceed, and 0 for an empty
// histogram. It is never below the true one and at most 0.1% above it, and never outside Min..Max.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.Count() == 0 {
		return 0
	}
	if q <= 0 {
		return h.Min()
	}
	// The library names a bucket by its highest value, which may lie above every value in it.
	return time.Duration(min(max(h.settled().ValueAtPercentile(q*100), h.min), h.max))
}

// Merge adds all of other's durations to h. An error means that some could not be added; h must then be thrown away.
func (h *Histogram) Merge(other *Histogram) error {
	if other.Count() == 0 {
		return nil
	}
	if h.sum > math.MaxInt64-other.sum {
		return fmt.Errorf("%w: the sum of the merged durations passes %v", ErrOutOfRange, time.Duration(math.MaxInt64))
	}
	first := h.Count() == 0
	var dropped int64
	switch into := h.settled().(type) {
	case *hdr.Histogram:
		switch from := other.settled().(type) {
		case *hdr.Histogram:
			dropped = into.Merge(from)
		case *hdr.PackedHistogram:
			dropped = from.MergeInto(into)
		}
	case *hdr.PackedHistogram:
		switch from := other.settled().(type) {
		case *hdr.Histogram:
			dropped = into.MergeFrom(from)
		case *hdr.PackedHistogram:
			dropped = into.Merge(from)
		}
	}
	if dropped != 0 {
		return fmt.Errorf("%w: merging dropped %d durations", ErrOutOfRange, dropped)
	}
	if first {
		h.min, h.max = other.min, other.max
	}
	h.min, h.max, h.sum = min(h.min, other.min), max(h.max, other.max), h.sum+other.sum
	return nil
}

// Merged returns a new histogram of all durations of the given ones, which stay as they are; nil ones are skipped, and
// of nothing but nil ones nil is returned. It takes a few KiB and is slower to record into than one of NewHistogram.
func Merged(of ...*Histogram) (*Histogram, error) {
	var sum *Histogram
	for _, h := range of {
		if h == nil {
			continue
		}
		if sum == nil {
			sum = &Histogram{counts: hdr.NewPacked(lowestNs, int64(MaxLatency), digits)}
		}
		if err := sum.Merge(h); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

// encoded is a histogram in a run file.
type encoded struct {
	Count uint64 `json:"count"`
	MinNs int64  `json:"min_ns"`
	MaxNs int64  `json:"max_ns"`
	SumNs int64  `json:"sum_ns"`
	Text  string `json:"hdr_v2"` // HdrHistogram's own encoding: V2, compressed, base64; any HdrHistogram library reads it
}

// MarshalJSON writes the exact count, minimum, maximum and sum, and the buckets in HdrHistogram's own V2 encoding.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	text, err := h.settled().EncodeV2()
	if err != nil {
		return nil, fmt.Errorf("encoding a histogram: %w", err)
	}
	return json.Marshal(encoded{Count: h.Count(), MinNs: h.min, MaxNs: h.max, SumNs: h.sum, Text: string(text)})
}

// UnmarshalJSON reads what MarshalJSON wrote. A histogram of a wider range or another precision, or one whose exact
// figures contradict its buckets, is an error that wraps ErrDamaged.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var e encoded
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	packed, err := hdr.DecodePacked([]byte(e.Text))
	if err != nil {
		return fmt.Errorf("%w histogram: %v", ErrDamaged, err)
	}
	highest := packed.HighestTrackableValue()
	if packed.LowestTrackableValue() != lowestNs || highest > int64(MaxLatency) || packed.SignificantFigures() != digits {
		return fmt.Errorf("%w histogram: range %d..%d with %d digits, want %d..%d with %d", ErrDamaged,
			packed.LowestTrackableValue(), highest, packed.SignificantFigures(), lowestNs, int64(MaxLatency), digits)
	}
	if highest < int64(MaxLatency) {
		narrow := packed
		packed = hdr.NewPacked(lowestNs, int64(MaxLatency), digits)
		if dropped := packed.Merge(narrow); dropped != 0 {
			return fmt.Errorf("%w histogram: %d of its values do not fit its range", ErrDamaged, dropped)
		}
	}
	got := &Histogram{counts: packed, min: e.MinNs, max: e.MaxNs, sum: e.SumNs}
	if err := got.check(e.Count); err != nil {
		return fmt.Errorf("%w histogram: %v", ErrDamaged, err)
	}
	*h = *got
	return nil
}

// check compares the exact figures with the buckets.
func (h *Histogram) check(count uint64) error {
	n := h.Count()
	switch {
	case n != count:
		return fmt.Errorf("it says %d values, its buckets hold %d", count, n)
	case n == 0 && (h.min != 0 || h.max != 0 || h.sum != 0):
		return errors.New("it is empty, yet has a minimum, a maximum or a sum")
	case n == 0:
		return nil
	case h.min < h.counts.Min() || h.min > h.max || h.max > h.counts.Max() || h.max > int64(MaxLatency):
		return fmt.Errorf("minimum %d and maximum %d do not fit its buckets, %d..%d",
			h.min, h.max, h.counts.Min(), h.counts.Max())
	case float64(h.sum) < float64(n)*float64(h.min)*(1-1e-9) || float64(h.sum) > float64(n)*float64(h.max)*(1+1e-9):
		return fmt.Errorf("sum %d of %d values is not in %d..%d times that", h.sum, n, h.min, h.max)
	}
	return nil
}
