// Package transports says how frames travel between replicas, and holds what all transports share: the codec of
// Raft's messages, framing, the handshake and the bounded outbox. The folders below it (mem, tcp, quic) implement the
// Transport interface; conformance is the suite that all of them pass.
//
// It does not know what a frame means: it neither looks at Raft's state nor repeats, orders or acknowledges anything
// beyond what the connection below does. A frame may be lost whenever a connection breaks.
package transports

import (
	"time"

	"github.com/raftbench/raftbench/raft"
)

// Class is the kind of traffic that a frame belongs to. Transports that have streams keep classes apart, so that a
// vote or a heartbeat does not wait behind a large append; within a class, order is kept while a connection lasts.
type Class uint8

const (
	ClassHeartbeat Class = iota // AppendEntries without entries, and the answers to them
	ClassAppend                 // AppendEntries with entries, and the answers to them
	ClassVote                   // RequestVote and the answers to it
	Classes                     // how many there are
)

// Handler is told what happens at one endpoint. Its methods are called from the transport's goroutines, several at
// once; for one peer and class one at a time. They must not call Close.
type Handler interface {
	// Receive hands over one frame. The bytes are the transport's again when it returns. more says that another frame
	// of the same peer and class has already been read and follows at once, so that a driver may act once for all.
	Receive(from raft.ID, frame []byte, more bool)
	// Up says that frames can now travel to the peer: after the handshake of a new connection, or when a cut link is
	// healed. Down says that they no longer can.
	Up(peer raft.ID)
	Down(peer raft.ID)
}

// Transport is one replica's endpoint.
type Transport interface {
	// Addr is where peers reach this endpoint.
	Addr() string
	// Start accepts and keeps up connections to peers, by address, until Close. Of each pair, the replica with the
	// lower ID dials, again with back-off whenever the connection is lost.
	Start(peers map[raft.ID]string, h Handler)
	// Send queues a frame, the concatenation of head and body, which it copies. It never blocks. It returns false if
	// the frame was dropped, which Stats counts: no connection, the link cut, or the queue full.
	Send(to raft.ID, class Class, head, body []byte) bool
	// Flush gives what Send queued to the network. It never blocks on the network.
	Flush()
	// SetLink cuts or heals the link towards one peer: while it is cut, every frame for the peer is dropped and
	// counted. The connection stays as it is; frames from the peer still arrive. Healing calls Handler.Up if there
	// is a connection.
	SetLink(to raft.ID, up bool)
	Stats() Stats
	// Close ends all connections and waits for the endpoint's goroutines. Nothing of the Handler is called after it.
	Close() error
}

// Stats counts since Start. Bytes are those of whole frames, with their length prefix, without what TLS, QUIC or IP add.
type Stats struct {
	SentFrames, SentBytes         uint64 // accepted by Send
	ReceivedFrames, ReceivedBytes uint64
	DroppedNoConnection           uint64 // frames
	DroppedCut                    uint64 // frames
	DroppedQueueFull              uint64 // frames
	DroppedOnBreak                uint64 // frames that were queued or half written when a connection broke
	Writes                        uint64 // calls that hand bytes to the connection
	Connects                      uint64 // connections made or accepted, with a completed handshake
	Refused                       uint64 // connections refused by the handshake
}

// Config is one endpoint's configuration. The zero value of a limit means its default.
type Config struct {
	Cluster       uint64        // identity of the group; connections of another group are refused
	Self          raft.ID       //
	Listen        string        // host:port for sockets, port 0 for any free one; a name for mem
	MaxFrameBytes int           // the largest frame sent or accepted; default 16 MiB
	OutboxBytes   int           // the most that is queued for one peer and class; default 64 MiB
	BackoffMin    time.Duration // wait before the second attempt to connect; default 1 ms
	BackoffMax    time.Duration // the wait doubles up to this; default 100 ms
	Handshake     time.Duration // the time a handshake may take; default 3 s
}

// Network is what the replicas of one group share of a transport: a certificate authority made for this group, or the
// hub that endpoints in one process meet at.
type Network interface {
	// Endpoint opens a replica's endpoint; it listens on return. An error about the address wraps the system's.
	Endpoint(Config) (Transport, error)
	Close() error
}

// Kind is a transport that can be chosen by name.
type Kind struct {
	Name string // as on the command line
	Doc  string // one sentence
	Open func() (Network, error)
}
