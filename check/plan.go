package check

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/raftbench/raftbench/cluster"
	"github.com/raftbench/raftbench/cluster/sim"
	"github.com/raftbench/raftbench/netem"
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/strategies"
)

// Plan is a run that a seed decided on: a group, what its network, disks and clocks are like, what goes wrong when, and
// what clients do. Two plays of one plan are the same, to the last event.
type Plan struct {
	Seed  uint64
	Group cluster.Config
	// Transport, Link, Disk and CPU are what holds while no fault changes it.
	Transport string
	Link      sim.Link
	Disk      sim.Disk
	CPU       time.Duration // for each message
	Faults    []Fault
	Clients   int
	Think     time.Duration // a client waits up to this long after each answer
	Patience  time.Duration // after which a client tries elsewhere, while its first attempt may still succeed
	MaxBytes  int           // of a command's padding
	Length    time.Duration // of the time in which faults happen
	// BrokenForGood are replicas that do not come back at the end: a minority.
	BrokenForGood []raft.ID
	Breakage      FaultKind // how
	scheduled     int       // faults that the seed drew, whichever of them Keep kept
}

// Fault is something that goes wrong for a while.
type Fault struct {
	Number  int           // its place in the seed's schedule, from 1 on: what Keep calls it
	At, For time.Duration // since the start
	Kind    FaultKind
	Who     []raft.ID // whom it concerns; 0 stands for whoever leads then
	Chance  float64   // of loss, duplication and reordering; of a tear
	Span    time.Duration
	PPM     int             // of a clock
	Cut     cluster.CutKind // of the links that a fault cuts: see cuts
}

// FaultKind tells faults apart.
type FaultKind string

// The kinds of faults.
const (
	SplitFault     FaultKind = "partition" // two sides that do not hear each other
	PartialFault   FaultKind = "partial"   // two replicas that do not hear each other, while others hear both
	OneWayFault    FaultKind = "one-way"   // a replica that is heard but does not hear, or the other way round
	BridgeFault    FaultKind = "bridge"    // two sides that only one replica connects
	CrashFault     FaultKind = "crash"     // with a restart after it
	TornFault      FaultKind = "torn"      // a crash that leaves a part of what was being written
	TransferFault  FaultKind = "transfer"  // a crash in the middle of sending a snapshot, of the one or of the other
	PauseFault     FaultKind = "pause"
	LossFault      FaultKind = "loss"
	DuplicateFault FaultKind = "duplicate"
	ReorderFault   FaultKind = "reorder"
	DelayFault     FaultKind = "delay"
	SlowDiskFault  FaultKind = "slow-disk"
	StallFault     FaultKind = "stalled-disk" // syncs that take as long as the fault
	SkewFault      FaultKind = "skew"         // a clock that goes faster or slower
	CampaignFault  FaultKind = "campaign"     // a replica stands for election out of turn
	LateFault      FaultKind = "late"         // frames that arrive terms later
	BurstFault     FaultKind = "burst"        // a replica that takes what gathers all at once
	RetryFault     FaultKind = "retry"        // a client asks again what may have been done: not in a schedule, counted only
)

// FaultKinds lists all kinds of faults.
func FaultKinds() []FaultKind {
	return []FaultKind{SplitFault, PartialFault, OneWayFault, BridgeFault, CrashFault, TornFault, TransferFault, PauseFault, LossFault,
		DuplicateFault, ReorderFault, DelayFault, SlowDiskFault, StallFault, SkewFault, CampaignFault, LateFault, BurstFault, RetryFault}
}

// cuts reports whether the fault cuts links.
func (k FaultKind) cuts() bool {
	return k == SplitFault || k == PartialFault || k == OneWayFault || k == BridgeFault
}

func (f Fault) String() string {
	s := fmt.Sprintf("%8v for %-8v %s", f.At.Round(time.Microsecond), f.For.Round(time.Microsecond), f.Kind)
	if f.Kind.cuts() {
		s = fmt.Sprintf("%8v for %-8v %v %s", f.At.Round(time.Microsecond), f.For.Round(time.Microsecond), f.Cut, f.Kind)
	}
	if len(f.Who) > 0 {
		var who []string
		for _, id := range f.Who {
			if id == 0 {
				who = append(who, "the leader")
			} else {
				who = append(who, fmt.Sprint(id))
			}
		}
		s += " of " + strings.Join(who, ",")
	}
	if f.Chance > 0 {
		s += fmt.Sprintf(" with a chance of %.2f", f.Chance)
	}
	if f.Span > 0 {
		s += fmt.Sprintf(" by %v", f.Span)
	}
	if f.PPM != 0 {
		s += fmt.Sprintf(" by %+d ppm", f.PPM)
	}
	return s
}

