package bench

import "time"

// What simulating takes on one core of about 2024, measured with 3 and 51 replicas and payloads from 128 B to 8 MiB. It
// is for estimates, which say "roughly": other machines differ by a factor of two or three.
const (
	simulateTrial   = 5 * time.Millisecond
	simulateCommit  = 2 * time.Microsecond
	simulateMessage = 2500 * time.Nanosecond
	simulateByteNs  = 1.0 // of payload and replica: copies, and the digest of what was applied
)

// simulating estimates how long a user waits for a trial that takes so long in virtual time.
func (s *Settings) simulating(scenario Scenario, trial time.Duration) time.Duration {
	seconds := trial.Seconds()
	commits := s.PerSecond * seconds
	rounds := commits // in which a leader sends something and is answered
	if s.Clients > 0 {
		rounds = float64(trial) / float64(max(s.beatPerCommit(), time.Microsecond))
		if s.Count > 0 {
			rounds = float64(s.Count) / float64(s.Clients)
		}
		commits = rounds * float64(s.Clients)
	}
	if scenario.Entries != nil {
		entries := float64(scenario.Entries(s))
		commits += entries
		rounds += entries / bulkClients
	}
	if s.Heartbeat > 0 {
		rounds += float64(trial) / float64(s.Heartbeat)
	}
	messages := rounds * 2 * float64(s.Nodes-1)
	bytes := commits * float64(s.Nodes) * float64(s.PayloadBytes)
	work := commits*float64(simulateCommit) + messages*float64(simulateMessage) + bytes*simulateByteNs
	return simulateTrial + time.Duration(min(work, float64(longestEstimate)))
}
