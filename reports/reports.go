// Package reports turns a run file into something to read: a table for the terminal, Markdown, CSV and JSON, one file
// each. A report is made from the run file alone, so it can be made again later and elsewhere; the same run file gives
// the same bytes.
//
// Summarize merges the trials of each cell and decides which cells have numbers at all; every report shows what it
// says. A cell that broke an identity, or of which a trial ended in an error, has no number anywhere.
//
// It does not measure, does not read files and opens none; it imports results alone.
package reports

import (
	"io"

	"github.com/raftbench/raftbench/results"
)

// Format is one way to show a run.
type Format struct {
	Name  string                              // as it is written on the command line
	Doc   string                              // one line
	Write func(io.Writer, *results.Run) error // an error is the writer's own
}

// Formats lists every format. A new report is a file of its own and one line here.
var Formats = []Format{
	{"table", "the main table and the findings, for a terminal", byJob(WriteTable, WriteLabTable)},
	{"markdown", "everything: findings, comparisons, stages, costs, how to run it again", byJob(WriteMarkdown, WriteLabMarkdown)},
	{"csv", "a row a cell, plain numbers with the unit in the column's name", byJob(WriteCSV, WriteLabCSV)},
	{"json", "header, cells as in csv, findings and warnings", byJob(WriteJSON, WriteLabJSON)},
}

// byJob writes a run of the MIT lab's tests in its own way, and every other run as cells of a matrix.
func byJob(matrix, lab func(io.Writer, *results.Run) error) func(io.Writer, *results.Run) error {
	return func(w io.Writer, run *results.Run) error {
		if run.Header.Job == results.JobLab {
			return lab(w, run)
		}
		return matrix(w, run)
	}
}
