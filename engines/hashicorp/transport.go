package hashicorp

import (
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"

	"github.com/raftbench/raftbench/raft"
)

// transport is the library's NetworkTransport, with its messages counted and told to the observer. It puts nothing in
// their way: answers to pipelined requests are not seen here, but by the follower's store.
type transport struct {
	*hraft.NetworkTransport
	r *replica

	mu        sync.Mutex
	pipelines map[*pipeline]bool // those that are open
	closed    bool
}

// closePipelines ends what may wait in them for ever: a leader that has stopped reading a pipeline's answers, as one does
// that is deposed, still puts requests into it, and shutting it down waits for that.
func (t *transport) closePipelines() {
	t.mu.Lock()
	t.closed = true
	open := slices.Collect(maps.Keys(t.pipelines))
	t.mu.Unlock()
	for _, p := range open {
		p.Close()
	}
}

func (t *transport) AppendEntries(id hraft.ServerID, target hraft.ServerAddress, args *hraft.AppendEntriesRequest, resp *hraft.AppendEntriesResponse) error {
	sent := t.r.streams.passable(idOf(id)) == nil
	if sent {
		t.sending(idOf(id), args, true)
	}
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	switch {
	case err != nil || !sent || isHeartbeat(args):
	case resp.Success:
		t.r.event(raft.Event{Kind: raft.EventAccepted, Peer: idOf(id), Index: lastOf(args), Probe: true, Term: args.Term})
	default:
		t.r.rejections.Add(1)
		t.r.event(raft.Event{Kind: raft.EventRejected, Peer: idOf(id), Prev: args.PrevLogEntry, Index: min(args.PrevLogEntry, resp.LastLog+1)})
	}
	return err
}

func (t *transport) AppendEntriesPipeline(id hraft.ServerID, target hraft.ServerAddress) (hraft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	wrapped := &pipeline{p, t, idOf(id)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errors.Join(hraft.ErrPipelineShutdown, p.Close())
	}
	t.pipelines[wrapped] = true
	return wrapped, nil
}

// Close ends the pipeline. It may be called twice.
func (p *pipeline) Close() error {
	p.t.mu.Lock()
	delete(p.t.pipelines, p)
	p.t.mu.Unlock()
	return p.AppendPipeline.Close()
}

func (t *transport) RequestVote(id hraft.ServerID, target hraft.ServerAddress, args *hraft.RequestVoteRequest, resp *hraft.RequestVoteResponse) error {
	t.r.messages.Add(2)
	return t.NetworkTransport.RequestVote(id, target, args, resp)
}

func (t *transport) RequestPreVote(id hraft.ServerID, target hraft.ServerAddress, args *hraft.RequestPreVoteRequest, resp *hraft.RequestPreVoteResponse) error {
	t.r.messages.Add(2)
	return t.NetworkTransport.RequestPreVote(id, target, args, resp)
}

func (t *transport) InstallSnapshot(id hraft.ServerID, target hraft.ServerAddress, args *hraft.InstallSnapshotRequest,
	resp *hraft.InstallSnapshotResponse, data io.Reader) error {
	t.r.messages.Add(2)
	t.r.event(raft.Event{Kind: raft.EventChunk, Peer: idOf(id), Index: args.LastLogIndex, Bytes: int(args.Size)})
	return t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
}

// pipeline is the library's, with its requests counted.
type pipeline struct {
	hraft.AppendPipeline
	t    *transport
	peer raft.ID
}

func (p *pipeline) AppendEntries(args *hraft.AppendEntriesRequest, resp *hraft.AppendEntriesResponse) (hraft.AppendFuture, error) {
	p.t.sending(p.peer, args, false)
	return p.AppendPipeline.AppendEntries(args, resp)
}

// sending counts a request and, beforehand, the answer to it.
func (t *transport) sending(to raft.ID, args *hraft.AppendEntriesRequest, probe bool) {
	t.r.messages.Add(2)
	t.r.appends.Add(1)
	t.r.entries.Add(uint64(len(args.Entries)))
	if !t.r.g.cfg.Events() || isHeartbeat(args) {
		return
	}
	bytes := 0
	for _, e := range args.Entries {
		bytes += raft.EntryOverhead + len(e.Data)
	}
	t.r.event(raft.Event{Kind: raft.EventSent, Peer: to, Prev: args.PrevLogEntry, Index: lastOf(args), Count: len(args.Entries),
		Bytes: bytes, Probe: probe, Term: args.Term})
}

func lastOf(args *hraft.AppendEntriesRequest) uint64 {
	return args.PrevLogEntry + uint64(len(args.Entries))
}

// isHeartbeat tells the library's heartbeats, which say nothing of the log, from its requests.
func isHeartbeat(args *hraft.AppendEntriesRequest) bool {
	return args.PrevLogEntry == 0 && len(args.Entries) == 0 && args.LeaderCommitIndex == 0
}

// dialTimeout is told to the library, which uses it for nothing that matters here: streams have no deadlines.
const dialTimeout = 0 * time.Second
