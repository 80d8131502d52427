package raft

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// modelLog is a log kept the plain way.
type modelLog struct {
	first    uint64
	prevTerm uint64
	entries  []Entry
}

func (l *modelLog) last() uint64 { return l.first + uint64(len(l.entries)) - 1 }

func (l *modelLog) term(i uint64) uint64 {
	if i == l.first-1 {
		return l.prevTerm
	}
	return l.entries[i-l.first].Term
}

// compare checks all that a Log answers against the model.
func (l *modelLog) compare(t *testing.T, log *Log) {
	t.Helper()
	if log.First() != l.first || log.Last() != l.last() || log.LastTerm() != l.term(l.last()) {
		t.Fatalf("log from %d to %d of term %d, want %d to %d of %d", log.First(), log.Last(), log.LastTerm(), l.first, l.last(),
			l.term(l.last()))
	}
	if l.first >= 2 {
		if _, ok := log.Term(l.first - 2); ok {
			t.Fatalf("it knows the term of entry %d, which was compacted away", l.first-2)
		}
	}
	if _, ok := log.Term(l.last() + 1); ok {
		t.Fatal("it knows the term of the entry after the last")
	}
	bytes := uint64(0)
	for i := l.first - 1; i <= l.last(); i++ {
		if term, ok := log.Term(i); !ok || term != l.term(i) {
			t.Fatalf("entry %d has term %d, %v; want %d", i, term, ok, l.term(i))
		}
		first := i
		for first >= l.first && l.term(first-1) == l.term(i) {
			first--
		}
		if got := log.FirstOfTermAt(i); got != first {
			t.Fatalf("entry %d's term begins at %d, want %d", i, got, first)
		}
		if i < l.first {
			continue
		}
		want := l.entries[i-l.first]
		if got := log.Entry(i); got.Index != i || got.Term != want.Term || string(got.Data) != string(want.Data) {
			t.Fatalf("entry %d is %v, want %v", i, got, want)
		}
		bytes += uint64(EntryOverhead + len(want.Data))
		if got := log.offset(i+1) - log.offset(l.first); got != bytes {
			t.Fatalf("%d bytes up to entry %d, want %d", got, i, bytes)
		}
	}
}

// runs checks that of the entries from lo on as many come as a limit of so many bytes of data allows, in the pieces that
// they lie in.
func (l *modelLog) runs(t *testing.T, log *Log, lo uint64, limit int) {
	t.Helper()
	next := lo
	for _, e := range log.AppendRuns(nil, lo, l.last(), limit) {
		if err := e.Validate(); err != nil || e.First != next || e.Count < 1 || next > lo && log.Slice(next-1, l.last()).Count > 1 {
			t.Fatalf("runs from %d of at most %d bytes: %d entries from %d, want from %d; %v", lo, limit, e.Count, e.First, next, err)
		}
		for entry := range e.All() {
			if want := l.entries[entry.Index-l.first]; string(entry.Data) != string(want.Data) || entry.Term != want.Term {
				t.Fatalf("entry %d of a run is %v, want %v", entry.Index, entry, want)
			}
			next++
		}
	}
	if next == lo || next-lo > 1 && !l.fits(lo, next-1, limit) || next <= l.last() && l.fits(lo, next, limit) {
		t.Fatalf("runs from %d of at most %d bytes end at %d, the log at %d", lo, limit, next-1, l.last())
	}
}

// fits reports whether the entries from lo up to hi are within a limit of so many bytes.
func (l *modelLog) fits(lo, hi uint64, limit int) bool {
	data := 0
	for i := lo; i <= hi; i++ {
		data += len(l.entries[i-l.first].Data)
	}
	return data <= limit && int(hi-lo+1)*EntryOverhead <= limit
}

// search checks the searches by term of a log whose terms do not fall.
func (l *modelLog) search(t *testing.T, log *Log, term uint64) {
	t.Helper()
	last, ok := uint64(0), false
	for i := l.first - 1; i <= l.last(); i++ {
		if l.term(i) == term {
			last, ok = i, true
		}
	}
	if got, gotOK := log.LastOfTerm(term); gotOK != ok || got != last {
		t.Fatalf("term %d ends at %d, %v; want %d, %v", term, got, gotOK, last, ok)
	}
	for _, from := range []uint64{0, l.first - 1, (l.first + l.last()) / 2, l.last(), l.last() + 5} {
		want := max(min(from, l.last()), l.first-1)
		for want > l.first-1 && l.term(want) > term {
			want--
		}
		if got, gotTerm := log.LastUpTo(from, term); got != want || gotTerm != l.term(want) {
			t.Fatalf("the last entry up to %d of term %d or less is %d of term %d, want %d", from, term, got, gotTerm, want)
		}
	}
}

// FuzzLog plays operations on a Log and on a plain model of it. An operation is two bytes.
func FuzzLog(f *testing.F) {
	f.Add([]byte{64, 0, 5, 0, 6, 1, 7, 2, 7, 3, 4, 1, 9})
	f.Add(bytes.Repeat([]byte{0, 9, 1, 50, 2, 3, 3, 2}, 20))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) >= 1 && len(ops) <= 200 {
			playLog(t, ops)
		}
	})
}

// TestLogAgainstModel plays random ones.
func TestLogAgainstModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		ops := make([]byte, 1+random.IntN(100))
		for i := range ops {
			ops[i] = byte(random.Uint32())
			if i%2 == 0 {
				ops[i] %= 32 // few entries between two places to truncate or compact at
			}
		}
		playLog(t, ops)
	}
}

