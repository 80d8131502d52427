// Package transports says how frames travel between replicas, and holds what all transports share: the codec of
// Raft's messages, framing, the handshake and the bounded outbox. The folders below it (mem, tcp, quic) implement the
// Transport interface; conformance is the suite that all of them pass.
//
// # Who is let in
//
// tcp+tls and quic prove who is who: both sides show a certificate of the group's Authority that names a replica, and the
// handshake compares that name with the one that is claimed. What is said is encrypted.
//
// tcp is plain. It protects from mistakes: a wrong address, another group, another program. On an open network it protects
// from nothing. Whoever can listen in reads everything, the number of the cluster in the handshakes among it, and whoever gets
// hold of a replica's address is told that number by those that dial it. With it anybody who reaches the port can pass for a
// replica with a lower ID: that puts out the real one's connection and takes its place until that dials again, and what it
// sends meanwhile is believed. To a stranger without the number nothing is said. mem never leaves the process.
//
// Strangers cost little: a connection that does not complete its handshake is closed after Config.Handshake, there are at
// most MaxStrangers of them at a time, and beyond that the one that has waited for longest is closed. A flood of new ones
// can keep a replica from connecting for as long as it lasts; connections that are made are not touched by it.
//
// # Frames
//
// The package does not know what a frame means: it neither looks at Raft's state nor repeats, orders or acknowledges
// anything beyond what the connection below does. A frame may be lost whenever a connection breaks.
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
	ClassSnapshot               // parts of snapshots, and the answers to them
	Classes                     // how many there are
)

// Handler is told what happens at one endpoint. Its methods are called from the transport's goroutines, several at
// once; for one peer and class one at a time. They must not call Close.
type Handler interface {
	// Receive hands over one frame. The bytes are the transport's again when it returns. more says that another frame
	// from the same peer on the same stream has already been read and follows at once, so that a driver may act once
	// for all. All frames of a connection come between its Up and its Down.
	Receive(from raft.ID, frame []byte, more bool)
	// Up says that a connection to the peer was made: frames can now travel. Down says that this connection is lost.
	// Neither tells that a link is cut or healed.
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
	// Send queues a frame, head and the pieces of body one after the other, which it copies. It never blocks. It returns
	// false if the frame was dropped, which Stats counts: no connection, the link cut, the queue full, or the frame larger than
	// Config.MaxFrameBytes.
	Send(to raft.ID, class Class, head []byte, body ...[]byte) bool
	// Flush gives what Send queued to the network. It never blocks on the network.
	Flush()
	// SetLink cuts or heals the link towards one peer: while it is cut, every frame for the peer is dropped and
	// counted, and no connection with it is made. An existing one stays as it is, so that frames from the peer still
	// arrive; the Handler is told nothing. A link may be cut before Start.
	SetLink(to raft.ID, up bool)
	// Reset breaks the connection with a peer, if there is one, as something on the way between them would.
	Reset(to raft.ID)
	// Stats returns the counts so far.
	Stats() Stats
	// Close ends all connections and waits for the endpoint's goroutines, and so for a Handler that is in one of its
	// methods. It calls no Down for the connections that it ends. Nothing of the Handler is called after it.
	Close() error
}

// Stats counts since Start. Bytes are those of whole frames, with their length prefix, without what TLS, QUIC or IP add.
type Stats struct {
	SentFrames, SentBytes         uint64 // accepted by Send
	ReceivedFrames, ReceivedBytes uint64
	DroppedNoConnection           uint64 // frames
	DroppedCut                    uint64 // frames
	DroppedQueueFull              uint64 // frames
	DroppedTooLarge               uint64 // frames
	DroppedOnBreak                uint64 // frames accepted by Send, but queued or half written when a connection broke
	Writes                        uint64 // calls that hand bytes to the connection
	Connects                      uint64 // connections made or accepted, with a completed handshake
	Refused                       uint64 // connections refused in the handshake, by this endpoint or by the one it dialled
}

// Dropped returns the number of frames that were dropped, for whatever reason. All but DroppedOnBreak were refused by
// Send; so SentFrames = received by the peers + DroppedOnBreak, once nothing is under way and as long as no connection
// broke with frames in the network's own buffers, which nobody can count.
func (s Stats) Dropped() uint64 {
	return s.DroppedNoConnection + s.DroppedCut + s.DroppedQueueFull + s.DroppedTooLarge + s.DroppedOnBreak
}

// Config is one endpoint's configuration. The zero value of a limit means its default.
type Config struct {
	Cluster       uint64        // identity of the group; connections of another group are refused
	Self          raft.ID       // this replica; not 0
	Listen        string        // host:port, port 0 for any free one; mem takes it as a name, with the same meaning of port 0
	MaxFrameBytes int           // the largest frame sent or accepted; default 16 MiB, at most 1 GiB
	OutboxBytes   int           // the most that is queued for one stream to one peer; default 64 MiB, at least one largest frame
	BackoffMin    time.Duration // wait before the second attempt to connect; default 1 ms
	BackoffMax    time.Duration // the wait doubles up to this; default 100 ms
	Handshake     time.Duration // the time a handshake may take; default 3 s
	// IdleTimeout is how long a connection of a transport that has to find out for itself (quic) may show no sign of
	// life before it counts as lost; default 10 s. Keep-alives go out several times as often, so that a connection
	// without traffic is not mistaken for a dead peer.
	IdleTimeout time.Duration
	// Host is where the endpoint's sockets live; nil is this process's own network. Transports without sockets do not
	// use it.
	Host Host
}

// Host is a host of an emulated network.
type Host interface {
	// In calls f where sockets belong to the host, such as on a thread in its network namespace, and returns its error.
	In(f func() error) error
}

// Warner is implemented by a Transport, or a part of one, that knows of something which distorts what is measured:
// a socket buffer that the system keeps small, a peer that refuses the handshake.
type Warner interface {
	// Warnings returns one line for each.
	Warnings() []string
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
