package probe

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	r, err := Run(dir, 3)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sync <= 0 || runtime.GOOS == "linux" && (r.FileSystem == "" || r.Mount == "") {
		t.Errorf("%+v", r)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
	for _, run := range []func() error{
		func() error { _, err := Run(filepath.Join(dir, "none"), 1); return err },
		func() error { _, err := Run(dir, 0); return err },
	} {
		if err := run(); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("not one line: %v", err)
		}
	}
}

const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
30 22 0:26 / /dev/shm rw,nosuid shared:3 - tmpfs tmpfs rw,size=100k
31 22 0:27 / /data rw - overlay overlay rw,lowerdir=/a,volatile
32 22 0:28 / /data/my\040disk rw - ext4 /dev/my\134disk rw,nobarrier
33 22 0:29 / /data rw - xfs /dev/vdb rw
cut short
`

func TestFindMount(t *testing.T) {
	for path, want := range map[string][2]string{
		"/":                {"/", "ext4"},
		"/dev":             {"/", "ext4"},
		"/dev/shm/a":       {"/dev/shm", "tmpfs"},
		"/dev/shmem":       {"/", "ext4"},
		"/data":            {"/data", "xfs"}, // hides the overlay
		"/data/my disk/x":  {"/data/my disk", "ext4"},
		"/data/my disk 2":  {"/data", "xfs"},
		"/database/folder": {"/", "ext4"},
	} {
		r := Result{Path: path}
		r.findIn(mountinfo)
		if r.Mount != want[0] || r.FileSystem != want[1] {
			t.Errorf("%s is on %s at %s, want %s at %s", path, r.FileSystem, r.Mount, want[1], want[0])
		}
	}
	r := Result{Path: "/data/my disk"}
	if r.findIn(mountinfo); r.Device != `/dev/my\disk` || r.Options != "rw,rw,nobarrier" {
		t.Errorf("%+v", r)
	}
}

func TestWarning(t *testing.T) {
	for want, r := range map[string]Result{
		"":                  {FileSystem: "ext4", Options: "rw,barrier=1", Sync: implausible},
		"sync does nothing": {FileSystem: "tmpfs", Sync: time.Second},
		"volatile":          {FileSystem: "overlay", Options: "rw,volatile", Sync: time.Second},
		"without barriers":  {FileSystem: "ext4", Options: "rw,nobarrier", Sync: time.Second},
		"cannot have":       {FileSystem: "ext4", Options: "rw", Sync: implausible - 1},
	} {
		got := r.warning()
		if (got == "") != (want == "") || !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
	if got := (&Result{FileSystem: "overlay", Options: "rw", Sync: time.Second}).warning(); got != "" {
		t.Errorf("an overlay on a disk: %q", got)
	}
}
