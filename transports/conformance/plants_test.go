package conformance

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
	"github.com/raftbench/raftbench/transports/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plant is the mem transport with a fault.
type plant struct {
	transports.Transport
	handler transports.Handler
	link    func(p *plant, to raft.ID, up bool) // in the place of SetLink
	send    func(inner transports.Transport, n int, to raft.ID, class transports.Class, head []byte, body [][]byte) bool
	watch   func(transports.Handler) transports.Handler
	leak    func()
	noReset bool
	sent    atomic.Int64
}

func (p *plant) Send(to raft.ID, class transports.Class, head []byte, body ...[]byte) bool {
	if p.send == nil {
		return p.Transport.Send(to, class, head, body...)
	}
	return p.send(p.Transport, int(p.sent.Add(1)), to, class, head, body)
}

func (p *plant) Start(peers map[raft.ID]string, h transports.Handler) {
	if p.watch != nil {
		h = p.watch(h)
	}
	p.handler = h
	p.Transport.Start(peers, h)
}

func (p *plant) SetLink(to raft.ID, up bool) {
	if p.link == nil {
		p.Transport.SetLink(to, up)
	} else {
		p.link(p, to, up)
	}
}

func (p *plant) Reset(to raft.ID) {
	if !p.noReset {
		p.Transport.Reset(to)
	}
}

func (p *plant) Close() error {
	if p.leak != nil {
		p.leak()
	}
	return p.Transport.Close()
}

// faulty is the mem kind whose endpoints have the fault that plant makes.
func faulty(makePlant func() *plant) transports.Kind {
	k := mem.Kind()
	open := k.Open
	k.Open = func() (transports.Network, error) {
		n, err := open()
		return faultyNetwork{n, makePlant}, err
	}
	return k
}

type faultyNetwork struct {
	transports.Network
	makePlant func() *plant
}

func (n faultyNetwork) Endpoint(cfg transports.Config) (transports.Transport, error) {
	t, err := n.Network.Endpoint(cfg)
	if err != nil {
		return nil, err
	}
	p := n.makePlant()
	p.Transport = t
	return p, nil
}

// handler changes what the handler below hears.
type handler struct {
	transports.Handler
	receive func(h transports.Handler, from raft.ID, frame []byte, more bool)
	up      func(h transports.Handler, peer raft.ID)
	down    func(h transports.Handler, peer raft.ID)
}

func (h handler) Receive(from raft.ID, frame []byte, more bool) {
	if h.receive == nil {
		h.Handler.Receive(from, frame, more)
	} else {
		h.receive(h.Handler, from, frame, more)
	}
}

func (h handler) Up(peer raft.ID) {
	if h.up == nil {
		h.Handler.Up(peer)
	} else {
		h.up(h.Handler, peer)
	}
}

func (h handler) Down(peer raft.ID) {
	if h.down == nil {
		h.Handler.Down(peer)
	} else {
		h.down(h.Handler, peer)
	}
}

func watching(h handler) func() *plant {
	return func() *plant {
		return &plant{watch: func(inner transports.Handler) transports.Handler {
			h := h
			h.Handler = inner
			return h
		}}
	}
}

