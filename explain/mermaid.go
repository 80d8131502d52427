package explain

import (
	"fmt"
	"io"
	"strings"

	"github.com/raftbench/raftbench/raft"
)

// Mermaid writes a sequence diagram for each story, as Markdown with Mermaid blocks.
func Mermaid(w io.Writer, stories []*Story) error {
	var b strings.Builder
	for i, s := range stories {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "## %s\n\n```mermaid\nsequenceDiagram\n", s.Strategy)
		for _, id := range []raft.ID{s.Leader, s.Follower} {
			role := "leader"
			if id == s.Follower {
				role = "follower"
			}
			fmt.Fprintf(&b, "    participant R%d as %s %d\n", id, role, id)
		}
		for _, step := range s.Steps {
			text := fmt.Sprintf("%.3f ms: %s", ms(step.At), mermaidText(step.Text))
			switch {
			case step.To == 0:
				fmt.Fprintf(&b, "    Note over R%d: %s\n", step.From, text)
			case step.Delivered == 0:
				fmt.Fprintf(&b, "    R%d-xR%d: %s\n", step.From, step.To, text)
			case step.Kind == StepReject || step.Kind == StepAccept:
				fmt.Fprintf(&b, "    R%d-->>R%d: %s\n", step.From, step.To, text)
			default:
				fmt.Fprintf(&b, "    R%d->>R%d: %s\n", step.From, step.To, text)
			}
		}
		b.WriteString("```\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mermaidText replaces what Mermaid would take for the end of a message.
func mermaidText(text string) string {
	return strings.NewReplacer(";", ",", "#", "no. ", "->", "to").Replace(text)
}
