package results

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// FileName is the run file's name within a run's folder.
const FileName = "run.jsonl"

// maxLine bounds one record. A trial's is some 50 KB and a header's 500 B a cell, so this is beyond any real run.
const maxLine = 16 << 20

// What can be wrong with something that was given as a run; Read's errors wrap one of them, ErrDamaged, or an error of
// the file system.
var (
	ErrNotARun = errors.New("not a raftbench run")
	ErrVersion = errors.New("another version of the run file")
)

// The kinds of records. A run file is one header, then trials and warnings in any order, then at most one end.
const (
	recordHeader  = "header"
	recordTrial   = "trial"
	recordWarning = "warning"
	recordEnd     = "end"
)

type headerRecord struct {
	Record string `json:"record"`
	Header
}

type trialRecord struct {
	Record string `json:"record"`
	Trial
}

type warningRecord struct {
	Record string `json:"record"`
	Text   string `json:"text"`
}

type endRecord struct {
	Record string `json:"record"`
	End
}

// Writer appends the records of one run to its file. Each record is one line, handed to the file in one write and then
// synced, so that a crash leaves a prefix of whole records and at most one broken one, which Read tolerates. It is not
// for concurrent use. After an error the file is what it was, plus perhaps a broken last line.
type Writer struct {
	file *os.File
	dir  string
}

// Create makes the folder <parent>/<started>-<tag>, and <parent> if need be, and an empty run file in it. started is
// written in UTC to the second; where the folder exists already a number is put behind its name. Characters of tag that
// do not belong into the name of a folder become '-'.
func Create(parent, tag string, started time.Time) (*Writer, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, folderError(parent, err)
	}
	name := filepath.Join(parent, started.UTC().Format("20060102-150405"))
	if tag = cleanTag(tag); tag != "" {
		name += "-" + tag
	}
	dir := name
	for n := 2; ; n++ {
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || n > 1000 {
			return nil, folderError(dir, err)
		}
		dir = fmt.Sprintf("%s-%d", name, n)
	}
	file, err := os.OpenFile(filepath.Join(dir, FileName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, folderError(dir, err)
	}
	return &Writer{file: file, dir: dir}, nil
}

func cleanTag(tag string) string {
	tag = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, tag)
	if len(tag) > 64 {
		tag = tag[:64]
	}
	return strings.Trim(tag, "-.")
}

func folderError(dir string, err error) error {
	return fmt.Errorf("results folder %s: %w: name one that can be written to", dir, reason(err))
}

// reason strips what the file system's errors repeat: the operation and the path.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// Dir returns the run's folder.
func (w *Writer) Dir() string { return w.dir }

// Path returns the run file's path.
func (w *Writer) Path() string { return w.file.Name() }

// Header writes the first record. Its Format is filled in.
func (w *Writer) Header(h Header) error {
	h.Format = Format
	return w.write(headerRecord{recordHeader, h})
}

// Trial writes one trial.
func (w *Writer) Trial(t Trial) error {
	return w.write(trialRecord{recordTrial, t})
}

// Warn writes one warning about the whole run: one line.
func (w *Writer) Warn(text string) error { return w.write(warningRecord{recordWarning, text}) }

// End writes the last record.
func (w *Writer) End(e End) error {
	return w.write(endRecord{recordEnd, e})
}

// ReadBack reads what was written so far, as Read does, even if the file has lost its name meanwhile. Nothing may be
// written after it.
func (w *Writer) ReadBack() (*Run, error) {
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("run %s: %w", w.Path(), reason(err))
	}
	run, err := read(w.file)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", w.Path(), err)
	}
	return run, nil
}

// Close closes the file; it does not write an end.
func (w *Writer) Close() error {
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("closing %s: %w", w.Path(), reason(err))
	}
	return nil
}

func (w *Writer) write(record any) error {
	line, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("writing %s: %w", w.Path(), err)
	}
	line = append(line, '\n')
	if len(line) > maxLine {
		return fmt.Errorf("writing %s: a record of %d bytes is over the limit of %d: run fewer cells at once",
			w.Path(), len(line), maxLine)
	}
	if _, err := w.file.Write(line); err != nil {
		return fmt.Errorf("writing %s: %w: what was written before can still be read", w.Path(), reason(err))
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("writing %s: %w: what was written before can still be read", w.Path(), reason(err))
	}
	return nil
}

// Read reads the run at path: a run's folder, or the run file itself. A broken last line, as a crash leaves it, is left
// out and named in Run.Warnings. Everything else that is not as Writer writes it is an error of one line: see
// ErrNotARun, ErrVersion and ErrDamaged.
func Read(path string) (*Run, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", path, reason(err))
	}
	if info.IsDir() {
		folder := path
		path = filepath.Join(path, FileName)
		if info, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("run %s: %w: the folder has no %s", folder, ErrNotARun, FileName)
		} else if err != nil {
			return nil, fmt.Errorf("run %s: %w", path, reason(err))
		}
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("run %s: %w: it is not a regular file", path, ErrNotARun)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", path, reason(err))
	}
	defer file.Close()
	run, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", path, err)
	}
	return run, nil
}

