package raft_test

import (
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/raftbench/raftbench/raft"
)

// server is a complete driver: a node under a lock, which may be called from any goroutine.
type server struct {
	mu    sync.Mutex
	node  *raft.Node
	disk  *raft.Log           // a real one writes to a file
	send  func(*raft.Message) // a real one encodes the message, as the memory of its entries is used again
	apply func(raft.Entry)
}

// do calls the node and carries out what it wants done then.
func (r *server) do(call func(*raft.Node)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	call(r.node)
	for {
		out := r.node.Take()
		if out.Empty() {
			return
		}
		for i := range out.Messages {
			r.send(&out.Messages[i])
		}
		for _, run := range out.Apply {
			for e := range run.All() {
				r.apply(e)
			}
		}
		if s := out.Save; s.Seq != 0 {
			// Term and vote go to the same write: a crash must find both or neither.
			if s.TruncateFrom != 0 {
				r.disk.TruncateFrom(s.TruncateFrom)
			}
			for _, e := range s.Entries {
				r.disk.AppendEntries(e)
			}
			r.node.Saved(clock(), s.Seq)
		}
	}
}

// clock is what tells a driver the time; here it is always the same, so that the example's output is, too. A driver with
// a real one has a timer that is set to Deadline() after each call, and then does
//
//	r.do(func(n *raft.Node) { n.Tick(clock()) })
func clock() raft.Time { return 0 }

// atOnce is a gate that is always open, oneBack the search of the Raft paper. Package strategies has many of both.
type (
	atOnce  struct{}
	oneBack struct{}
)

func (atOnce) Wait(raft.Waiting) time.Duration         { return 0 }
func (atOnce) String() string                          { return "now" }
func (oneBack) Next(_ *raft.Log, r raft.Reject) uint64 { return r.PrevLogIndex }
func (oneBack) String() string                         { return "linear" }

// Three replicas in one process: one is elected, and a proposal is committed and applied by all.
func Example() {
	strategy := raft.Strategy{Backup: oneBack{}, Send: atOnce{}, Commit: atOnce{}, Announce: atOnce{}, Apply: atOnce{}}

	var network []raft.Message
	var replicas []*server
	voters := []raft.ID{1, 2, 3}
	for _, id := range voters {
		node, err := raft.New(clock(), raft.Config{
			ID: id, Voters: voters, Strategy: strategy, Heartbeat: 50 * time.Millisecond, ElectionTimeout: 500 * time.Millisecond,
		}, raft.Saved{})
		if err != nil {
			log.Fatal(err)
		}
		replicas = append(replicas, &server{
			node: node,
			disk: raft.NewLog(1, 0),
			send: func(m *raft.Message) {
				network = append(network, m.Clone()) // what a node hands out, it uses again
			},
			apply: func(e raft.Entry) {
				fmt.Printf("replica %d applies entry %d of term %d: %s\n", id, e.Index, e.Term, e.Data)
			},
		})
	}
	deliver := func() {
		for len(network) > 0 {
			m := network[0]
			network = network[1:]
			replicas[m.To-1].do(func(n *raft.Node) { n.Step(clock(), &m) })
		}
	}

	replicas[0].do(func(n *raft.Node) { n.Campaign(clock()) }) // or wait until a Tick does
	deliver()
	replicas[0].do(func(n *raft.Node) {
		index, term, err := n.Propose(clock(), []byte("x = 1"))
		fmt.Println("proposed as entry", index, "of term", term, err)
	})
	deliver()
	replicas[1].do(func(n *raft.Node) {
		_, _, err := n.Propose(clock(), []byte("x = 2"))
		fmt.Println(err, "- ask replica", n.Status().Leader)
	})
	// Output:
	// proposed as entry 1 of term 1 <nil>
	// replica 1 applies entry 1 of term 1: x = 1
	// replica 2 applies entry 1 of term 1: x = 1
	// replica 3 applies entry 1 of term 1: x = 1
	// raft: not the leader - ask replica 1
}
