package raft_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

// TestBursts: a follower that is asked what it wants once for many AppendEntries ends with the same log, and the same on
// its disk, as one that is asked after each; and whatever part of its saves is durable, what it has promised is there.
func TestBursts(t *testing.T) {
	for seed := range uint64(1000) {
		random := rand.New(rand.NewPCG(seed, 3))
		messages := leadersOf(random)
		one, many := newGroup(t, 3), newGroup(t, 3)
		many.replica(1).slow = true
		for i := range messages {
			one.node(1).Step(0, &messages[i])
			one.settle(1)
			many.node(1).Step(0, &messages[i])
			switch random.IntN(6) {
			case 0:
				many.settle(1)
			case 1:
				many.settle(1)
				many.finish(1, 1+random.IntN(2))
			case 2:
				if n := len(many.replica(1).writes); n > 0 { // between two inputs
					many.write(many.replica(1), 1+random.IntN(n))
				}
			}
		}
		many.settle(1)
		many.finish(1)
		want := fmt.Sprint(one.terms(1))
		if got, disk := fmt.Sprint(many.terms(1)), fmt.Sprint(termsOf(many.replica(1).disk.log)); got != want || disk != want {
			t.Fatalf("seed %d: after bursts the log is %s and the disk has %s, want %s", seed, got, disk, want)
		}
	}
}

// leadersOf returns AppendEntries of the leaders 2 and 3 of several terms to replica 1, whose logs part anywhere.
func leadersOf(random *rand.Rand) (messages []raft.Message) {
	var log []uint64
	for term := uint64(1); term <= uint64(2+random.IntN(6)); term++ {
		log = slices.Clone(log[:len(log)-random.IntN(len(log)+1)])
		for range 1 + random.IntN(5) {
			log = append(log, term)
		}
		for range 1 + random.IntN(3) {
			from := uint64(1 + random.IntN(len(log)))
			if random.IntN(2) == 0 {
				from = 1
			}
			l := raft.NewLog(1, 0)
			for i, t := range log {
				l.Append(t, fmt.Appendf(nil, "%d/%d", i+1, t))
			}
			m := raft.Message{Type: raft.AppendEntries, From: raft.ID(2 + term%2), To: 1, Term: term,
				Seq: uint64(len(messages) + 1), PrevLogIndex: from - 1, Entries: l.Slice(from, from+random.Uint64N(uint64(len(log))-from+1))}
			m.PrevLogTerm, _ = l.Term(from - 1)
			messages = append(messages, m)
		}
	}
	return messages
}

func termsOf(l *raft.Log) (terms []uint64) {
	for i := l.First(); i <= l.Last(); i++ {
		t, _ := l.Term(i)
		terms = append(terms, t)
	}
	return terms
}