// The suite finds each of these faults, by the case that is meant to.
func TestTheSuiteFindsFaults(t *testing.T) {
	for _, c := range []struct {
		fault, foundBy, complaint string
		plant                     func() *plant
	}{
		{"reorders", "delivers in order", "arrived, want", func() *plant {
			var mu sync.Mutex
			held := map[raft.ID][]byte{}
			return &plant{send: func(inner transports.Transport, n int, to raft.ID, class transports.Class, head []byte, body [][]byte) bool {
				mu.Lock()
				defer mu.Unlock()
				if class == transports.ClassAppend && n%50 < 3 && held[to] == nil {
					held[to] = slices.Concat(head, slices.Concat(body...))
					return true
				}
				ok := inner.Send(to, class, head, body...)
				if b := held[to]; b != nil && class == transports.ClassAppend {
					delete(held, to)
					inner.Send(to, class, b)
				}
				return ok
			}}
		}},
		{"drops silently", "delivers in order", "all frames", func() *plant {
			return &plant{send: func(inner transports.Transport, n int, to raft.ID, class transports.Class, head []byte, body [][]byte) bool {
				return n%500 == 0 || inner.Send(to, class, head, body...)
			}}
		}},
		{"doubles", "delivers in order", "arrived, want", func() *plant {
			return &plant{send: func(inner transports.Transport, n int, to raft.ID, class transports.Class, head []byte, body [][]byte) bool {
				if n%500 == 0 {
					inner.Send(to, class, head, body...)
				}
				return inner.Send(to, class, head, body...)
			}}
		}},
		{"changes a byte", "delivers in order", "is not what was sent", watching(handler{receive: func(h transports.Handler, from raft.ID, frame []byte, more bool) {
			if len(frame) > 5000 {
				frame[len(frame)-1]++
			}
			h.Receive(from, frame, more)
		}})},
		{"always promises more", "tells of more", "said that another follows", watching(handler{receive: func(h transports.Handler, from raft.ID, frame []byte, _ bool) {
			h.Receive(from, frame, true)
		}})},
		{"never promises more", "tells of more", "without telling of the next", watching(handler{receive: func(h transports.Handler, from raft.ID, frame []byte, _ bool) {
			h.Receive(from, frame, false)
		}})},
		{"takes large frames", "carries frames up to the limit", "was accepted", func() *plant {
			return &plant{send: func(inner transports.Transport, n int, to raft.ID, class transports.Class, head []byte, body [][]byte) bool {
				return inner.Send(to, class, head, body...) || len(head)+len(slices.Concat(body...)) > 1<<20
			}}
		}},
		{"blocks when the queue is full", "never blocks on a stuck peer", "waited for a peer", func() *plant {
			return &plant{send: func(inner transports.Transport, n int, to raft.ID, class transports.Class, head []byte, body [][]byte) bool {
				for !inner.Send(to, class, head, body...) {
					if inner.Flush(); inner.Stats().DroppedNoConnection > 0 {
						return false
					}
					runtime.Gosched()
				}
				return true
			}}
		}},
		{"tells when a link heals", "cuts and heals", "cut and healed in silence", func() *plant {
			return &plant{link: func(p *plant, to raft.ID, up bool) {
				if p.Transport.SetLink(to, up); up && p.handler != nil {
					p.handler.Up(to)
				}
			}}
		}},
		{"cuts what is sent, not connections", "connects once healed", "Up while the link is cut", func() *plant {
			cut := map[raft.ID]bool{} // a test's goroutine sets links and sends
			return &plant{link: func(_ *plant, to raft.ID, up bool) { cut[to] = !up },
				send: func(inner transports.Transport, _ int, to raft.ID, class transports.Class, head []byte, body [][]byte) bool {
					return !cut[to] && inner.Send(to, class, head, body...)
				}}
		}},
		{"does not reset", "resets", "Down at both", func() *plant { return &plant{noReset: true} }},
		{"is silent when a connection breaks", "reconnects after the lower ID restarts", "Down", watching(handler{down: func(transports.Handler, raft.ID) {}})},
		{"tells twice when a connection breaks", "reconnects after the higher ID restarts", "Down", watching(handler{down: func(h transports.Handler, peer raft.ID) {
			h.Down(peer)
			h.Down(peer)
		}})},
		{"leaves a goroutine", "closes cleanly", "closed, but found", func() *plant {
			stop := make(chan struct{})
			t.Cleanup(func() { close(stop) })
			return &plant{leak: sync.OnceFunc(func() { go func() { <-stop }() })}
		}},
		{"allocates", "allocates nothing", "allocations", func() *plant {
			return &plant{send: func(inner transports.Transport, n int, to raft.ID, class transports.Class, head []byte, body [][]byte) bool {
				return inner.Send(to, class, append([]byte(nil), head...), body...)
			}}
		}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			run := caseNamed(t, c.foundBy)
			if complaint := complaintOf(t, run, mem.Kind(), time.Minute); complaint != "" {
				t.Fatalf("without a fault %q complains: %s", c.foundBy, complaint)
			}
			// What a fault keeps from happening is waited for in vain; the less patience the better, unless the
			// machine is so busy that other things are late as well.
			var complaint string
			for _, patience := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 20 * time.Second} {
				complaint = complaintOf(t, run, faulty(c.plant), patience)
				if strings.Contains(complaint, c.complaint) {
					return
				}
			}
			t.Errorf("of a transport that %s, %q complains %q, want a complaint with %q", c.fault, c.foundBy, complaint, c.complaint)
		})
	}
}

func caseNamed(t *testing.T, name string) func(*suite) {
	for _, c := range cases {
		if c.name == name {
			return c.run
		}
	}
	t.Fatalf("no case named %q", name)
	return nil
}

// complaintOf runs a case and returns its first complaint, "" if it passes.
func complaintOf(t *testing.T, run func(*suite), kind transports.Kind, patience time.Duration) string {
	w := &witness{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.cleanup()
		run(&suite{TB: w, kind: kind, traits: Traits{NoAllocs: true}, patience: patience})
	}()
	<-done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.complaint
}

// witness is a testing.TB that notes complaints instead of failing.
type witness struct {
	testing.TB
	mu        sync.Mutex
	complaint string
	cleanups  []func()
}

func (w *witness) Errorf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.complaint == "" {
		w.complaint = fmt.Sprintf(format, args...)
	}
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	runtime.Goexit()
}

func (w *witness) Logf(string, ...any) {}
func (w *witness) Helper()             {}
func (w *witness) Cleanup(f func())    { w.cleanups = append(w.cleanups, f) }

func (w *witness) cleanup() {
	for i := len(w.cleanups) - 1; i >= 0; i-- {
		w.cleanups[i]()
	}
}
