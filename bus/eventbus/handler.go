package eventbus

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"unsafe"

	"github.com/cxbus/cxbus/bus"
)

// A handler is a function somebody subscribed, made callable.
type handler struct {
	fn   any // keeps what key points to
	typ  reflect.Type
	code uintptr        // shared by all closures of one literal
	key  unsafe.Pointer // of this very function value, or the receiver of a method value
	fits func(args []any) bool
	// serve returns what the bus calls with the events for s.
	serve func(s *subscriber) receiver
}

type receiver = func(context.Context, bus.Event[any])

// Func is a handler for any one type that is called without reflection, and
// otherwise the same as fn; see [Of].
type Func struct{ h handler }

// Of makes a handler of fn that is called without reflection, like the
// signatures that the bus knows by heart; give it to Subscribe in place of fn.
// Unsubscribe takes either.
func Of[T any](fn func(T)) Func {
	if fn == nil {
		return Func{}
	}
	return Func{one(fn).of(fn)}
}

// Of2 is [Of] for two arguments.
func Of2[A, B any](fn func(A, B)) Func {
	if fn == nil {
		return Func{}
	}
	return Func{two(fn).of(fn)}
}

// compile makes a handler of what was given to Subscribe.
func compile(op string, fn any) (handler, error) {
	if f, ok := fn.(Func); ok {
		if f.h.fn == nil {
			return handler{}, with(bus.ErrNilHandler, op, "pass a function")
		}
		return f.h, nil
	}
	v := reflect.ValueOf(fn)
	switch {
	case !v.IsValid():
		return handler{}, with(bus.ErrNilHandler, op, "pass a function")
	case v.Kind() != reflect.Func:
		return handler{}, with(ErrNotFunc, op, "got "+v.Type().String())
	case v.IsNil():
		return handler{}, with(bus.ErrNilHandler, op, "pass a function")
	}
	return known(unnamed(v)).of(fn), nil
}

// of fills in what tells functions apart.
func (h handler) of(fn any) handler {
	v := reflect.ValueOf(fn)
	h.fn, h.typ, h.code = fn, v.Type(), v.Pointer()
	// A func is a pointer to its closure, and that is what an interface with a
	// func in it holds. reflect gives the code pointer alone, which all
	// closures of one literal share.
	h.key = (*[2]unsafe.Pointer)(unsafe.Pointer(&fn))[1]
	if receiver := receiverOf(h.code, h.key); receiver != nil {
		h.key = receiver
	}
	return h
}

// receiverOf returns the receiver of a method value with a pointer receiver, else nil. The compiler makes a new closure
// each time such a value is written down, and names its code (*T).Method-fm; the closure holds the receiver behind the
// pointer to the code. Those of generic types are left out: their closures may hold more.
func receiverOf(code uintptr, closure unsafe.Pointer) unsafe.Pointer {
	f := runtime.FuncForPC(code)
	if f == nil {
		return nil
	}
	name := f.Name()
	if !strings.HasSuffix(name, "-fm") || !strings.Contains(name, ".(*") || strings.Contains(name, "[") {
		return nil
	}
	return (*struct{ code, receiver unsafe.Pointer })(closure).receiver
}

// String says which function this is: its type, file and line.
func (h handler) String() string {
	at := "unknown"
	if f := runtime.FuncForPC(h.code); f != nil {
		file, line := f.FileLine(h.code)
		at = fmt.Sprintf("%s:%d", file, line)
	}
	return h.typ.String() + " at " + at
}

// unnamed turns a function of a named type into one of the type written out.
func unnamed(v reflect.Value) reflect.Value {
	t := v.Type()
	if t.Name() == "" {
		return v
	}
	var in, out []reflect.Type
	for i := range t.NumIn() {
		in = append(in, t.In(i))
	}
	for i := range t.NumOut() {
		out = append(out, t.Out(i))
	}
	return v.Convert(reflect.FuncOf(in, out, t.IsVariadic()))
}

// known picks the call without reflection for the signatures that EventBus
// programs use most: no argument, one of anything, a word, a number, a switch,
// bytes, an error, a bag of fields, and the pairs of key and value.
func known(v reflect.Value) handler {
	switch fn := v.Interface().(type) {
	case func():
		return none(fn)
	case func(any):
		return one(fn)
	case func(string):
		return one(fn)
	case func(int):
		return one(fn)
	case func(bool):
		return one(fn)
	case func([]byte):
		return one(fn)
	case func(error):
		return one(fn)
	case func(map[string]any):
		return one(fn)
	case func(any, any):
		return two(fn)
	case func(string, any):
		return two(fn)
	case func(string, string):
		return two(fn)
	case func(...any):
		return every(fn)
	}
	return reflected(v)
}

