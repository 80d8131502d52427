package transports

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/raftbench/raftbench/raft"
)

func member(self raft.ID) identity {
	return identity{cluster: 7_000_001, self: self, streams: 3, known: func(id raft.ID) bool { return id >= 1 && id <= 3 }}
}

// reply is what the accepting side does with a hello.
func reply(w io.Writer, id identity, g greeting, proven raft.ID, err error) error {
	if err == nil {
		return id.answer(w, g.from)
	}
	if id.tells(g, proven) {
		return refuse(w, err)
	}
	return nil
}

func TestHandshake(t *testing.T) {
	dialer, acceptor := member(1), member(2)
	otherCluster, otherStreams := dialer, dialer
	otherCluster.cluster, otherStreams.streams = 8, 1
	hello := func(id identity, to raft.ID) []byte {
		var b bytes.Buffer
		id.hello(&b, 0, to)
		return b.Bytes()
	}
	version := hello(dialer, 2)
	version[4]++
	for _, c := range []struct {
		name   string
		hello  []byte
		proven raft.ID
		refuse string // "": accept
		silent bool   // and it is told nothing
	}{
		{"a member", hello(dialer, 2), 0, "", false},
		{"a member with its certificate", hello(dialer, 2), 1, "", false},
		{"a member with another's certificate", hello(dialer, 2), 3, "certificate is replica 3's, not 1's", false},
		{"another cluster", hello(otherCluster, 2), 0, "of another cluster, 8", true},
		{"another cluster with a member's certificate", hello(otherCluster, 2), 1, "of another cluster, 8", false},
		{"another cluster with another certificate", hello(otherCluster, 2), 9, "of another cluster, 8", true},
		{"another kind", hello(otherStreams, 2), 0, "stream 0 of 1, want one of 3", false},
		{"another addressee", hello(dialer, 3), 0, "asks for replica 3, this is 2", false},
		{"an unknown replica", hello(member(9), 2), 0, "replica 9 is not a member", false},
		{"nobody", hello(member(0), 2), 0, "replica 0 is not a member", false},
		{"itself", hello(acceptor, 2), 0, "the lower ID dials", false},
		{"a higher ID", hello(member(3), 2), 0, "the lower ID dials", false},
		{"another version", version, 0, "protocol version 2, want 1", true},
	} {
		g, err := acceptor.readHello(bytes.NewReader(c.hello), c.proven)
		if c.refuse == "" {
			if err != nil || g.from != 1 {
				t.Errorf("%s: from %d, error %v", c.name, g.from, err)
			}
		} else if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.refuse) {
			t.Errorf("%s: error %v, want refusal with %q", c.name, err, c.refuse)
		}
		// What the dialer makes of the answer.
		var answer bytes.Buffer
		if werr := reply(&answer, acceptor, g, c.proven, err); werr != nil {
			t.Fatal(werr)
		}
		if err != nil && c.silent != (answer.Len() == 0) {
			t.Errorf("%s: it is told %q, want silence: %v", c.name, answer.Bytes(), c.silent)
		}
		if secret := binary.LittleEndian.AppendUint64(nil, acceptor.cluster); err != nil &&
			(bytes.Contains(answer.Bytes(), secret) || bytes.Contains(answer.Bytes(), []byte(fmt.Sprint(acceptor.cluster)))) {
			t.Errorf("%s: the refusal names the cluster: %q", c.name, answer.Bytes())
		}
		if c.silent {
			if rerr := dialer.readAnswer(&answer, 2, 0); !errors.Is(rerr, errUnanswered) {
				t.Errorf("%s: dialer: error %v, want %v", c.name, rerr, errUnanswered)
			}
			continue
		}
		answer.WriteString("frames")
		rerr := dialer.readAnswer(&answer, 2, 0)
		if c.refuse == "" {
			if rest, _ := io.ReadAll(&answer); rerr != nil || string(rest) != "frames" {
				t.Errorf("%s: dialer: error %v, %q left", c.name, rerr, rest)
			}
		} else if !errors.Is(rerr, ErrRefused) || !strings.Contains(rerr.Error(), c.refuse) || strings.Contains(rerr.Error(), "\n") {
			t.Errorf("%s: dialer: error %v, want one line with %q", c.name, rerr, c.refuse)
		}
	}
}

func TestDialerChecksTheAnswer(t *testing.T) {
	dialer := member(1)
	otherCluster := member(2)
	otherCluster.cluster = 8
	for _, c := range []struct {
		name   string
		answer identity
		to     raft.ID
		proven raft.ID
		refuse string
	}{
		{"another cluster", otherCluster, 1, 0, "cluster 8, want 7000001"},
		{"another replica", member(3), 1, 0, "replica 3 answered, want 2"},
		{"answer to another", member(2), 3, 0, "answered to 3, want 1"},
		{"another's certificate", member(2), 1, 3, "certificate is replica 3's, want 2's"},
	} {
		var b bytes.Buffer
		c.answer.answer(&b, c.to)
		if err := dialer.readAnswer(&b, 2, c.proven); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.refuse) {
			t.Errorf("%s: error %v, want refusal with %q", c.name, err, c.refuse)
		}
	}
	var b bytes.Buffer
	refuse(&b, errors.New(strings.Repeat("long", 100)))
	if err := dialer.readAnswer(&b, 2, 0); !errors.Is(err, ErrRefused) || b.Len() != 0 {
		t.Errorf("long reason: error %v, %d bytes left", err, b.Len())
	}
}

func FuzzHandshake(f *testing.F) {
	var hello, answer, refusal bytes.Buffer
	member(1).hello(&hello, 2, 2)
	member(2).answer(&answer, 1)
	refuse(&refusal, errors.New("no"))
	f.Add(hello.Bytes())
	f.Add(answer.Bytes())
	f.Add(refusal.Bytes())
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := member(2).readHello(bytes.NewReader(b), 0)
		if err == nil {
			var again bytes.Buffer
			id := member(g.from)
			id.hello(&again, int(g.a), 2)
			if g.from != 1 || g.a >= 3 || !bytes.HasPrefix(b, again.Bytes()) {
				t.Fatalf("accepted %x as %+v", b, g)
			}
		}
		if err := member(1).readAnswer(bytes.NewReader(b), 2, 0); err == nil && !bytes.HasPrefix(b, answer.Bytes()[:6]) {
			t.Fatalf("accepted %x as an answer", b)
		}
	})
}