// Limits narrow what Draw may choose.
type Limits struct {
	Replicas int    // 0 for any
	Strategy string // empty for any
}

// Draw makes the plan of a seed. Errors are about the limits.
func Draw(seed uint64, limits Limits) (*Plan, error) {
	d := drawer{rand.New(rand.NewPCG(seed, 0x636865636b))}
	p := &Plan{Seed: seed}
	g := &p.Group
	g.Replicas = pick(d, 3, 3, 3, 5, 5, 5, 1, 2, 4, 7)
	if limits.Replicas > 0 {
		g.Replicas = limits.Replicas
	}
	text := d.strategy()
	if limits.Strategy != "" {
		text = limits.Strategy
	}
	s, err := strategies.Parse(text)
	if err != nil {
		return nil, err
	}
	g.Strategy = s
	g.Seed = d.Uint64()
	g.PreVote, g.CheckQuorum, g.NoOp = d.chance(0.5), d.chance(0.5), d.chance(0.7)
	if d.chance(0.3) {
		g.MaxAppendBytes, g.MaxInFlight = 64+d.IntN(512), 1+d.IntN(8)
	}

	p.Transport = pick(d, "datagram", "datagram", "datagram", "datagram", "mem", "quic", "tcp")
	p.Link = sim.Link{Delay: d.span(20*time.Microsecond, time.Millisecond)}
	if d.chance(0.5) {
		p.Link.Jitter = time.Duration(d.Float64() * float64(p.Link.Delay))
		p.Link.Distribution = pick(d, netem.Uniform, netem.Normal)
	}
	if d.chance(0.6) {
		p.Disk = sim.Disk{Write: d.span(0, 20*time.Microsecond), Sync: d.span(20*time.Microsecond, time.Millisecond)}
	}
	if d.chance(0.15) {
		p.CPU = d.span(time.Microsecond, 5*time.Microsecond)
	}
	// An election needs two round trips and two syncs, and time for a split vote not to be the rule.
	least := 60*(p.Link.Delay+p.Link.Jitter) + 40*p.Disk.Sync
	g.ElectionTimeout = max(least, 20*time.Millisecond) + d.span(0, 40*time.Millisecond)
	g.Heartbeat = g.ElectionTimeout / time.Duration(6+d.IntN(10))

	p.Length = time.Duration(10+d.IntN(30)) * g.ElectionTimeout
	p.Clients = 1 + d.IntN(6)
	p.Think = p.Length / time.Duration(50+d.IntN(150))
	if d.chance(0.2) { // so that logs are compacted under way, too
		p.Clients, p.Think = 6+d.IntN(6), p.Length/time.Duration(600+d.IntN(600))
	}
	p.Patience = g.ElectionTimeout * time.Duration(1+d.IntN(5))
	p.MaxBytes = pick(d, 0, 16, 100, 300)
	g.Boot = map[raft.ID]cluster.Boot{}
	if d.chance(0.4) {
		g.Boot = d.boot(g.Replicas)
	}
	// Most logs are kept in small pieces, so that their borders are crossed.
	small := d.chance(0.9)
	for id := raft.ID(1); id <= raft.ID(g.Replicas); id++ {
		b := g.Boot[id]
		b.SmallLog = small
		g.Boot[id] = b
	}
	d.faults(p)
	if p.Disk == (sim.Disk{}) && slices.ContainsFunc(p.Faults, func(f Fault) bool { return f.Kind == TornFault }) {
		p.Disk.Sync = d.span(20*time.Microsecond, g.ElectionTimeout/80) // or nothing is ever being written
	}
	if d.chance(0.2) {
		g.MaxUncommittedBytes, g.MaxHeld = 1+d.IntN(4096), g.Replicas+d.IntN(16)
	}
	if minority := (g.Replicas - 1) / 2; minority > 0 && d.chance(0.4) {
		for _, i := range d.Perm(g.Replicas)[:1+d.IntN(minority)] {
			p.BrokenForGood = append(p.BrokenForGood, raft.ID(i+1))
		}
		slices.Sort(p.BrokenForGood)
		p.Breakage = pick(d, CrashFault, SplitFault, PauseFault, StallFault)
		if g.PreVote && g.CheckQuorum && d.chance(0.4) {
			p.Breakage = OneWayFault // without both, whoever hears nobody deposes leaders for ever
		}
	}
	p.snapshots(limits.Strategy == "")
	p.corners()
	return p, nil
}

// drawer draws.
type drawer struct{ *rand.Rand }

func (d drawer) chance(p float64) bool { return d.Float64() < p }

