package quic

import (
	"context"
	"io"
	"testing"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/transports"
)

// BenchmarkFloor is a ping-pong over a bare stream, to hold BenchmarkPerClass against.
func BenchmarkFloor(b *testing.B) {
	n, err := SingleStream().Open()
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	listen := func(self raft.ID) *carrier {
		c, err := n.(*network).listen(transports.Config{Self: self, Listen: "127.0.0.1:0"})
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	from, to := listen(1), listen(2)
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 150)
	go func() {
		c, err := to.Accept(ctx)
		if err != nil {
			return
		}
		s, err := c.AcceptStream(ctx)
		if err == nil {
			io.Copy(s, s)
		}
	}()
	c, err := from.Dial(context.Background(), to.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	s, err := c.OpenStream(ctx)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Write(buf)
		if _, err := io.ReadFull(s, buf); err != nil {
			b.Fatal(err)
		}
	}
}
