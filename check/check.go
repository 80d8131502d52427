// Package check finds out whether a group of replicas behaves as Raft must, under whatever a network, disks and clocks
// do to it. It holds the invariants that are looked at after every event, the check of client histories for
// linearizability, random schedules of faults with the means to make a failing one short, and the search through all
// interleavings of a small group.
//
// Random schedules run in virtual time, on cluster/sim: a seed gives the same run everywhere. Package check measures
// nothing and knows no sockets; it starts no goroutine but for running several seeds at a time.
package check
