package transports

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

// randomMessage returns a message as a core could make it.
func randomMessage(r *rand.Rand) raft.Message {
	number := func() uint64 { return r.Uint64() >> r.UintN(64) }
	m := raft.Message{Type: raft.MessageType(1 + r.UintN(6)), Term: number(), Seq: number()}
	switch m.Type {
	case raft.AppendEntries:
		m.PrevLogIndex, m.PrevLogTerm, m.Commit = r.Uint64N(math.MaxUint64-100), number(), number()
		m.Entries.First = m.PrevLogIndex + 1
		term := uint64(r.UintN(5))
		for range r.UintN(10) {
			term += uint64(r.UintN(2))
			m.Entries.Append(term, make([]byte, r.UintN(300)))
		}
	case raft.AppendEntriesReply:
		m.Success = r.UintN(2) == 0
		m.PrevLogIndex, m.Commit, m.Match = number(), number(), number()
		m.XTerm, m.XIndex, m.XLen, m.HintIndex, m.HintTerm = number(), number(), number(), number(), number()
	case raft.RequestVote:
		m.PreVote = r.UintN(2) == 0
		m.LastLogIndex, m.LastLogTerm = number(), number()
	case raft.RequestVoteReply:
		m.PreVote, m.VoteGranted = r.UintN(2) == 0, r.UintN(2) == 0
	case raft.InstallSnapshot, raft.InstallSnapshotReply:
		m.Snapshot, m.Offset = raft.Snapshot{Index: number(), Term: number(), Bytes: number()}, number()
		if m.Type == raft.InstallSnapshotReply {
			m.Success, m.Match = r.UintN(2) == 0, number()
		} else {
			m.ChunkBytes = r.IntN(300)
			m.Chunk = make([]byte, m.ChunkBytes)
		}
	}
	return m
}

func encode(m *raft.Message) []byte {
	return slices.Concat(AppendMessage(nil, m), slices.Concat(AppendBody(nil, m)...))
}

func TestMessagesSurviveTheRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		m := randomMessage(r)
		frame := encode(&m)
		got := raft.Message{Type: 99, From: 99, XLen: 99, Entries: raft.Entries{Count: 99}} // all of it is overwritten
		if err := DecodeMessage(frame, &got); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if len(got.Entries.Bytes) == 0 && len(m.Entries.Bytes) == 0 {
			got.Entries.Bytes = m.Entries.Bytes // nil or empty
		}
		if !reflect.DeepEqual(m, got) {
			t.Fatalf("sent %+v\n got %+v", m, got)
		}
		if EncodedSize(&m) != framePrefix+len(frame) {
			t.Fatalf("EncodedSize is %d, want %d: %+v", EncodedSize(&m), framePrefix+len(frame), m)
		}
		for cut := range len(frame) {
			if err := DecodeMessage(frame[:cut], &got); !errors.Is(err, ErrMalformed) {
				t.Fatalf("the first %d of %d bytes: error %v, want ErrMalformed", cut, len(frame), err)
			}
		}
		if err := DecodeMessage(append(frame, 0), &got); !errors.Is(err, ErrMalformed) {
			t.Fatalf("one byte more: error %v, want ErrMalformed", err)
		}
	}
}

