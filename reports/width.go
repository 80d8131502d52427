package reports

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Terminal is a writer on lines of so many columns. The table report fits them: it folds titles, then leaves out
// columns of its tables by rank and names them, and wraps text between words. On any other writer, and for 0 columns,
// tables have all their columns.
type Terminal struct {
	io.Writer
	Columns int
}

// columnsOf returns how many columns a writer's lines have; 0 if nobody knows.
func columnsOf(w io.Writer) int {
	if t, ok := w.(Terminal); ok {
		return t.Columns
	}
	return 0
}

// textColumns is how wide text may be, on however many columns: longer lines are hard to read.
const textColumns = 118

func textWidth(columns int) int {
	if columns <= 0 {
		return textColumns
	}
	return min(columns, textColumns)
}

// screen is text for a terminal of so many columns, or of nobody knows how many, 0.
type screen struct {
	strings.Builder
	columns int
}

// wrap writes text behind a mark, on as many lines as it takes, broken between words.
func wrap(b *screen, mark, text string) {
	line := mark
	empty := true
	width := textWidth(b.columns)
	for _, word := range strings.Fields(text) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > width {
			b.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", len(mark)), true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	b.WriteString(line + "\n")
}

// No title of up to leastTitle columns is folded, and no text of up to leastText: "catch-up" stays whole.
const (
	leastTitle = 8
	leastText  = 12
)

// narrow makes a grid at most so many columns of a terminal wide. It folds titles first, and texts that take more than
// two fifths of a line, then leaves out the column with the highest rank, the rightmost of several, again and again,
// and at last folds the texts that tell rows apart as far as it takes. It returns the grid to be drawn, what is left of
// the one given, and the titles of the columns that it left out.
func narrow(g grid, columns int) (fitted, kept grid, left []string) {
	kept = g
	g.head = slices.Clone(g.head)
	for i, head := range g.head {
		g.head[i] = twoLines(head)
	}
	if columns <= 0 || g.width() <= columns {
		return g, kept, nil
	}
	for i := range g.head {
		g.head[i] = foldTitle(g.head[i], max(g.figuresWidth(i), leastTitle))
	}
	g.rows = cloned(g.rows)
	for i := range g.head {
		if over := g.width() - columns; over > 0 && !g.right[i] {
			g.foldText(i, max(g.figuresWidth(i)-over, 2*columns/5))
		}
	}
	for g.width() > columns {
		i := g.leastNeeded()
		if i < 0 {
			g.foldTexts(columns)
			return g, kept, left
		}
		left = append(left, kept.head[i])
		g, kept = g.without(i), kept.without(i)
	}
	return g, kept, left
}

// leftOut says which columns a table lacks.
func leftOut(titles []string, columns int) string {
	return fmt.Sprintf("left out to fit %d columns: %s; --format markdown has them",
		columns, strings.Join(titles, ", "))
}

// rankOf returns a column's rank: 0 is never left out, the highest goes first. A grid without ranks keeps its first
// column and loses the others from the right.
func (g *grid) rankOf(i int) int {
	if g.rank == nil {
		return i
	}
	return g.rank[i]
}

func (g *grid) leastNeeded() int {
	least, most := -1, 0
	for i := range g.head {
		if r := g.rankOf(i); r > 0 && r >= most {
			least, most = i, r
		}
	}
	return least
}

func (g grid) without(i int) grid {
	next := grid{head: dropped(g.head, i), right: dropped(g.right, i)}
	if g.rank != nil {
		next.rank = dropped(g.rank, i)
	}
	for _, row := range g.rows {
		next.rows = append(next.rows, dropped(row, i))
	}
	return next
}

func dropped[T any](of []T, i int) []T { return slices.Delete(slices.Clone(of), i, i+1) }

// width returns how many columns of a terminal a grid takes: each of its own has a blank before it and one behind it.
func (g *grid) width() int {
	sum := 0
	for i := range g.head {
		sum += max(longestLine(g.head[i]), g.figuresWidth(i)) + 2
	}
	return sum
}

func (g *grid) figuresWidth(i int) int {
	most := 0
	for _, row := range g.rows {
		most = max(most, longestLine(row[i]))
	}
	return most
}

func longestLine(text string) int {
	most := 0
	for line := range strings.SplitSeq(text, "\n") {
		most = max(most, len([]rune(line)))
	}
	return most
}

// foldTitle breaks a title at blanks and behind hyphens into lines no wider than a width, or than its longest word.
func foldTitle(head string, width int) string {
	var lines []string
	for part := range strings.SplitSeq(head, "\n") {
		lines = append(lines, foldAt(part, width, " ", "-")...)
	}
	return strings.Join(lines, "\n")
}

// foldAt breaks text into lines no wider than a width where one of some marks ends a piece. A piece is never broken.
func foldAt(text string, width int, marks ...string) []string {
	for _, mark := range marks {
		text = strings.ReplaceAll(text, mark, mark+"\x00")
	}
	var lines []string
	line := ""
	for piece := range strings.SplitSeq(text, "\x00") {
		if line != "" && len([]rune(strings.TrimRight(line+piece, " "))) > width {
			lines, line = append(lines, strings.TrimRight(line, " ")), ""
		}
		line += piece
	}
	return append(lines, strings.TrimRight(line, " "))
}

// foldTexts folds the widest texts of the columns that are left, until the grid is narrow enough or nothing can be
// folded.
func (g *grid) foldTexts(columns int) {
	for range g.head {
		over, widest := g.width()-columns, 0
		for i := range g.head {
			if g.figuresWidth(i) > g.figuresWidth(widest) {
				widest = i
			}
		}
		if over <= 0 {
			return
		}
		g.foldText(widest, g.figuresWidth(widest)-over)
	}
}

// foldText folds a column's texts to a width, or leastText, where they have a place to be folded.
func (g *grid) foldText(i, width int) {
	for _, row := range g.rows {
		whole := strings.ReplaceAll(row[i], "\n", "")
		row[i] = strings.Join(foldAt(whole, max(width, leastText), " ", ",", "-"), "\n")
	}
}

func cloned(rows [][]string) [][]string {
	var all [][]string
	for _, row := range rows {
		all = append(all, slices.Clone(row))
	}
	return all
}
