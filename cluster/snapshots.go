package cluster

import (
	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// snapshots are those of one member: the newest, which its core may send; those on their way to others; one that is being
// received, and one that is being taken.
type snapshots struct {
	shell     *Shell
	newest    *openSnapshot // what the core knows as its newest; nil if there is none
	sending   map[raft.ID]*openSnapshot
	receiving storage.SnapshotWriter // nil if none is
	abandoned bool
	buffer    []byte
}

// openSnapshot is a snapshot that can be read as long as somebody uses it.
type openSnapshot struct {
	storage.SnapshotReader
	users int
}

func (o *openSnapshot) release() {
	if o == nil {
		return
	}
	if o.users--; o.users == 0 {
		o.Close()
	}
}

// take writes a snapshot of the state as it is now, elsewhere, and tells the core once it is durable.
func (s *snapshots) take(of raft.Snapshot) {
	view := s.shell.machine.Snapshot()
	w, err := s.shell.storage.CreateSnapshot(of.Index, of.Term)
	if err != nil {
		view.Close()
		s.shell.host.Fail(err)
		return
	}
	s.commit(w, func() error { _, err := view.WriteTo(w); return err }, view.Close)
}

// receive writes a part of a snapshot that a leader sends.
func (s *snapshots) receive(c *raft.Chunk) {
	if c.Offset == 0 {
		if s.receiving != nil {
			s.receiving.Abort()
		}
		w, err := s.shell.storage.CreateSnapshot(c.Index, c.Term)
		if err != nil {
			s.shell.host.Fail(err)
			return
		}
		s.receiving = w
	}
	if _, err := s.receiving.Write(c.Data); err != nil {
		s.shell.host.Fail(err)
		return
	}
	if c.Last() {
		w := s.receiving
		s.receiving = nil
		s.commit(w, func() error { return nil }, func() {})
	}
}

// commit finishes a snapshot in the background: it may take as long as the disk does. after runs when that is over, on the
// member's goroutine.
func (s *snapshots) commit(w storage.SnapshotWriter, write func() error, after func()) {
	var reader storage.SnapshotReader
	var err error
	s.shell.host.Background(func() {
		if err = write(); err == nil {
			err = w.Commit()
		}
		if err != nil {
			w.Abort()
			return
		}
		reader, err = s.shell.storage.OpenSnapshot()
	}, func(now raft.Time) {
		after()
		switch {
		case err != nil:
			if !s.abandoned {
				s.shell.host.Fail(err)
			}
		case s.abandoned:
			if reader != nil {
				reader.Close()
			}
		default:
			s.committed(now, reader)
		}
	})
}

// committed tells the core of the newest snapshot: the one that was committed, or a later one.
func (s *snapshots) committed(now raft.Time, reader storage.SnapshotReader) {
	is := reader.Snapshot()
	if s.newest != nil && s.newest.Snapshot().Index >= is.Index {
		reader.Close()
	} else {
		s.newest.release()
		s.newest = &openSnapshot{SnapshotReader: reader, users: 1}
	}
	s.shell.core.SnapshotSaved(now, raft.Snapshot{Index: is.Index, Term: is.Term, Bytes: uint64(is.Size)})
}

// read returns the part of a snapshot that a frame carries, in memory that the next call uses again. A transfer begins with
// the newest snapshot, which then stays open until the core has done with it. False means that it cannot be read: the
// storage says so itself, and the replica stops.
func (s *snapshots) read(f *Frame) ([]byte, bool) {
	from := s.sending[f.To]
	if from == nil || from.Snapshot().Index != f.Snapshot.Index {
		if s.newest == nil || s.newest.Snapshot().Index != f.Snapshot.Index {
			return nil, false
		}
		from.release()
		from = s.newest
		from.users++
		s.sending[f.To] = from
	}
	if cap(s.buffer) < f.ChunkBytes {
		s.buffer = make([]byte, f.ChunkBytes)
	}
	chunk := s.buffer[:f.ChunkBytes]
	if _, err := from.ReadAt(chunk, int64(f.Offset)); err != nil {
		s.shell.host.Fail(err)
		return nil, false
	}
	return chunk, true
}

// tidy releases snapshots that are no longer sent.
func (s *snapshots) tidy() {
	for to, from := range s.sending {
		if s.shell.core.Sending(to) != from.Snapshot().Index {
			from.release()
			delete(s.sending, to)
		}
	}
}

func (s *snapshots) abandon() {
	s.abandoned = true
	if s.receiving != nil {
		s.receiving.Abort()
		s.receiving = nil
	}
	s.newest.release()
	for _, from := range s.sending {
		from.release()
	}
	s.newest, s.sending = nil, nil
}
