package boltstore

import "time"

// SetWall sets the clock that stamps records. It is called before the store is used.
func (s *Store) SetWall(wall func() time.Time) { s.wall = wall }
