// Package wal is a write-ahead log: term, vote, truncations and entries of one replica in one stream of records, in
// files of a fixed size that are allocated in advance, written by one goroutine.
//
// What gathers while a sync runs becomes one frame: one write and one fdatasync, acknowledged as one. A frame is
// written when the one before it is durable, never earlier. So after a crash at most the last frame is incomplete, and
// it was not acknowledged; a frame that is not as it should be, with a good one after it, is damage. Three things
// follow that this package cannot tell: whether the very last frame was torn by a crash or damaged afterwards (it is
// cut off either way, and State.TornBytes says so), whether a disk dropped the last frames as a whole, and whether
// somebody removed the newest files.
//
// It keeps no log in memory, compresses and encrypts nothing, does not use files again (compaction deletes whole ones),
// and sets no limit to what gathers: see group. On systems other than Linux files are synced with what there is, and
// without flock two processes may open one folder.
package wal
