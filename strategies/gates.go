package strategies

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/raft"
)

// gateKind is a line in the table of gates.
type gateKind struct {
	name   string
	params []string // the names of its arguments
	axes   []string // where it makes sense: elsewhere it is refused
	doc    string
	build  func(args []string) (raft.Gate, error) // args are as many as params
}

var everyGate = []string{AxisSend, AxisCommit, AxisAnnounce, AxisApply}

// gates is the table of all gates: a new one is a file with its type, and a line here.
var gates = []gateKind{
	{"now", nil, everyGate,
		"Opens at once.", just(Now{})},
	{"ride", nil, everyGate,
		"Opens when an AppendEntries goes out anyway (on a follower: comes in), at the latest with the next heartbeat.", just(Ride{})},
	{"every", []string{"d"}, everyGate,
		"Opens at the next tick of a clock with period d, as a goroutine that sleeps and looks would.", buildEvery},
	{"batch", []string{"n", "hold"}, everyGate,
		"Opens when n entries wait, or the oldest has waited for the time hold.", buildBatch},
	{"window", []string{"n"}, []string{AxisSend},
		"Opens while fewer than n AppendEntries to this follower are unanswered; window(1) is stop-and-wait.", buildWindow},
	{"barrier", nil, []string{AxisSend, AxisCommit},
		"Opens when every follower that the round went to has answered, or with the next heartbeat.", just(Barrier{})},
	{"confirmed", nil, []string{AxisApply},
		"Opens on the leader when a quorum has acknowledged the commit, as the second phase of a two-phase protocol would.", just(Confirmed{})},
}

// Gates describes all gates, for a list.
func Gates() []Kind {
	var kinds []Kind
	for _, k := range gates {
		kinds = append(kinds, Kind{Name: k.name, Form: k.form(), Axes: slices.Clone(k.axes), Doc: k.doc})
	}
	return kinds
}

func (k *gateKind) form() string {
	if len(k.params) == 0 {
		return k.name
	}
	return k.name + "(" + strings.Join(k.params, ",") + ")"
}

// parseGate reads a gate such as batch(8,1ms) that is to stand at an axis.
func parseGate(axis, text string) (raft.Gate, error) {
	name, args, err := splitCall(text)
	if err != nil {
		return nil, err
	}
	var allowed, forms []string
	for _, k := range gates {
		if slices.Contains(k.axes, axis) {
			allowed, forms = append(allowed, k.name), append(forms, k.form())
		}
	}
	i := slices.IndexFunc(gates, func(k gateKind) bool { return k.name == name })
	if i < 0 {
		return nil, errors.New(nearest.Unknown("gate", name, allowed))
	}
	k := &gates[i]
	if !slices.Contains(k.axes, axis) {
		return nil, fmt.Errorf("gate %s is for %s only; %s takes %s", k.name, strings.Join(k.axes, " and "), axis, strings.Join(forms, ", "))
	}
	if len(args) != len(k.params) || strings.Contains(text, "(") != (len(k.params) > 0) {
		return nil, fmt.Errorf("gate %s is written %s", nearest.Quote(text), k.form())
	}
	g, err := k.build(args)
	if err != nil {
		return nil, fmt.Errorf("gate %s: %w", nearest.Quote(text), err)
	}
	return g, nil
}

// splitCall takes name(a,b) apart.
func splitCall(text string) (name string, args []string, err error) {
	name, inner, called := strings.Cut(text, "(")
	if !called {
		return text, nil, nil
	}
	inner, closed := strings.CutSuffix(inner, ")")
	if !closed {
		return "", nil, fmt.Errorf("gate %s has a parenthesis that is not the last character closing it", nearest.Quote(text))
	}
	for arg := range strings.SplitSeq(inner, ",") {
		args = append(args, strings.TrimSpace(arg))
	}
	return strings.TrimSpace(name), args, nil
}

// just builds a gate that takes no arguments.
func just(g raft.Gate) func([]string) (raft.Gate, error) {
	return func([]string) (raft.Gate, error) { return g, nil }
}

// parseCount reads a gate's argument that is a whole number from 1 to most.
func parseCount(param, text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s is %s, want a whole number from 1 to %d", param, nearest.Quote(text), most)
	}
	return n, nil
}

// The periods that gates take. Shorter ones are below what a driver's timers tell apart; longer ones would outlive
// any election timeout.
const (
	minPeriod = time.Microsecond
	maxPeriod = time.Minute
)

// parsePeriod reads a gate's argument that is a duration.
func parsePeriod(param, text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < minPeriod || d > maxPeriod {
		return 0, fmt.Errorf("%s is %s, want a duration with its unit from 1µs to 1m, such as 10ms", param, nearest.Quote(text))
	}
	return d, nil
}

// printPeriod writes a duration without the zeros of time.Duration.String: 1m, not 1m0s.
func printPeriod(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
