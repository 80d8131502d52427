package check_test

import (
	"context"
	"testing"

	"github.com/raftbench/raftbench/check"
)

// BenchmarkSeeds plays random plans of five replicas with every rule looked at: events/s is what counts.
func BenchmarkSeeds(b *testing.B) {
	events := uint64(0)
	for i := range b.N {
		p, err := check.Draw(uint64(i+1), check.Limits{Replicas: 5})
		if err != nil {
			b.Fatal(err)
		}
		out, err := p.Play(context.Background(), 0)
		if err != nil || out.Violation != nil {
			b.Fatal(err, out.Violation)
		}
		events += out.Events
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
