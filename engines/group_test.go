package engines_test

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/engines"
	"github.com/raftbench/raftbench/engines/conformance"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
	"github.com/raftbench/raftbench/transports/mem"
	"github.com/raftbench/raftbench/transports/tcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node runs this project's own core on a goroutine of its own, as a library would.
type node struct {
	*engines.Loop
	core cluster.Member
	host *engines.Host
}

func start(id raft.ID, cfg *cluster.Config, host *engines.Host, store storage.Storage) (engines.Node, error) {
	core, err := cluster.NewReplica(id, cfg, host, store)
	if err != nil {
		return nil, err
	}
	n := &node{engines.NewLoop(id), core, host}
	n.Run(time.Millisecond, n)
	return n, nil
}

func (n *node) Campaign()       { n.Do(func() { n.core.Campaign(n.host.Now()) }) }
func (n *node) Up(peer raft.ID) { n.Do(func() { n.core.Reachable(n.host.Now(), peer) }) }
func (n *node) Down(raft.ID)    {}

func (n *node) Receive(from raft.ID, frame []byte, _ bool) {
	frame = slices.Clone(frame)
	n.Do(func() { n.core.Receive(n.host.Now(), from, frame) })
}

func (n *node) Take(p *cluster.Proposal) { n.core.Propose(n.host.Now(), p) }
func (n *node) Beat()                    { n.core.Tick(n.host.Now()) }
func (n *node) Abandon()                 { n.core.Abandon() }

func (n *node) Settle() {
	n.core.Settle(n.host.Now())
	n.host.Flush()
}

func (n *node) Now() (cluster.Status, cluster.Counters) { return n.core.Status(), n.core.Counters() }

// A group of nodes does what every engine must, crashes and elections included.
func TestGroup(t *testing.T) {
	e := engines.Engine{Name: "node", Open: func(at engines.Place, cfg cluster.Config) (cluster.Cluster, error) {
		return engines.Open(at, cfg, start)
	}}
	conformance.Run(t, e, engines.Place{Transport: mem.Kind()}, engines.Place{Transport: tcp.Plain()})
}
