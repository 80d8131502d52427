// Package check finds out whether a group of replicas behaves as Raft must, under whatever a network, disks and clocks
// do to it:
//
//   - Watch makes a group in virtual time be looked at after every event (Invariants): Raft's safety, promises and
//     what is on disk, what liveness needs of each step, what a strategy's gates and searches promise. See rules.go for
//     the list.
//   - Draw makes a random plan from a seed: group, strategy, network, disks, clocks, clients and a schedule of faults;
//     Plan.Play runs it on cluster/sim, Hunt runs many, Failure.Shrink makes a failing schedule short. At the end of
//     each the group is healed, but for a minority perhaps, and must serve within ten election timeouts; what clients
//     were told must be linearizable.
//   - Scenarios are runs with a fixed course, for faults that never heal and for costs when nothing fails.
//   - Explore tries all interleavings of a small group.
//   - RealTime, InRealTime, LinearizeLog and Linearize check histories of clients, live ones too. A search that does
//     not finish is Unproven, never fine.
//
// What may be asked of every engine, on the wall clock too, is only the last of these: package bench asks it of each
// trial. The folder mutants holds bugs to plant, and the command that shows which rule catches each. The folder
// calibrate compares what is measured with what arithmetic knows.
//
// # How fast, how far
//
// One core plays about a million events a second with every rule looked at (BenchmarkSeeds; the rules themselves are a
// quarter of it), so two thousand seeds take half a minute of one core's time. A look costs the same however long the
// logs are: what was seen before is not read again, except in an audit now and then.
//
// Explore sees three replicas in two terms with one proposal and one crash to the end in half a minute: 2,340,475 states,
// 13,831,361 events. With two proposals as well it does not end within five minutes: that is the bound. Nothing is lost by
// leaving out messages that can change nothing any more, and by letting replica 1 stand first.
//
// # What it does not do
//
// It measures nothing and knows no sockets. It starts no goroutine but for running several seeds at a time. The rules
// hold between replicas of this project's own core that do not lie; Byzantine ones are not its business.
package check
