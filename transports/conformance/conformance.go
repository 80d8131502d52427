// Package conformance is the suite of tests that every transport passes: what transports.Transport promises, tried out
// on endpoints that talk to each other.
//
// It does not measure speed, and knows nothing of Raft: to it a frame is bytes.
package conformance

import (
	"net"
	"testing"
	"time"

	"github.com/raftbench/raftbench/transports"
)

// Traits says what is special about a transport. The zero value fits all of them.
type Traits struct {
	// DialRaw connects to an endpoint without the handshake, as a stranger would; nil if there is no such way.
	DialRaw func(addr string) (net.Conn, error)
	// Knock connects and leaves it to the caller to say anything, below encryption if there is any; nil if there is no such
	// way.
	Knock func(addr string) (net.Conn, error)
	// NoAllocs: in the long run sending and receiving a frame allocates nothing.
	NoAllocs bool
}

// Run runs all cases as subtests of t.
func Run(t *testing.T, kind transports.Kind, traits Traits) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.run(&suite{TB: t, kind: kind, traits: traits, patience: 30 * time.Second})
		})
	}
}

// cases are in the order of what builds upon what.
var cases = []struct {
	name string
	run  func(*suite)
}{
	{"delivers in order", deliversInOrder},
	{"tells of more", tellsOfMore},
	{"carries frames up to the limit", carriesUpToTheLimit},
	{"drops without a connection", dropsWithoutConnection},
	{"never blocks on a stuck peer", neverBlocks},
	{"cuts and heals", cutsAndHeals},
	{"connects once healed", connectsOnceHealed},
	{"resets", resets},
	{"reconnects after the higher ID restarts", func(s *suite) { reconnects(s, 2) }},
	{"reconnects after the lower ID restarts", func(s *suite) { reconnects(s, 1) }},
	{"stays connected when idle", staysConnected},
	{"refuses strangers", refusesStrangers},
	{"survives garbage", survivesGarbage},
	{"tells strangers nothing", tellsStrangersNothing},
	{"bounds strangers", boundsStrangers},
	{"closes cleanly", closesCleanly},
	{"is safe for concurrent use", isSafe},
	{"allocates nothing", allocatesNothing},
}
