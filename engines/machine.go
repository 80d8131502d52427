package engines

import (
	"github.com/cespare/xxhash/v2"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/raft"
)

// Machine is the state machine of one member, and the clients that wait for what it applies. It does for engines that
// bring only consensus what cluster.Replica does for this project's own: it digests, tells the observer, answers and
// says what the log may forget. It is not safe for concurrent use.
type Machine struct {
	id      raft.ID
	cfg     *cluster.Config
	host    cluster.Host
	disk    *cluster.Disk
	digest  xxhash.Digest
	applied uint64
	pruning cluster.Pruning
	prune   bool // it is time to look at what may be forgotten

	cluster.Clients
}

// NewMachine returns the machine as of the disk's last checkpoint.
func NewMachine(id raft.ID, cfg *cluster.Config, host cluster.Host, disk *cluster.Disk) *Machine {
	return &Machine{id: id, cfg: cfg, host: host, disk: disk, digest: disk.Digest(), applied: disk.Saved().Applied}
}

// Applied returns the last index that was applied.
func (m *Machine) Applied() uint64 { return m.applied }

// Digest returns the digest of all entries applied so far.
func (m *Machine) Digest() uint64 { return m.digest.Sum64() }

// Apply applies the entries that follow those applied so far, and answers who waits for them.
func (m *Machine) Apply(e raft.Entries) {
	now := m.host.Now() // what applying answers, it answers now, however long the input before it took
	m.digest.Write(e.Bytes)
	m.applied = e.Last()
	m.prune = m.pruning.Due(e) || m.prune
	if m.cfg.Observer != nil {
		m.cfg.Observer.Applied(now, m.id, e)
	}
	m.Answer(now, e)
}

// Compact returns up to where the log may be forgotten now, having noted the machine's state on the disk; 0 if it is not
// time to look, or not worth it. durable is the last index that the disk holds.
func (m *Machine) Compact(durable uint64) uint64 {
	upTo := m.Forgettable()
	if upTo == 0 || m.applied > durable {
		return 0
	}
	m.disk.Checkpoint(m.applied, m.digest, upTo)
	return upTo
}

// Forgettable returns up to where a log may be forgotten now; 0 if it is not time to look, or not worth it.
func (m *Machine) Forgettable() uint64 {
	due := m.prune
	m.prune = false
	if upTo := m.host.Compactable(); due && m.cfg.Retain > 0 && upTo > m.cfg.Retain {
		return min(upTo-m.cfg.Retain, m.applied)
	}
	return 0
}

// FramePrefix is how many bytes a frame takes on a stream beside what is in it.
const FramePrefix = 4

// Begin prepares a proposal that was offered to a member.
func Begin(p *cluster.Proposal, id raft.ID) {
	p.Replica, p.Outcome, p.Err, p.Stages = id, cluster.Pending, nil, cluster.Stages{}
}
