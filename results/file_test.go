package results

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample writes a small whole run and returns its folder.
func sample(t testing.TB) string {
	t.Helper()
	w, err := Create(t.TempDir(), "matrix", started)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.Header(Header{Job: "matrix", Started: started, Repeat: 2, Cells: []Cell{{ID: 0, Strategy: "fast-signal"}, {ID: 7, Strategy: "linear-loop"}}}))
	must(w.Trial(Trial{Cell: 7, Status: OK, Started: started, Latency: filled(t, 1, 2), Stages: map[string]*Histogram{StageSend: filled(t, 0, 1)},
		Counts: Counts{Proposed: 2, Committed: 2}, Window: Counts{Proposed: 2, Committed: 2}}))
	must(w.Warn("the clock stepped by 3 s"))
	must(w.Trial(Trial{Cell: 0, Status: Invalid, Reason: "the logs differ", Started: started}))
	must(w.Trial(Trial{Cell: 0, Repeat: 1, Status: Failed, Reason: "port in use", Started: started}))
	must(w.End(End{Finished: started.Add(time.Minute), Trials: 3}))
	must(w.Close())
	return w.Dir()
}

func content(t testing.TB, dir string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	dir := sample(t)
	if base := filepath.Base(dir); base != "20260301-120000-matrix" {
		t.Errorf("folder %s", base)
	}
	for _, path := range []string{dir, filepath.Join(dir, FileName)} {
		run, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if run.Header.Format != Format || len(run.Header.Cells) != 2 || len(run.Trials) != 3 || run.End == nil {
			t.Fatalf("%+v", run)
		}
		if !reflect.DeepEqual(run.Warnings, []string{"the clock stepped by 3 s"}) {
			t.Errorf("warnings %q", run.Warnings)
		}
		first := run.Trials[0]
		if first.Cell != 7 || first.Latency.Quantile(1) != 2 || first.Stages[StageSend].Min() != 0 {
			t.Errorf("first trial %+v", first)
		}
		if run.Trials[1].Reason != "the logs differ" || run.Trials[1].Latency != nil {
			t.Errorf("second trial %+v", run.Trials[1])
		}
	}
}

func TestFoldersDoNotCollide(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "a", "b")
	var dirs []string
	for range 3 {
		w, err := Create(parent, "../my tag/", started)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		dirs = append(dirs, filepath.Base(w.Dir()))
	}
	want := []string{"20260301-120000-my-tag", "20260301-120000-my-tag-2", "20260301-120000-my-tag-3"}
	if !reflect.DeepEqual(dirs, want) {
		t.Errorf("folders %q, want %q", dirs, want)
	}
}

func TestUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Create(file, "", started)
	if err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Create under a file: %v", err)
	}
}

func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	w := &Writer{file: full}
	defer w.Close()
	err = w.Warn("a")
	if err == nil || err.Error() != "writing /dev/full: no space left on device: what was written before can still be read" {
		t.Errorf("%v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	whole := string(content(t, sample(t)))
	header, rest, _ := strings.Cut(whole, "\n")
	trial, _, _ := strings.Cut(rest, "\n")
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":                   {"", ErrNotARun},
		"a text":                  {"hello\nworld\n", ErrNotARun},
		"zeros":                   {strings.Repeat("\x00", 100), ErrNotARun},
		"other JSON":              {"{\"a\":1}\n", ErrNotARun},
		"null":                    {"null\n", ErrNotARun},
		"half a header":           {header[:len(header)/2], ErrNotARun},
		"one endless line":        {strings.Repeat("x", maxLine+1), ErrNotARun},
		"another version":         {strings.Replace(whole, Format, "raftbench-run/999", 1), ErrVersion},
		"a cell twice":            {strings.Replace(whole, `"id":7`, `"id":0`, 1), ErrDamaged},
		"a foreign cell":          {strings.Replace(whole, `"cell":7`, `"cell":8`, 1), ErrDamaged},
		"a trial twice":           {header + "\n" + trial + "\n" + trial + "\n", ErrDamaged},
		"a trial too many":        {strings.Replace(whole, `"repeat":1`, `"repeat":2`, 1), ErrDamaged},
		"a negative trial":        {strings.Replace(whole, `"repeat":1`, `"repeat":-1`, 1), ErrDamaged},
		"an unknown status":       {strings.Replace(whole, `"status":"invalid"`, `"status":"fine"`, 1), ErrDamaged},
		"an unknown record":       {strings.Replace(whole, `"record":"warning"`, `"record":"remark"`, 1), ErrDamaged},
		"a second header":         {header + "\n" + header + "\n", ErrDamaged},
		"a broken line inside":    {header + "\n" + trial[:50] + "\n" + trial + "\n", ErrDamaged},
		"an empty line":           {header + "\n\n" + trial + "\n", ErrDamaged},
		"something after the end": {whole + trial + "\n", ErrDamaged},
		"a long line":             {header + "\n" + strings.Repeat(" ", maxLine+1), ErrDamaged},
		"a wrong type":            {strings.Replace(whole, `"cell":7`, `"cell":"7"`, 1), ErrDamaged},
		"a damaged histogram":     {strings.Replace(whole, `"hdr_v2":"HIST`, `"hdr_v2":"TSIH`, 1), ErrDamaged},
	} {
		run, err := read(strings.NewReader(c.text))
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "\n") || run != nil {
			t.Errorf("%s: run %v, error %v, want one line that wraps %v", name, run, err, c.want)
		}
	}
}