// reader collects the records of one run file.
type reader struct {
	run   *Run
	cells map[int]bool
	seen  map[[2]int]int // (cell, repeat) -> line
}

// read reads a run file's content.
func read(r io.Reader) (*Run, error) {
	buffer := bufio.NewReaderSize(r, 64<<10)
	into := reader{run: &Run{}, cells: map[int]bool{}, seen: map[[2]int]int{}}
	for number := 1; ; number++ {
		line, err := readLine(buffer)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			if number == 1 {
				return nil, fmt.Errorf("%w: it is empty", ErrNotARun)
			}
			return into.run, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			if number == 1 && errors.Is(err, ErrDamaged) {
				return nil, fmt.Errorf("%w: its first line is not a header", ErrNotARun)
			}
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if number == 1 {
			if err := into.header(line); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil && !json.Valid(line) { // no newline and not whole: the writer died in it
			into.run.Warnings = append(into.run.Warnings, fmt.Sprintf(
				"the run file breaks off within line %d (%d bytes of it are there), which was left out", number, len(line)))
			return into.run, nil
		}
		if err := into.record(line, number); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
}

// readLine returns the next line without its newline, with io.EOF if the newline is missing.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("%w: longer than %d bytes", ErrDamaged, maxLine)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte("\n")), err
		}
	}
}

func (r *reader) header(line []byte) error {
	var first struct {
		Record string `json:"record"`
		Format string `json:"format"`
	}
	if err := json.Unmarshal(line, &first); err != nil || first.Record != recordHeader {
		return fmt.Errorf("%w: its first line is not a header", ErrNotARun)
	}
	if first.Format != Format {
		return fmt.Errorf("%w: %.40q, this program reads %q: use the raftbench that wrote it",
			ErrVersion, first.Format, Format)
	}
	if err := json.Unmarshal(line, &r.run.Header); err != nil {
		return fmt.Errorf("%w header: %v", ErrDamaged, err)
	}
	for _, c := range r.run.Header.Cells {
		if r.cells[c.ID] {
			return fmt.Errorf("%w header: two cells have the id %d", ErrDamaged, c.ID)
		}
		r.cells[c.ID] = true
	}
	return nil
}

func (r *reader) record(line []byte, number int) error {
	var kind struct {
		Record string `json:"record"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return fmt.Errorf("%w: not a record: %v", ErrDamaged, err)
	}
	if r.run.End != nil {
		return fmt.Errorf("%w: a record %.40q after the end", ErrDamaged, kind.Record)
	}
	var err error
	switch kind.Record {
	case recordTrial:
		var t Trial
		if err = json.Unmarshal(line, &t); err == nil {
			err = r.trial(t, number)
		}
	case recordWarning:
		var w warningRecord
		if err = json.Unmarshal(line, &w); err == nil {
			r.run.Warnings = append(r.run.Warnings, w.Text)
		}
	case recordEnd:
		var e End
		if err = json.Unmarshal(line, &e); err == nil {
			r.run.End = &e
			if e.Trials != len(r.run.Trials) {
				r.run.Warnings = append(r.run.Warnings, fmt.Sprintf(
					"the run file's end names %d trials, it holds %d", e.Trials, len(r.run.Trials)))
			}
		}
	default:
		return fmt.Errorf("%w: a record %.40q: allowed are trial, warning and end", ErrDamaged, kind.Record)
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w %s: %v", ErrDamaged, kind.Record, err)
	}
	return err
}

func (r *reader) trial(t Trial, number int) error {
	if !r.cells[t.Cell] {
		return fmt.Errorf("%w: a trial of cell %d, which the header does not name", ErrDamaged, t.Cell)
	}
	if t.Repeat < 0 || t.Repeat >= r.run.Header.Repeat {
		return fmt.Errorf("%w: trial %d of cell %d: the header has %d trials per cell, counted from 0",
			ErrDamaged, t.Repeat, t.Cell, r.run.Header.Repeat)
	}
	key := [2]int{t.Cell, t.Repeat}
	if before, dup := r.seen[key]; dup {
		return fmt.Errorf("%w: trial %d of cell %d is there twice, first in line %d",
			ErrDamaged, t.Repeat, t.Cell, before)
	}
	r.seen[key] = number
	switch t.Status {
	case OK, Invalid, Failed, Interrupted, Inconclusive, NotApplicable:
	default:
		return fmt.Errorf("%w: status %.40q: allowed are %s, %s, %s, %s, %s and %s",
			ErrDamaged, t.Status, OK, Invalid, Failed, Interrupted, Inconclusive, NotApplicable)
	}
	r.run.Trials = append(r.run.Trials, t)
	return nil
}
