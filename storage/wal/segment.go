package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/raftbench/raftbench/raft"
	"github.com/raftbench/raftbench/storage"
)

// A segment is a file of a size that never changes: a header in a block of its own, frames, zeros. Little endian.
//
//	header: magic 8 bytes | version uint32 | 0 uint32 | group | replica | number | size | term | vote |
//	        base | baseTerm | last | lastTerm | prevEnd | prevSum | CRC-32C uint32
//	frame:  CRC-32C uint32 | 0 uint32 | offset uint64 | length uint64 | records
//
// A frame's CRC covers all after itself, and begins with the header's: a copy of a frame, inside an entry or from
// another file, is no frame, the less as it holds its own offset. Frames begin at multiples of 8. The header repeats
// what earlier segments amount to, so that the log can begin with any segment.
const (
	magic       = "rbwalseg"
	version     = 1
	headerBytes = 4096
	headerUsed  = 16 + 12*8 + 4
	frameHeader = 24

	suffix     = ".wal"
	unfinished = suffix + ".tmp"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is a segment's.
type header struct {
	number uint64
	size   int64 // of the file
	shape        // of the log before the first frame
	// Where the frames of the segment before end, and the CRC of the last of them (its header's if it has none): nothing
	// at its end can be missing.
	prevEnd int64
	prevSum uint32
}

// shape is what a log amounts to, without its entries.
type shape struct {
	term           uint64
	vote           raft.ID
	base, baseTerm uint64 // the entry before the first
	last, lastTerm uint64
}

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, suffix) }

// segmentNumber is the reverse of segmentName.
func segmentNumber(name string) (number uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0, false
	}
	_, err := fmt.Sscanf(digits, "%016x", &number)
	return number, err == nil && segmentName(number) == name
}

func (h *header) encode(o *storage.Options) []byte {
	b := append(make([]byte, 0, headerBytes), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, 0)
	for _, v := range [...]uint64{o.Group, uint64(o.Replica), h.number, uint64(h.size), h.term, uint64(h.vote),
		h.base, h.baseTerm, h.last, h.lastTerm, uint64(h.prevEnd), uint64(h.prevSum)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:headerBytes]
}

// sum returns what the CRCs of the frames below an encoded header begin with.
func sum(header []byte) uint32 { return binary.LittleEndian.Uint32(header[headerUsed-4:]) }

// decodeHeader reads the header of a file. Errors wrap those of package storage and name the file.
func decodeHeader(b []byte, file string, o *storage.Options) (h header, err error) {
	if len(b) < headerBytes || string(b[:8]) != magic {
		return h, damaged(file, 0, "it is not a segment of a log")
	}
	if err := storage.CheckFormat(file, uint64(binary.LittleEndian.Uint32(b[8:])), version); err != nil {
		return h, err
	}
	if crc32.Checksum(b[:headerUsed-4], castagnoli) != sum(b) {
		return h, damaged(file, 0, "the header's checksum is wrong")
	}
	for i, c := range b[headerUsed:headerBytes] {
		if c != 0 {
			return h, damaged(file, int64(headerUsed+i), "the header is followed by something")
		}
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[16+8*i:]) }
	h = header{number: word(2), size: int64(word(3)), prevEnd: int64(word(10)), prevSum: uint32(word(11)),
		shape: shape{word(4), raft.ID(word(5)), word(6), word(7), word(8), word(9)}}
	return h, o.Identity(file, word(0), raft.ID(word(1)))
}

func damaged(file string, offset int64, format string, args ...any) error {
	return fmt.Errorf("%w: %s at offset %d: %s", storage.ErrDamaged, file, offset, fmt.Sprintf(format, args...))
}

// seal writes the header of a frame into the room in front of its records.
func seal(frame []byte, seed uint32, offset int64) (crc uint32) {
	binary.LittleEndian.PutUint32(frame[4:], 0)
	binary.LittleEndian.PutUint64(frame[8:], uint64(offset))
	binary.LittleEndian.PutUint64(frame[16:], uint64(len(frame)-frameHeader))
	crc = crc32.Update(seed, castagnoli, frame[4:])
	binary.LittleEndian.PutUint32(frame, crc)
	return crc
}

// frameLength returns the length of the frame whose header is at offset in a segment of that size; ok is false if that
// is the header of none.
func frameLength(b []byte, offset, size int64) (n int64, ok bool) {
	length := binary.LittleEndian.Uint64(b[16:])
	ok = binary.LittleEndian.Uint64(b[8:]) == uint64(offset) &&
		length > 0 && length%8 == 0 && length <= uint64(size-offset-frameHeader)
	return frameHeader + int64(length), ok
}

// intact reports whether a whole frame is as it was written.
func intact(frame []byte, seed uint32) bool {
	return crc32.Update(seed, castagnoli, frame[4:]) == crcOf(frame)
}

// crcOf returns the CRC that a frame holds.
func crcOf(frame []byte) uint32 { return binary.LittleEndian.Uint32(frame) }