func playLog(t *testing.T, ops []byte) {
	unit := int(ops[0]) + 1
	model := &modelLog{first: 1}
	log := newLog(1, 0, unit)
	term := uint64(1)
	for ops = ops[1:]; len(ops) >= 2; ops = ops[2:] {
		arg := uint64(ops[1])
		switch ops[0] % 6 {
		case 0: // one entry
			data := bytes.Repeat([]byte{ops[1]}, int(arg)%50)
			log.Append(term, data)
			model.entries = append(model.entries, Entry{Index: model.last() + 1, Term: term, Data: data})
		case 1: // a run of entries
			run := Entries{First: model.last() + 1}
			for i := range arg % 20 {
				data := bytes.Repeat([]byte{byte(i)}, int(arg))
				run.Append(term, data)
				model.entries = append(model.entries, Entry{Index: model.last() + 1, Term: term, Data: data})
			}
			log.AppendEntries(run)
		case 2:
			term += arg % 3
		case 3:
			if i := model.first + arg; i <= model.last()+1 {
				log.TruncateFrom(i)
				model.entries = model.entries[:i-model.first]
			}
		case 4:
			if i := model.first - 1 + arg%16; i <= model.last() {
				log.Compact(i)
				model.prevTerm = model.term(i)
				model.entries = model.entries[i+1-model.first:]
				model.first = i + 1
			}
		case 5: // a slice within limits
			if model.last() < model.first {
				break
			}
			lo := model.first + arg%uint64(len(model.entries))
			model.runs(t, log, lo, unit)
		}
		model.search(t, log, arg%8)
		model.search(t, log, term)
	}
	model.compare(t, log)
	model.compare(t, log.clone())
}

// FuzzEntries: whatever Validate accepts is exactly what Append makes, and reading it never fails.
func FuzzEntries(f *testing.F) {
	var e Entries
	f.Add(0, e.Bytes)
	e.Append(1, []byte("a"))
	e.Append(7, nil)
	f.Add(2, e.Bytes)
	f.Add(3, e.Bytes)
	f.Add(-1, []byte{})
	f.Fuzz(func(t *testing.T, count int, b []byte) {
		e := Entries{First: 5, Count: count, Bytes: b}
		if err := e.Validate(); err != nil {
			if !errors.Is(err, ErrMalformedEntries) {
				t.Fatalf("%v is no ErrMalformedEntries", err)
			}
			return
		}
		again := Entries{First: 5}
		next := uint64(5)
		for entry := range e.All() {
			if entry.Index != next {
				t.Fatalf("index %d, want %d", entry.Index, next)
			}
			next++
			again.Append(entry.Term, entry.Data)
		}
		if again.Count != count || !bytes.Equal(again.Bytes, b) || next != e.Last()+1 {
			t.Fatalf("%d entries in %x, read and written again %d in %x", count, b, again.Count, again.Bytes)
		}
		l := newLog(5, 0, 64)
		l.AppendEntries(e)
		if l.Last() != e.Last() {
			t.Fatalf("a log of them ends at %d, want %d", l.Last(), e.Last())
		}
	})
}

func TestEntriesMalformed(t *testing.T) {
	var e Entries
	e.Append(2, []byte("two"))
	e.Append(3, []byte("three"))
	falling := Entries{}
	falling.Append(3, nil)
	falling.Append(2, nil)
	for name, bad := range map[string]Entries{
		"negative count": {Count: -1},
		"cut off":        {Count: 2, Bytes: e.Bytes[:len(e.Bytes)-1]},
		"head cut off":   {Count: 1, Bytes: e.Bytes[:EntryOverhead-1]},
		"too many bytes": {Count: 1, Bytes: e.Bytes},
		"too few bytes":  {Count: 3, Bytes: e.Bytes},
		"falling terms":  falling,
		"length beyond":  {Count: 1, Bytes: slices.Repeat([]byte{0xff}, EntryOverhead)},
	} {
		if err := bad.Validate(); !errors.Is(err, ErrMalformedEntries) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
}

// TestLogGivesMemoryBack: a log that is appended to and compacted for ever stays small.
func TestLogGivesMemoryBack(t *testing.T) {
	l := newLog(1, 0, 1000)
	data := make([]byte, 88)
	for i := range uint64(10_000) {
		l.Append(1+i/100, data)
		if l.Last() > 50 {
			l.Compact(l.Last() - 50)
		}
	}
	if n := len(l.segments) + len(l.free); n > 10 {
		t.Errorf("50 entries of 100 bytes lie in %d segments of 1000 bytes", n)
	}
	if n := len(l.runs); n > 3 {
		t.Errorf("50 entries in %d runs of terms", n)
	}
}

// TestLogUsesLargeSegmentsAgain: entries larger than a segment have segments of their own, which are used again as well.
func TestLogUsesLargeSegmentsAgain(t *testing.T) {
	l := newLog(1, 0, 1<<10)
	large := make([]byte, 3<<10)
	round := func() {
		l.Append(1, large)
		l.Append(1, large[:10])
		l.Compact(l.Last())
	}
	for range 3 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n > 0 {
		t.Errorf("%.1f allocations for a large and a small entry once memory was given back, want none", n)
	}
	for _, s := range l.free {
		l.freed -= cap(s.buf)
	}
	if l.freed != 0 {
		t.Errorf("the count of free bytes is off by %d", l.freed)
	}
}

// TestLogSharesNothing: a node's log is its own.
func TestLogSharesNothing(t *testing.T) {
	saved := NewLog(1, 0)
	saved.Append(1, []byte("a"))
	c := saved.clone()
	saved.TruncateFrom(1)
	saved.Append(2, []byte("b"))
	if e := c.Entry(1); fmt.Sprint(e) != fmt.Sprint(Entry{1, 1, []byte("a")}) {
		t.Errorf("the copy holds %v", e)
	}
}