func (d drawer) span(from, to time.Duration) time.Duration {
	return from + time.Duration(d.Int64N(int64(to-from)+1))
}

func pick[T any](d drawer, from ...T) T { return from[d.IntN(len(from))] }

// strategy draws a named strategy or any point of the space.
func (d drawer) strategy() string {
	if d.chance(0.4) {
		return pick(d, strategies.List()...).Name
	}
	var backups []string
	for _, k := range strategies.Backups() {
		backups = append(backups, k.Name)
	}
	text := pick(d, backups...)
	for _, axis := range strategies.Axes()[1:5] {
		if d.chance(0.4) {
			continue // the standard gate
		}
		var forms []string
		for _, k := range strategies.Gates() {
			if slices.Contains(k.Axes, axis) {
				forms = append(forms, k.Form)
			}
		}
		text += "," + axis + "=" + d.arguments(pick(d, forms...))
	}
	return text
}

// arguments fills in a gate's arguments by their names.
func (d drawer) arguments(form string) string {
	name, args, called := strings.Cut(strings.TrimSuffix(form, ")"), "(")
	if !called {
		return form
	}
	var values []string
	for arg := range strings.SplitSeq(args, ",") {
		switch arg {
		case "n":
			values = append(values, fmt.Sprint(1+d.IntN(12)))
		default:
			values = append(values, d.span(50*time.Microsecond, 2*time.Millisecond).Round(time.Microsecond).String())
		}
	}
	return name + "(" + strings.Join(values, ",") + ")"
}

// boot draws logs that earlier terms may have left behind: leaders were elected by quorums, appended entries, and some
// followers got some of them.
func (d drawer) boot(replicas int) map[raft.ID]cluster.Boot {
	logs := make([][]uint64, replicas)
	term := uint64(0)
	for range d.IntN(12) {
		term++
		leader := d.IntN(replicas)
		votes := 0
		for _, l := range logs {
			if !ahead(l, logs[leader]) {
				votes++
			}
		}
		if votes <= replicas/2 {
			continue // a term without a leader
		}
		for range 1 + d.IntN(pick(d, 3, 20, 60)) {
			logs[leader] = append(logs[leader], term)
		}
		for i := range logs {
			if i != leader && d.chance(0.3) {
				follow(&logs[i], logs[leader], 1+d.IntN(len(logs[leader])))
			}
		}
	}
	boot := map[raft.ID]cluster.Boot{}
	for i, l := range logs {
		b := cluster.Boot{Term: term}
		for index, t := range l {
			b.Entries = append(b.Entries, raft.Entry{Term: t, Data: fmt.Appendf(nil, "%d/%d", index+1, t)})
		}
		boot[raft.ID(i+1)] = b
	}
	return boot
}

// follow makes a follower's log take over what its leader has up to an index.
func follow(log *[]uint64, leader []uint64, upTo int) {
	for i := range upTo {
		if i < len(*log) && (*log)[i] == leader[i] {
			continue
		}
		*log = append((*log)[:i:i], leader[i:upTo]...)
		return
	}
}

// ahead reports whether log a is more up to date than b (paper, section 5.4.1).
func ahead(a, b []uint64) bool {
	last := func(l []uint64) uint64 {
		if len(l) == 0 {
			return 0
		}
		return l[len(l)-1]
	}
	return last(a) > last(b) || last(a) == last(b) && len(a) > len(b)
}