func TestEveryFieldOfAMessageTravels(t *testing.T) {
	fields := reflect.TypeFor[raft.Message]()
	travels := map[string]bool{"From": true, "To": true} // by the connection
	for kind := raft.AppendEntries; kind <= raft.InstallSnapshotReply; kind++ {
		plain := raft.Message{Type: kind, Entries: raft.Entries{First: 1}}
		for i := range fields.NumField() {
			changed := plain
			switch f := reflect.ValueOf(&changed).Elem().Field(i); fields.Field(i).Name {
			case "Type":
				changed.Type = kind%6 + 1
			case "Entries":
				changed.Entries.Append(3, []byte("x"))
			case "More":
				more := raft.Entries{First: 1}
				more.Append(3, []byte("x"))
				changed.More = []raft.Entries{more}
			case "Snapshot":
				changed.Snapshot = raft.Snapshot{Index: 5, Term: 4, Bytes: 3}
			case "Chunk":
				changed.Chunk = []byte("x")
			default:
				switch f.Kind() {
				case reflect.Bool:
					f.SetBool(true)
				case reflect.Int:
					f.SetInt(5)
				default:
					f.SetUint(5)
				}
			}
			if !bytes.Equal(encode(&changed), encode(&plain)) {
				travels[fields.Field(i).Name] = true
			}
		}
	}
	for i := range fields.NumField() {
		if name := fields.Field(i).Name; !travels[name] {
			t.Errorf("Message.%s is not encoded for any type", name)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	appendEntries := func(prev uint64, count uint32, entries ...byte) []byte {
		b := AppendMessage(nil, &raft.Message{Type: raft.AppendEntries, PrevLogIndex: prev})
		binary.LittleEndian.PutUint32(b[appendEntriesHead-4:], count)
		return append(b, entries...)
	}
	falling := raft.Entries{}
	falling.Append(2, nil)
	falling.Append(1, nil)
	vote := encode(&raft.Message{Type: raft.RequestVote})
	vote[1] = flagVoteGranted
	for name, frame := range map[string][]byte{
		"an empty frame":               {},
		"type 0":                       make([]byte, requestVoteSize),
		"type 7":                       append([]byte{7}, make([]byte, 100)...),
		"a chunk that is cut off":      encode(&raft.Message{Type: raft.InstallSnapshot, ChunkBytes: 9, Chunk: make([]byte, 8)}),
		"flags of another type":        vote,
		"a count without entries":      appendEntries(0, 1),
		"a huge count":                 appendEntries(0, math.MaxUint32),
		"entries without a count":      appendEntries(0, 0, make([]byte, raft.EntryOverhead)...),
		"terms that fall":              appendEntries(0, 2, falling.Bytes...),
		"an entry that is cut off":     appendEntries(0, 1, make([]byte, raft.EntryOverhead-1)...),
		"no index left for an entry":   appendEntries(math.MaxUint64-1, 1, make([]byte, raft.EntryOverhead)...),
		"no index left after the last": appendEntries(math.MaxUint64, 0),
	} {
		var m raft.Message
		if err := DecodeMessage(frame, &m); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		} else if bytes.ContainsRune([]byte(err.Error()), '\n') {
			t.Errorf("%s: error of several lines: %q", name, err)
		}
	}
}

func TestClassOf(t *testing.T) {
	entries := raft.Entries{First: 1}
	entries.Append(1, nil)
	for _, c := range []struct {
		m    raft.Message
		want Class
	}{
		{raft.Message{Type: raft.AppendEntries}, ClassHeartbeat},
		{raft.Message{Type: raft.AppendEntries, Entries: entries}, ClassAppend},
		{raft.Message{Type: raft.AppendEntriesReply, Success: true, PrevLogIndex: 4, Match: 4}, ClassHeartbeat},
		{raft.Message{Type: raft.AppendEntriesReply, Success: true, PrevLogIndex: 4, Match: 5}, ClassAppend},
		{raft.Message{Type: raft.AppendEntriesReply, PrevLogIndex: 4}, ClassAppend},
		{raft.Message{Type: raft.RequestVote}, ClassVote},
		{raft.Message{Type: raft.RequestVoteReply}, ClassVote},
	} {
		if got := ClassOf(&c.m); got != c.want {
			t.Errorf("%+v: class %d, want %d", c.m, got, c.want)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		m := randomMessage(r)
		f.Add(encode(&m))
	}
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, frame []byte) {
		var m raft.Message
		if err := DecodeMessage(frame, &m); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v does not wrap ErrMalformed", err)
			}
			return
		}
		if again := encode(&m); !bytes.Equal(again, frame) {
			t.Fatalf("decoded and encoded again\n%x became\n%x", frame, again)
		}
		n := 0
		for range m.Entries.All() {
			n++
		}
		if n != m.Entries.Count || EncodedSize(&m) != framePrefix+len(frame) || ClassOf(&m) >= Classes {
			t.Fatalf("%d entries, size %d, class %d: %+v", n, EncodedSize(&m), ClassOf(&m), m)
		}
	})
}

func benchmarkMessages() map[string]*raft.Message {
	one := &raft.Message{Type: raft.AppendEntries, Term: 3, Seq: 9, PrevLogIndex: 1000, PrevLogTerm: 3, Commit: 999, Entries: raft.Entries{First: 1001}}
	many := *one
	one.Entries.Append(3, make([]byte, 128))
	for range 100 {
		many.Entries.Append(3, make([]byte, 128))
	}
	return map[string]*raft.Message{
		"AppendEntries1": one, "AppendEntries100": &many,
		"AppendEntriesReply": {Type: raft.AppendEntriesReply, Term: 3, Success: true, Match: 1001},
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, m := range benchmarkMessages() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			head := make([]byte, 0, 128)
			for b.Loop() {
				head = AppendMessage(head[:0], m)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, m := range benchmarkMessages() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			frame := encode(m)
			var m raft.Message
			for b.Loop() {
				if err := DecodeMessage(frame, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestCodecAllocatesNothing(t *testing.T) {
	head := make([]byte, 0, 128)
	for name, m := range benchmarkMessages() {
		frame := encode(m)
		var got raft.Message
		if n := testing.AllocsPerRun(100, func() {
			head = AppendMessage(head[:0], m)
			if err := DecodeMessage(frame, &got); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}
