package bus

import (
	"context"
	"unsafe"
)

// isBackground reports whether ctx is context.Background(), which has nothing
// to say. Its dynamic type has one value, so comparing the types is enough, and
// cheaper than comparing the interfaces.
func isBackground(ctx context.Context) bool {
	return typeWord(&ctx) == background
}

var background = func() unsafe.Pointer { ctx := context.Background(); return typeWord(&ctx) }()

// payloadType returns the first word of an interface value, or nil for nil.
func payloadType(v *any) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(v)) }

// typeWord returns the first word of an interface value, which stands for its
// dynamic type.
func typeWord(ctx *context.Context) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(ctx)) }