// faults draws the schedule: only some kinds, so that each is seen both alone and with others (swarm testing: Groce and
// others, 2012).
func (d drawer) faults(p *Plan) {
	var kinds []FaultKind
	for _, k := range FaultKinds() {
		if k != RetryFault && k != TransferFault && k != LateFault && k != BurstFault && d.chance(0.35) {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) == 0 {
		return
	}
	ids := d.Perm(p.Group.Replicas)
	for range 1 + d.IntN(16) {
		f := Fault{Kind: pick(d, kinds...), At: d.span(0, p.Length*9/10)}
		f.For = min(d.span(p.Group.Heartbeat, 6*p.Group.ElectionTimeout), p.Length-f.At)
		d.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		who := func(n int) {
			for _, i := range ids[:min(n, len(ids))] {
				f.Who = append(f.Who, raft.ID(i+1))
			}
			if d.chance(0.4) && n > 0 {
				f.Who[0] = 0
			}
		}
		switch f.Kind {
		case SplitFault:
			who(1 + d.IntN(max(1, p.Group.Replicas/2)))
		case PartialFault:
			who(2)
		case OneWayFault:
			who(1)
			f.PPM = 0
			f.Chance = float64(1+d.IntN(2)) / 2 // 1/2: it is not heard, 1: it does not hear
		case BridgeFault:
			who(p.Group.Replicas)
		case CrashFault, PauseFault, CampaignFault:
			who(1)
		case TornFault:
			who(1)
			f.Chance = 0.5 + d.Float64()/2
		case LossFault:
			f.Chance = d.Float64() * 0.5
			if p.Transport != "datagram" {
				f.Chance /= 10
			}
		case DuplicateFault, ReorderFault:
			f.Chance = d.Float64()
			f.Span = d.span(p.Link.Delay, 2*p.Group.Heartbeat)
		case DelayFault:
			f.Span = d.span(p.Link.Delay, p.Group.ElectionTimeout)
			if d.chance(0.5) {
				who(1 + d.IntN(2))
			}
		case SlowDiskFault:
			who(1 + d.IntN(p.Group.Replicas))
			f.Span = d.span(p.Link.Delay, p.Group.Heartbeat*2)
		case StallFault:
			who(1)
		case SkewFault:
			who(1 + d.IntN(2))
			f.PPM = pick(d, -300_000, -50_000, -1_000, 1_000, 50_000, 500_000)
		}
		p.Faults = append(p.Faults, f)
	}
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	cuts := drawer{rand.New(rand.NewPCG(p.Seed, 0x63757473))} // of their own, so that they leave the other draws alone
	for i := range p.Faults {
		p.Faults[i].Number = i + 1
		if p.Faults[i].Kind.cuts() {
			p.Faults[i].Cut = pick(cuts, cluster.SilentCut, cluster.ResetCut)
		}
	}
	p.scheduled = len(p.Faults)
}

// String describes the plan in some lines of 120 columns at the most, its faults with the numbers that Keep knows them by.
func (p *Plan) String() string {
	var b strings.Builder
	g := &p.Group
	fmt.Fprintf(&b, "%s, %s\n", several(g.Replicas, "replica"), strategies.String(g.Strategy))
	fmt.Fprintf(&b, "heartbeat %v, election timeout %v, pre-vote %s, check-quorum %s, no-op %s\n",
		short(g.Heartbeat), short(g.ElectionTimeout), onOff(g.PreVote), onOff(g.CheckQuorum), onOff(g.NoOp))
	fmt.Fprintf(&b, "%s links of %v", p.Transport, p.Link.Delay)
	if p.Link.Jitter > 0 {
		fmt.Fprintf(&b, " ± %v (%v)", p.Link.Jitter, p.Link.Distribution)
	}
	if p.Disk.Write > 0 || p.Disk.Sync > 0 {
		fmt.Fprintf(&b, ", disks that write in %v and sync in %v", p.Disk.Write, p.Disk.Sync)
	} else {
		b.WriteString(", disks that take no time")
	}
	if p.CPU > 0 {
		fmt.Fprintf(&b, ", %v of CPU a message", p.CPU)
	}
	inFlight, appendBytes := "as many as by default", "of the default size"
	if g.MaxInFlight > 0 {
		inFlight = fmt.Sprint(g.MaxInFlight)
	}
	if g.MaxAppendBytes > 0 {
		appendBytes = fmt.Sprintf("of at most %d bytes", g.MaxAppendBytes)
	}
	fmt.Fprintf(&b, "\nAppendEntries in flight: %s, %s\n", inFlight, appendBytes)
	if g.SnapshotEntries > 0 {
		fmt.Fprintf(&b, "a snapshot of %s when %d more entries are applied, %d kept before it\nchunks in flight: at most %d, of at most %d bytes\n",
			several(g.StateBytes/statePage, "page"), g.SnapshotEntries, g.SnapshotTrailing, g.MaxChunks, g.ChunkBytes)
		if g.MaxLagBytes > 0 {
			fmt.Fprintf(&b, "for a replica that is behind: at most %d bytes of log\n", g.MaxLagBytes)
		}
	}
	fmt.Fprintf(&b, "%s for %v, %d of %s not empty at the start", several(p.Clients, "client"), short(p.Length), filled(g.Boot), several(g.Replicas, "log"))
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "\n%4d %v", f.Number, f)
	}
	if len(p.BrokenForGood) > 0 {
		fmt.Fprintf(&b, "\n%4d at the end, for good: %v of %v", p.scheduled+1, p.Breakage, strings.Trim(fmt.Sprint(p.BrokenForGood), "[]"))
	}
	return b.String()
}

func short(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func filled(boot map[raft.ID]cluster.Boot) (n int) {
	for id := raft.ID(1); id <= raft.ID(len(boot)); id++ {
		if len(boot[id].Entries) > 0 {
			n++
		}
	}
	return n
}
