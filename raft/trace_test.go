package raft_test

import "github.com/raftbench/raftbench/raft"

func (g *group) traceOutput(id raft.ID, out *raft.Output) {}
