// Package probe finds out what a folder stands on: the file system, its device, and what a sync costs there. That cost
// is the floor beneath every durable figure.
//
// It does not test whether a disk keeps its word: one that confirms a sync and then loses it looks like a fast one.
package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// blockBytes is what is written before each sync.
const blockBytes = 4 << 10

// implausible is below what any disk needs that has something to do, also one whose cache is backed by a battery.
const implausible = 5 * time.Microsecond

// Result describes a folder. What cannot be found out on a system is "".
type Result struct {
	Path       string
	FileSystem string // "ext4"
	Device     string // "/dev/vda"
	Mount      string // where it is mounted
	Options    string // of the mount and its file system, with commas
	// Sync is the median time of writing 4 KiB in allocated space and syncing them, as a write-ahead log does it.
	Sync time.Duration
	// Warning is one line if syncs do not seem to reach a disk, or "".
	Warning string
}

// Run probes a folder, which must exist, with so many syncs, at least one. It writes a file there and removes it.
func Run(path string, syncs int) (Result, error) {
	if syncs < 1 {
		return Result{}, fmt.Errorf("probe: %d syncs, want 1 or more", syncs)
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return Result{}, fmt.Errorf("probe: %w", err)
	}
	r := Result{Path: real}
	if err := r.findMount(); err != nil {
		return r, fmt.Errorf("probe: %w", err)
	}
	if r.Sync, err = median(real, syncs); err != nil {
		return r, fmt.Errorf("probe: %w", err)
	}
	r.Warning = r.warning()
	return r, nil
}

func median(path string, syncs int) (time.Duration, error) {
	f, err := os.CreateTemp(path, "probe")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	const blocks = 64
	block := make([]byte, blockBytes)
	for i := range block {
		block[i] = byte(i)
	}
	for i := range blocks {
		if _, err := f.WriteAt(block, int64(i)*blockBytes); err != nil {
			return 0, err
		}
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	took := make([]time.Duration, syncs)
	for i := range took {
		block[0]++ // what does not change need not be written
		started := time.Now()
		if _, err := f.WriteAt(block, int64(i%blocks)*blockBytes); err != nil {
			return 0, err
		}
		if err := syncData(f); err != nil {
			return 0, err
		}
		took[i] = time.Since(started)
	}
	slices.Sort(took)
	return took[syncs/2], nil
}

func (r *Result) warning() string {
	options := strings.Split(r.Options, ",")
	has := func(list ...string) bool {
		return slices.ContainsFunc(list, func(o string) bool { return slices.Contains(options, o) })
	}
	switch {
	case r.FileSystem == "tmpfs" || r.FileSystem == "ramfs":
		return fmt.Sprintf("%s is on %s, where a sync does nothing: these figures are of memory", r.Path, r.FileSystem)
	case r.FileSystem == "overlay" && has("volatile"):
		return fmt.Sprintf("%s is on a volatile overlay, where a sync does nothing: give another folder", r.Path)
	case has("nobarrier", "barrier=0"):
		return fmt.Sprintf("%s is mounted without barriers: a sync does not wait for the disk's own cache", r.Path)
	case r.Sync < implausible:
		return fmt.Sprintf("a sync in %s takes %v: it cannot have reached a disk", r.Path, r.Sync)
	}
	return ""
}

// findIn looks for the mount that a path is on in the text of /proc/self/mountinfo (man 5 proc): the longest mount
// point that the path is in, and of those that hide each other the last.
func (r *Result) findIn(mountinfo string) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		head, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(head) < 6 || len(tail) < 3 {
			continue
		}
		mount := unescape(head[4])
		if len(mount) >= len(r.Mount) && (mount == "/" || r.Path == mount || strings.HasPrefix(r.Path, mount+"/")) {
			r.Mount, r.FileSystem, r.Device, r.Options = mount, tail[0], unescape(tail[1]), head[5]+","+tail[2]
		}
	}
}

// unescape undoes what mountinfo does to space, tab, newline and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
