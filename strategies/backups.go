package strategies

import (
	"errors"

	"github.com/raftbench/raftbench/internal/nearest"
	"github.com/raftbench/raftbench/raft"
)

// backupKind is a line in the table of backups.
type backupKind struct {
	backup raft.Backup // its String is its name
	doc    string
}

// backups is the table of all backups: a new one is a file with its type, and a line here. How many rejections each
// needs is counted after the first AppendEntries of a new leader, which probes its log's end; entries are those of the
// leader that the follower lacks.
var backups = []backupKind{
	{Linear{}, "One index back per rejection: as many rejections as entries."},
	{Fast{}, "The follower names the conflicting term, where it begins and how long its log is: at most one rejection per conflicting term of the follower, and one more."},
	{Hint{}, "Both sides skip by term, as etcd/raft: at most as many rejections as conflicting terms on the leader's side, or one more than on the follower's."},
	{Bisect{}, "Half the way to the last index known to agree: rejections grow with the logarithm of the log, and up to half of it is sent again."},
	{Exponential{}, "1, 2, 4, 8 ... indexes back: rejections grow with the logarithm of the entries, and fewer than twice as many are sent."},
	{SendAll{}, "The whole log after one rejection: the fewest rounds, the most bytes."},
}

// Backups describes all backups, for a list.
func Backups() []Kind {
	var kinds []Kind
	for _, name := range backupNames() {
		b := findBackup(name)
		kinds = append(kinds, Kind{Name: name, Form: name, Axes: []string{AxisBackup}, Doc: b.doc})
	}
	return kinds
}

func backupNames() []string {
	var names []string
	for _, k := range backups {
		names = append(names, k.backup.String())
	}
	return names
}

// findBackup returns the line of a name, nil if there is none.
func findBackup(name string) *backupKind {
	for i := range backups {
		if backups[i].backup.String() == name {
			return &backups[i]
		}
	}
	return nil
}

func parseBackup(text string) (raft.Backup, error) {
	if k := findBackup(text); k != nil {
		return k.backup, nil
	}
	return nil, errors.New(nearest.Unknown("backup", text, backupNames()))
}
