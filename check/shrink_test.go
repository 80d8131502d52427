package check

import (
	"slices"
	"testing"
)

// The smallest failing part is found, whatever it is.
func TestSmallest(t *testing.T) {
	all := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
	for _, guilty := range [][]int{nil, {1}, {13}, {7}, {1, 13}, {2, 3, 4}, {1, 4, 8, 11}, all} {
		plays := 0
		got := smallest(slices.Clone(all), func(items []int) bool {
			plays++
			for _, g := range guilty {
				if !slices.Contains(items, g) {
					return false
				}
			}
			return true
		})
		if !slices.Equal(got, guilty) {
			t.Errorf("%v is found as %v", guilty, got)
		}
		if plays > 200 {
			t.Errorf("%v takes %d plays", guilty, plays)
		}
	}
}