func TestReadRefusesPaths(t *testing.T) {
	empty := t.TempDir()
	if _, err := Read(empty); !errors.Is(err, ErrNotARun) || !strings.Contains(err.Error(), empty) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Read(filepath.Join(empty, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := Read(os.DevNull); !errors.Is(err, ErrNotARun) {
		t.Errorf("a device: %v", err)
	}
}

func TestEveryPrefixIsReadable(t *testing.T) {
	whole := content(t, sample(t))
	want, err := read(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	for n := bytes.IndexByte(whole, '\n'); n <= len(whole); n++ {
		got, err := read(bytes.NewReader(whole[:n]))
		if err != nil {
			t.Fatalf("the first %d of %d bytes: %v", n, len(whole), err)
		}
		if !reflect.DeepEqual(got.Header, want.Header) || !reflect.DeepEqual(got.Trials, want.Trials[:len(got.Trials):len(got.Trials)]) && len(got.Trials) > 0 {
			t.Fatalf("the first %d of %d bytes give other trials", n, len(whole))
		}
		cut := whole[n-1] != '\n' && (n == len(whole) || whole[n] != '\n')
		told := len(got.Warnings) > 0 && strings.Contains(got.Warnings[len(got.Warnings)-1], "breaks off")
		if cut != told {
			t.Fatalf("the first %d of %d bytes: cut off %v, but the warnings are %q", n, len(whole), cut, got.Warnings)
		}
	}
}

func TestMissingTrialsAreTold(t *testing.T) {
	lines := bytes.SplitAfter(content(t, sample(t)), []byte("\n"))
	run, err := read(bytes.NewReader(bytes.Join(append(lines[:1:1], lines[2:]...), nil)))
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Warnings) != 2 || !strings.Contains(run.Warnings[1], "names 3 trials, it holds 2") {
		t.Errorf("warnings %q", run.Warnings)
	}
}

func FuzzRead(f *testing.F) {
	whole := content(f, sample(f))
	f.Add(whole)
	f.Add(whole[:len(whole)*2/3])
	f.Add([]byte("{\"record\":\"header\",\"format\":\"" + Format + "\",\"repeat\":1,\"cells\":[{\"id\":1}]}\n{\"record\":\"trial\",\"cell\":1,\"status\":\"ok\"}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := read(bytes.NewReader(data))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			if !errors.Is(err, ErrNotARun) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrDamaged) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		// What was read can be written, and is then read the same.
		var again bytes.Buffer
		put := func(record any) {
			line, err := json.Marshal(record)
			if err != nil {
				t.Fatal(err)
			}
			again.Write(append(line, '\n'))
		}
		put(headerRecord{recordHeader, run.Header})
		for _, trial := range run.Trials {
			_ = trial.Check()
			put(trialRecord{recordTrial, trial})
		}
		back, err := read(&again)
		if err != nil || len(back.Trials) != len(run.Trials) {
			t.Errorf("read, written and read again: %v", err)
		}
	})
}

// What was written can be read back by its writer, even when its folder is gone.
func TestReadBackWithoutAFolder(t *testing.T) {
	w, err := Create(t.TempDir(), "gone", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	topology := &Topology{Name: "t", Regions: []string{"a", "b"}, RoundTripsMs: [][]float64{{0.5, 31}, {31, 0.5}}}
	write := errors.Join(w.Header(Header{Job: "matrix", Repeat: 2, Cells: []Cell{{ID: 3}}, Topology: topology}),
		w.Trial(Trial{Cell: 3, Repeat: 1, Status: OK, Leader: 2}), w.Warn("a warning"), w.End(End{Trials: 1}))
	if write != nil {
		t.Fatal(write)
	}
	if err := os.RemoveAll(w.Dir()); err != nil {
		t.Fatal(err)
	}
	run, err := w.ReadBack()
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Trials) != 1 || run.Trials[0].Leader != 2 || run.End == nil || len(run.Warnings) != 1 || !reflect.DeepEqual(run.Header.Topology, topology) {
		t.Errorf("%+v", run)
	}
	for replica, want := range map[int]string{0: "", 1: "a", 2: "b", 3: "a"} {
		if got := run.Header.Topology.Region(replica); got != want {
			t.Errorf("replica %d is in %q, want %q", replica, got, want)
		}
	}
	if got := (*Topology)(nil).Region(1); got != "" {
		t.Errorf("without a topology replica 1 is in %q", got)
	}
}