func none(fn func()) handler {
	return handler{
		fits: func(args []any) bool { return len(args) == 0 },
		serve: func(s *subscriber) receiver {
			return func(_ context.Context, e bus.Event[any]) {
				switch {
				case s.gone.Load():
				case e.Data == nil || len(unpack(e.Data)) == 0:
					fn()
				default:
					s.misfit(e.Data)
				}
			}
		},
	}
}

func one[T any](fn func(T)) handler {
	_, loose := any(Args(nil)).(T) // then a T may be Args, which has to be unpacked
	return handler{
		fits: func(args []any) bool {
			if len(args) != 1 {
				return false
			}
			_, ok := as[T](args[0])
			return ok
		},
		serve: func(s *subscriber) receiver {
			return func(_ context.Context, e bus.Event[any]) {
				if s.gone.Load() {
					return
				}
				if v, ok := e.Data.(T); ok {
					if !loose {
						fn(v)
						return
					}
					if _, packed := e.Data.(Args); !packed {
						fn(v)
						return
					}
				}
				if args := unpack(e.Data); len(args) == 1 {
					if v, ok := as[T](args[0]); ok {
						fn(v)
						return
					}
				}
				s.misfit(e.Data)
			}
		},
	}
}

func two[A, B any](fn func(A, B)) handler {
	return handler{
		fits: func(args []any) bool {
			if len(args) != 2 {
				return false
			}
			_, ok1 := as[A](args[0])
			_, ok2 := as[B](args[1])
			return ok1 && ok2
		},
		serve: func(s *subscriber) receiver {
			return func(_ context.Context, e bus.Event[any]) {
				if s.gone.Load() {
					return
				}
				if args, _ := e.Data.(Args); len(args) == 2 {
					a, ok1 := as[A](args[0])
					b, ok2 := as[B](args[1])
					if ok1 && ok2 {
						fn(a, b)
						return
					}
				}
				s.misfit(e.Data)
			}
		},
	}
}

func every(fn func(...any)) handler {
	return handler{
		fits: func([]any) bool { return true },
		serve: func(s *subscriber) receiver {
			return func(_ context.Context, e bus.Event[any]) {
				if !s.gone.Load() {
					// Handlers may write to their variadic slice: each gets its own.
					fn(append([]any(nil), unpack(e.Data)...)...)
				}
			}
		},
	}
}

// as is the assignment of an argument to a parameter as a Go call does it; nil
// is the zero value.
func as[T any](v any) (T, bool) {
	if t, ok := v.(T); ok {
		return t, true
	}
	var t T
	if v == nil {
		return t, true
	}
	return assigned[T](v)
}

// assigned is as for types that are assignable without being the same.
func assigned[T any](v any) (t T, ok bool) {
	if r := reflect.ValueOf(v); r.Type().AssignableTo(reflect.TypeFor[T]()) {
		reflect.ValueOf(&t).Elem().Set(r)
		return t, true
	}
	return t, false
}

// reflected makes a handler of any function.
func reflected(v reflect.Value) handler {
	t := v.Type()
	fits := func(args []any) bool {
		if n := t.NumIn(); len(args) != n && (!t.IsVariadic() || len(args) < n-1) {
			return false
		}
		for i, a := range args {
			if a != nil && !reflect.TypeOf(a).AssignableTo(param(t, i)) {
				return false
			}
		}
		return true
	}
	return handler{
		fits: fits,
		serve: func(s *subscriber) receiver {
			return func(_ context.Context, e bus.Event[any]) {
				if s.gone.Load() {
					return
				}
				args := unpack(e.Data)
				if !fits(args) {
					s.misfit(e.Data)
					return
				}
				in := make([]reflect.Value, len(args))
				for i, a := range args {
					if a == nil {
						in[i] = reflect.Zero(param(t, i))
					} else {
						in[i] = reflect.ValueOf(a)
					}
				}
				v.Call(in)
			}
		},
	}
}

// param returns the type of the i-th argument.
func param(t reflect.Type, i int) reflect.Type {
	if last := t.NumIn() - 1; t.IsVariadic() && i >= last {
		return t.In(last).Elem()
	}
	return t.In(i)
}

// typesOf names the types of arguments, never their values, which may be
// secret.
func typesOf(args []any) string {
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = "nil"
		if a != nil {
			list[i] = reflect.TypeOf(a).String()
		}
	}
	return "(" + strings.Join(list, ", ") + ")"
}
