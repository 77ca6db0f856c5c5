package bus

// Topics returns how many event names b keeps a route for.
func Topics(b *Bus) int { return len(b.topics.all()) }

// MaxStrays is how many undeclared names may be among them.
const MaxStrays = maxStrays
