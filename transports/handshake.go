package transports

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/raftbench/raftbench/raft"
)

// Each stream of a connection begins with a hello of the replica that dialled and the answer of the one that accepted,
// little endian, of fixed length but for the reason:
//
//	hello   magic "RAFB" | version u16 | stream u8 | streams u8 | cluster u64 | from u64 | to u64
//	answer  magic "RAFB" | version u16 | reason length u8 | 0 u8 | cluster u64 | from u64 | to u64 | reason
//
// An answer with a reason is a refusal; cluster, from and to are 0 in it. Both sides check all fields, so that neither two
// groups nor two replicas of one group can be mixed up by a wrong address.
//
// Whoever has shown neither a replica's certificate nor that it knows the cluster gets no answer at all, only the end of
// the connection: what the cluster is called is, without certificates, the only thing that a stranger lacks.
const (
	magic            = "RAFB"
	protocolVersion  = 1
	handshakeSize    = 4 + 2 + 1 + 1 + 3*8
	maxReasonBytes   = 255
	handshakeStreamB = 6 // offset of the first of the two bytes whose meaning differs
)

// ErrRefused is wrapped by every error which says that one side of a handshake does not want the other.
var ErrRefused = errors.New("connection refused by handshake")

// greeting is a hello or an answer without its reason.
type greeting struct {
	version  uint16
	a, b     uint8 // hello: stream, streams; answer: reason length, 0
	cluster  uint64
	from, to raft.ID
}

func appendGreeting(b []byte, g greeting) []byte {
	le := binary.LittleEndian
	b = append(b, magic...)
	b = le.AppendUint16(b, g.version)
	b = append(b, g.a, g.b)
	b = le.AppendUint64(b, g.cluster)
	b = le.AppendUint64(b, uint64(g.from))
	return le.AppendUint64(b, uint64(g.to))
}

// readGreeting reads exactly the bytes of a greeting, so that what follows stays in the stream. A stranger is known by
// the magic number alone, and no more of it is read.
func readGreeting(r io.Reader) (g greeting, err error) {
	var b [handshakeSize]byte
	if _, err := io.ReadFull(r, b[:len(magic)]); err != nil {
		return g, err
	}
	if string(b[:len(magic)]) != magic {
		return g, fmt.Errorf("%w: it begins with %q, want %q", ErrRefused, b[:len(magic)], magic)
	}
	if _, err := io.ReadFull(r, b[len(magic):]); err != nil {
		return g, err
	}
	le := binary.LittleEndian
	g = greeting{
		version: le.Uint16(b[4:]), a: b[handshakeStreamB], b: b[handshakeStreamB+1],
		cluster: le.Uint64(b[8:]), from: raft.ID(le.Uint64(b[16:])), to: raft.ID(le.Uint64(b[24:])),
	}
	if g.version != protocolVersion {
		return g, fmt.Errorf("%w: protocol version %d, want %d", ErrRefused, g.version, protocolVersion)
	}
	return g, nil
}

// identity is what an endpoint brings into a handshake.
type identity struct {
	cluster uint64
	self    raft.ID
	streams int
	known   func(raft.ID) bool // members of the group
}

// hello writes the dialer's half of the handshake of one stream.
func (id identity) hello(w io.Writer, stream int, to raft.ID) error {
	_, err := w.Write(appendGreeting(nil, greeting{
		version: protocolVersion, a: uint8(stream), b: uint8(id.streams), cluster: id.cluster, from: id.self, to: to,
	}))
	return err
}

// errUnanswered is wrapped by readAnswer's error if the connection ended where the answer should have begun.
var errUnanswered = errors.New("the connection ended without an answer")

// readAnswer reads and checks what the replica that was dialled answers. proven is the identity that a certificate
// has shown, 0 if the transport has none.
func (id identity) readAnswer(r io.Reader, to, proven raft.ID) error {
	g, err := readGreeting(r)
	if err == io.EOF {
		return errUnanswered
	}
	if err != nil {
		return err
	}
	if g.a > 0 {
		reason := make([]byte, g.a)
		if _, err := io.ReadFull(r, reason); err != nil {
			return err
		}
		return fmt.Errorf("%w: replica %d says: %s", ErrRefused, to, reason)
	}
	switch {
	case g.cluster != id.cluster:
		return fmt.Errorf("%w: cluster %d, want %d", ErrRefused, g.cluster, id.cluster)
	case g.from != to:
		return fmt.Errorf("%w: replica %d answered, want %d", ErrRefused, g.from, to)
	case g.to != id.self:
		return fmt.Errorf("%w: replica %d answered to %d, want %d", ErrRefused, g.from, g.to, id.self)
	case proven != 0 && proven != to:
		return fmt.Errorf("%w: the certificate is replica %d's, want %d's", ErrRefused, proven, to)
	}
	return nil
}

// readHello reads and checks the hello of a replica that dialled. The greeting is meaningful if the error is nil or
// wraps ErrRefused and its version is the right one.
func (id identity) readHello(r io.Reader, proven raft.ID) (greeting, error) {
	g, err := readGreeting(r)
	if err != nil {
		return g, err
	}
	switch {
	case g.cluster != id.cluster:
		err = fmt.Errorf("%w: it is of another cluster, %d", ErrRefused, g.cluster)
	case g.to != id.self:
		err = fmt.Errorf("%w: it asks for replica %d, this is %d", ErrRefused, g.to, id.self)
	case g.from == 0 || !id.known(g.from):
		err = fmt.Errorf("%w: replica %d is not a member", ErrRefused, g.from)
	case g.from >= id.self:
		err = fmt.Errorf("%w: replica %d must not dial %d, the lower ID dials", ErrRefused, g.from, id.self)
	case proven != 0 && proven != g.from:
		err = fmt.Errorf("%w: the certificate is replica %d's, not %d's", ErrRefused, proven, g.from)
	case int(g.b) != id.streams || g.a >= g.b:
		err = fmt.Errorf("%w: stream %d of %d, want one of %d", ErrRefused, g.a, g.b, id.streams)
	}
	return g, err
}

// tells reports whether whoever sent this hello may learn why it is refused.
func (id identity) tells(g greeting, proven raft.ID) bool {
	return g.version != 0 && (proven != 0 && id.known(proven) || g.version == protocolVersion && g.cluster == id.cluster)
}

// answer accepts the hello.
func (id identity) answer(w io.Writer, to raft.ID) error {
	_, err := w.Write(appendGreeting(nil, greeting{version: protocolVersion, cluster: id.cluster, from: id.self, to: to}))
	return err
}

// refuse refuses the hello for the given reason.
func refuse(w io.Writer, refusal error) error {
	reason := strings.TrimPrefix(refusal.Error(), ErrRefused.Error()+": ")
	reason = reason[:min(len(reason), maxReasonBytes)]
	_, err := w.Write(append(appendGreeting(nil, greeting{version: protocolVersion, a: uint8(len(reason))}), reason...))
	return err
}
