package chatsim

import (
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"sync"
)

// keygen makes ids, and the random parts of keys.
type keygen struct {
	mu  sync.Mutex
	rng *rand.ChaCha8
}

func newKeygen(seed uint64) *keygen {
	var key [32]byte
	if seed == 0 {
		_, _ = crand.Read(key[:]) // never fails
	} else {
		binary.LittleEndian.PutUint64(key[:], seed)
	}
	return &keygen{rng: rand.NewChaCha8(key)}
}

func (k *keygen) pick(alphabet string, n int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[k.rng.Uint64()%uint64(len(alphabet))]
	}
	return string(b)
}

const (
	hexDigits = "0123456789ABCDEF"
	alphanums = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func (k *keygen) chatID() string { return "0001" + k.pick(alphanums, 12) }
func (k *keygen) fileID() string { return "00" + k.pick(hexDigits, 14) }

func (k *keygen) fill(b []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, _ = k.rng.Read(b) // never fails
}
