package results

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// filled returns a histogram of the given durations.
func filled(t testing.TB, durations ...time.Duration) *Histogram {
	t.Helper()
	h := NewHistogram()
	for _, d := range durations {
		if err := h.Record(d); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// stored returns h as it comes back from a run file.
func stored(t testing.TB, h *Histogram) *Histogram {
	t.Helper()
	data, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back Histogram
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

func TestHistogramOfEqualValuesIsExact(t *testing.T) {
	for _, d := range []time.Duration{0, 1, 2047, 2049, 50 * time.Millisecond, 50_000_001, MaxLatency} {
		h := filled(t, d, d, d)
		for name, h := range map[string]*Histogram{"recorded": h, "stored": stored(t, h)} {
			for _, q := range []float64{0, 0.001, 0.5, 0.99, 0.999, 1} {
				if got := h.Quantile(q); got != d {
					t.Errorf("%s: quantile %v of three times %v = %v", name, q, d, got)
				}
			}
			if h.Count() != 3 || h.Mean() != d || h.Min() != d || h.Max() != d || h.Sum() != 3*d {
				t.Errorf("%s: three times %v: count %d, mean %v, min %v, max %v, sum %v",
					name, d, h.Count(), h.Mean(), h.Min(), h.Max(), h.Sum())
			}
		}
	}
}

func TestEmptyHistogram(t *testing.T) {
	h := NewHistogram()
	for name, h := range map[string]*Histogram{"new": h, "stored": stored(t, h)} {
		if h.Count() != 0 || h.Mean() != 0 || h.Min() != 0 || h.Max() != 0 || h.Quantile(0.5) != 0 {
			t.Errorf("%s: an empty histogram has a figure", name)
		}
	}
}

func TestHistogramClipsNothing(t *testing.T) {
	h := filled(t, time.Millisecond)
	for _, d := range []time.Duration{-1, MaxLatency + 1, 1 << 62} {
		if err := h.Record(d); !errors.Is(err, ErrOutOfRange) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Record(%d) = %v, want one line that wraps ErrOutOfRange", d, err)
		}
	}
	if h.Count() != 1 || h.Max() != time.Millisecond {
		t.Errorf("what was refused left a trace: count %d, max %v", h.Count(), h.Max())
	}
}

func TestHistogramQuantilesAgainstSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	values := make([]time.Duration, 20_000)
	for i := range values {
		values[i] = time.Duration(random.ExpFloat64() * float64(time.Millisecond))
	}
	h := filled(t, values...)
	slices.Sort(values)
	for _, q := range []float64{0.01, 0.25, 0.5, 0.9, 0.99, 0.999} {
		want, got := values[int(q*float64(len(values))+0.5)-1], h.Quantile(q)
		if got < want || float64(got) > float64(want)*1.001 {
			t.Errorf("quantile %v = %v, sorting says %v", q, got, want)
		}
	}
}

func TestMergeEqualsRecordingIntoOne(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var parts [3][]time.Duration
	var all []time.Duration
	for i := range 3000 {
		d := time.Duration(random.Int64N(int64(time.Second) << (i % 3)))
		parts[i%3] = append(parts[i%3], d)
		all = append(all, d)
	}
	want, err := json.Marshal(filled(t, all...))
	if err != nil {
		t.Fatal(err)
	}
	for kind := range 8 { // every mixture of histograms that were recorded and that were read
		part := func(i int) *Histogram {
			h := filled(t, parts[i]...)
			if kind&(1<<i) != 0 {
				return stored(t, h)
			}
			return h
		}
		sum := part(0)
		for i := 1; i < 3; i++ {
			if err := sum.Merge(part(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := sum.Merge(NewHistogram()); err != nil {
			t.Fatal(err)
		}
		anew, err := Merged(part(0), nil, part(1), part(2))
		if err != nil {
			t.Fatal(err)
		}
		for _, sum := range []*Histogram{sum, anew} {
			got, err := json.Marshal(sum)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("mixture %03b: merged %s, want %s", kind, got, want)
			}
		}
	}
}

func TestMergedOfNothing(t *testing.T) {
	if h, err := Merged(nil, nil); h != nil || err != nil {
		t.Errorf("%v, %v", h, err)
	}
}

func TestMergeIntoEmptyKeepsTheMinimum(t *testing.T) {
	h := NewHistogram()
	if err := h.Merge(filled(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if h.Min() != 5*time.Second {
		t.Errorf("minimum %v", h.Min())
	}
}

// Run files of earlier versions have histograms that end at an hour.
func TestHistogramsOfAnHourAreRead(t *testing.T) {
	old := &Histogram{counts: hdr.New(lowestNs, int64(time.Hour), digits)}
	for _, d := range []time.Duration{time.Microsecond, time.Second, time.Hour} {
		if err := old.Record(d); err != nil {
			t.Fatal(err)
		}
	}
	recorded, merged := stored(t, old), stored(t, filled(t, 24*time.Hour))
	if err := recorded.Record(24 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := merged.Merge(stored(t, old)); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]*Histogram{"read": recorded, "merged": merged} {
		if got.Count() != 4 || got.Min() != time.Microsecond || got.Max() != 24*time.Hour || got.Quantile(1) != 24*time.Hour ||
			got.Quantile(0.5) < time.Second || got.Quantile(0.5) > time.Second*1001/1000 {
			t.Errorf("%s: %d values from %v to %v, median %v",
				name, got.Count(), got.Min(), got.Max(), got.Quantile(0.5))
		}
	}
}

// The longest span that there can be costs a histogram little more memory than an hour did.
func TestHistogramsMemory(t *testing.T) {
	if n := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			NewHistogram()
		}
	}).AllocedBytesPerOp(); n > 400<<10 {
		t.Errorf("a histogram takes %d bytes, want at most 400 KiB", n)
	}
}

func TestHistogramRefusesContradictions(t *testing.T) {
	good, err := json.Marshal(filled(t, time.Millisecond, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"count":2`, `"count":3`},
		{`"min_ns":1000000`, `"min_ns":1`},
		{`"min_ns":1000000`, `"min_ns":-1`},
		{`"max_ns":1000000000`, `"max_ns":10000000000`},
		{`"sum_ns":1001000000`, `"sum_ns":1`},
		{`"sum_ns":1001000000`, `"sum_ns":-1`},
		{`"hdr_v2":"HIST`, `"hdr_v2":"AAAA`},
		{`"hdr_v2":"HIST`, `"hdr_v2":"`},
	} {
		bad := strings.Replace(string(good), change[0], change[1], 1)
		if bad == string(good) {
			t.Errorf("%q is not in %s", change[0], good)
			continue
		}
		var h Histogram
		if err := json.Unmarshal([]byte(bad), &h); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s for %s: %v", change[1], change[0], err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	h := NewHistogram()
	for i := 0; b.Loop(); i++ {
		if err := h.Record(time.Duration(i&0xfffff) * 100); err != nil {
			b.Fatal(err)
		}
	}
}
