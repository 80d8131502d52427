// Package raft is the Raft consensus algorithm (Ongaro and Ousterhout, "In Search of an Understandable Consensus
// Algorithm", extended version, 2014; Ongaro's thesis, 2014) as a deterministic state machine, in which the moments
// when things happen and the search for the place where two logs agree are parts that can be exchanged.
//
// A Node is the Raft of one replica. It has no goroutine, clock, lock, I/O or randomness without a seed: time is an
// argument of its methods, and what it wants done is a value, Output. The same calls give the same outputs, on the wall
// clock and in virtual time.
//
// # Strategies
//
// A proposal passes four gates, and at each a Strategy decides how long it may wait:
//
//	appended --[Send]--> acknowledged by a quorum --[Commit]--> committed --[Announce]--> followers told
//	                                                                \--[Apply]--> applied
//
// The fifth choice, Backup, says which index is tried next after a follower rejected an AppendEntries. A strategy changes
// when things happen and how many messages they take, never what is committed.
//
// # What a driver does
//
// Whoever owns a Node calls its methods from one goroutine at a time, or under a lock:
//
//   - Step for each message that arrives (decoded and validated), Propose for each proposal of a client, Reachable when a
//     connection to a peer was made, and Tick when the time that Deadline returned has come. It need not call Tick
//     earlier, and there is nothing to poll. A driver without connections never needs to call Reachable: a Node finds out
//     with its heartbeats and election timeouts.
//   - After each of these, or after several, Take until the Output is empty. What was put in between two calls of Take is
//     decided together: several proposals travel in one AppendEntries.
//   - Output.Save goes to the disk: term, vote and log in one step, such that a crash leaves all of it or nothing. When it
//     is durable, then or later, Saved says so. Several may be under way, as long as they become durable in order. A
//     message that promises something to be durable is handed out only after that, so a driver may send all that it is
//     given at once, without waiting for the disk.
//   - Output.Messages are sent as they are: they may be lost, duplicated, delayed or reordered.
//   - Output.Apply goes to the state machine, in order. On the leader this is the moment to answer the client.
//   - Output.Snapshot asks for a snapshot of the state machine as it is then. When it is durable, SnapshotSaved says so, and
//     the log before it may go: Output.Compact tells the storage. A driver that leaves Config.SnapshotEntries and
//     SnapshotBytes at 0 is never asked, and keeps the whole log.
//   - A message of type InstallSnapshot says which part of which snapshot a follower is to get: the driver puts the bytes
//     into its Chunk. On the follower, Output.Chunks are written as they come; the last one makes the snapshot durable,
//     SnapshotSaved says so, and Output.Restore has the state machine go on from it.
//   - After the last Take, Deadline says when to call Tick, if nothing happens before.
//
// All memory in an Output belongs to the Node and is valid until the next call of any of its methods. Step keeps nothing
// of its message.
//
// A proposal has the index and term that Propose returned. If an entry of another term is applied at that index, it has
// failed. The leader may have changed without it being lost; who asks again must expect it twice.
//
// # Driving it over calls and replies
//
// A transport that makes calls, such as an RPC library, carries requests (AppendEntries, RequestVote) as arguments and
// replies as results. Then:
//
//   - A reply answers the request with its Seq that went from the reply's To to its From, and is of the type that belongs
//     to it. On the side that is called it comes in an Output after the Step: in the first, unless it promises something
//     that has to become durable, and else in the first after Saved. An Output may hold replies to others as well. A
//     request that is forged, or has been overtaken by a new term, is never answered: let the call fail when nothing is
//     left to take and to save.
//   - What comes back is given to Step, whenever that is. A call that fails need not be told to the Node. A leader finds
//     out by silence: what is unanswered at a heartbeat for half an interval, or two round trips, is taken for lost, and
//     from then on at most one AppendEntries with entries is out at a time, and goes with a heartbeat, until one is
//     answered. A candidate asks again with its next campaign.
//   - Reachable is never needed. It only spares a leader the wait for a heartbeat, and a candidate that for the next
//     campaign, where connections tell that a peer is back.
//   - A call outlives the Output that its argument is from: send Message.Clone. Entries.First means nothing in a message
//     with a Count of 0, neither in one that is sent nor in one that is received.
//   - A storage that writes the whole state each time may take the log from Node.Log instead of Save.Entries and
//     Save.TruncateFrom: between a Take and the next call of a method it is what the storage has to hold once this Save is
//     durable. Term and Vote are in the Save.
//
// The directory examples/labadapter is such a driver. Gates, backups and named strategies are in the package strategies:
// strategies.Parse("eager") is a Strategy.
//
// # What is not here
//
// No change of the group's members, no transfer of leadership, no reads without a log entry. No transport, storage or
// state machine, and so no snapshot's content. It tolerates crashes and network faults, not Byzantine replicas: a forged
// message is never a panic, and never takes back what a node has committed, but it may well make the group elect or commit
// what it should not.
//
// # Files
//
//	node.go      Node, and the methods that drivers call: the place to begin
//	output.go    what a node wants done; Events tell observers what happened
//	message.go   the messages
//	config.go    Config and its limits; what a replica starts from
//	strategy.go  Strategy, Gate and Backup
//	election.go  campaigns, votes, pre-vote and check-quorum
//	follower.go  the five steps of AppendEntries
//	leader.go    what a leader knows of each follower; answers, probes, losses
//	gates.go     the four gates: the only place where anything is sent, committed or applied
//	save.go      persistence, and the messages that wait for it
//	snapshot.go  snapshots: when one is due, how it travels, what the log may forget
//	log.go       the log: encoded entries in segments
//	entries.go   the encoded form of entries
//	inspect.go   what checkers and explorers may see of a node
//	time.go      Time
package raft
