// Package hashicorp is the engine "hashicorp": github.com/hashicorp/raft.
package hashicorp

import _ "github.com/hashicorp/raft"
import _ "github.com/hashicorp/go-hclog"
