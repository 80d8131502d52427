package transports

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// nobody is a network on which nobody answers.
type nobody struct{ dialled []time.Time }

func (n *nobody) Addr() string { return "" }
func (n *nobody) Close() error { return nil }

func (n *nobody) Dial(context.Context, string) (Conn, error) {
	n.dialled = append(n.dialled, time.Now())
	return nil, errors.New("nobody is there")
}

func (n *nobody) Accept(ctx context.Context) (Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

type deaf struct{}

func (deaf) Receive(raft.ID, []byte, bool) {}
func (deaf) Up(raft.ID)                    {}
func (deaf) Down(raft.ID)                  {}

// The waits between attempts to connect double from BackoffMin to BackoffMax, less up to a half for jitter.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nobody{}
		e, err := NewEndpoint(Config{Self: 1, BackoffMin: time.Millisecond, BackoffMax: 64 * time.Millisecond}, 1, n)
		if err != nil {
			t.Fatal(err)
		}
		e.Start(map[raft.ID]string{2: "nowhere"}, deaf{})
		time.Sleep(10 * time.Second) // of the bubble's time
		synctest.Wait()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if len(n.dialled) < 100 {
			t.Fatalf("%d attempts in 10s, want one every 32ms to 64ms", len(n.dialled))
		}
		most := time.Millisecond
		for i := 1; i < len(n.dialled); i++ {
			if waited := n.dialled[i].Sub(n.dialled[i-1]); waited < most/2 || waited > most {
				t.Fatalf("attempt %d comes %v after the one before, want %v to %v", i+1, waited, most/2, most)
			}
			most = min(2*most, 64*time.Millisecond)
		}
	})
}
