package objects_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"testing"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// broken is a store in memory with some methods that do not keep their word.
type broken struct {
	objects.Store
	put, putIfAbsent func(ctx context.Context, name string, data []byte) error
	get              func(ctx context.Context, name string, offset, length int64) ([]byte, error)
	list             func(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error]
	delete           func(ctx context.Context, name string) error
}

func (b *broken) Put(ctx context.Context, name string, data []byte) error {
	if b.put != nil {
		return b.put(ctx, name, data)
	}
	return b.Store.Put(ctx, name, data)
}

func (b *broken) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	if b.putIfAbsent != nil {
		return b.putIfAbsent(ctx, name, data)
	}
	return b.Store.PutIfAbsent(ctx, name, data)
}

func (b *broken) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if b.get != nil {
		return b.get(ctx, name, offset, length)
	}
	return b.Store.Get(ctx, name, offset, length)
}

func (b *broken) List(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
	if b.list != nil {
		return b.list(ctx, prefix, after)
	}
	return b.Store.List(ctx, prefix, after)
}

func (b *broken) Delete(ctx context.Context, name string) error {
	if b.delete != nil {
		return b.delete(ctx, name)
	}
	return b.Store.Delete(ctx, name)
}

func TestProbeRefusesABrokenStore(t *testing.T) {
	for _, test := range []struct {
		name     string
		thorough bool
		check    string // that finds it first
		build    func(below *objects.Memory) objects.Store
	}{
		{"ignores If-None-Match", false, "one winner", func(below *objects.Memory) objects.Store {
			return objectstest.NewFaulty(below, 1, objectstest.Rule{Fault: objectstest.Overwrite})
		}},
		{"looks first and stores then", false, "one winner", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, putIfAbsent: func(ctx context.Context, name string, data []byte) error {
				if _, err := below.Get(ctx, name, 0, 0); err == nil {
					return objects.ErrExists
				}
				for range 100 {
					runtime.Gosched()
				}
				return below.Put(ctx, name, data)
			}}
		}},
		{"tells two writers that they won", false, "one winner", func(below *objects.Memory) objects.Store {
			var mu sync.Mutex
			lost := make(map[string]int)
			return &broken{Store: below, putIfAbsent: func(ctx context.Context, name string, data []byte) error {
				err := below.PutIfAbsent(ctx, name, data)
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, objects.ErrExists) && strings.Contains(name, "race") {
					if lost[name]++; lost[name] == 5 {
						return nil
					}
				}
				return err
			}}
		}},
		{"tells nobody that he won", false, "one winner", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, putIfAbsent: func(ctx context.Context, name string, data []byte) error {
				below.PutIfAbsent(ctx, name, data)
				return objects.ErrExists
			}}
		}},
		{"stores the loser's object", false, "one winner", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, putIfAbsent: func(ctx context.Context, name string, data []byte) error {
				err := below.PutIfAbsent(ctx, name, data)
				if err != nil {
					below.Put(ctx, name, data)
				}
				return err
			}}
		}},
		{"puts over an object of the same size", false, "never again", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, putIfAbsent: func(ctx context.Context, name string, data []byte) error {
				if strings.Contains(name, "again-put") {
					return below.Put(ctx, name, data)
				}
				return below.PutIfAbsent(ctx, name, data)
			}}
		}},
		{"lets a late put-if-absent win", false, "lost replies", func(below *objects.Memory) objects.Store {
			var mu sync.Mutex
			late := make(map[string][]byte)
			return &broken{Store: below,
				putIfAbsent: func(ctx context.Context, name string, data []byte) error {
					if _, hasty := ctx.Deadline(); hasty {
						mu.Lock()
						late[name] = data
						mu.Unlock()
						<-ctx.Done()
						return ctx.Err()
					}
					return below.PutIfAbsent(ctx, name, data)
				},
				get: func(ctx context.Context, name string, offset, length int64) ([]byte, error) {
					data, err := below.Get(ctx, name, offset, length)
					mu.Lock()
					defer mu.Unlock()
					if late[name] != nil {
						below.Put(ctx, name, late[name])
					}
					return data, err
				}}
		}},
		{"loses a put", false, "put and get", func(below *objects.Memory) objects.Store {
			return objectstest.NewFaulty(below, 1, objectstest.Rule{Fault: objectstest.Lose, On: objectstest.Put, Skip: 1, Times: 1})
		}},
		{"returns an older object", false, "put and get", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, put: func(ctx context.Context, name string, data []byte) error {
				below.PutIfAbsent(ctx, name, data)
				return nil
			}}
		}},
		{"flips a bit", false, "put and get", func(below *objects.Memory) objects.Store {
			return objectstest.NewFaulty(below, 1, objectstest.Rule{Fault: objectstest.Flip, On: objectstest.Get, Skip: 1, Times: 1})
		}},
		{"counts ranges from one", false, "ranges", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, get: func(ctx context.Context, name string, offset, length int64) ([]byte, error) {
				return below.Get(ctx, name, max(0, offset-1), length)
			}}
		}},
		{"gives less than was asked for", false, "ranges", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, get: func(ctx context.Context, name string, offset, length int64) ([]byte, error) {
				data, err := below.Get(ctx, name, offset, length)
				if errors.Is(err, objects.ErrRange) {
					return below.Get(ctx, name, offset, -1)
				}
				return data, err
			}}
		}},
		{"ignores the range", false, "ranges", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, get: func(ctx context.Context, name string, _, _ int64) ([]byte, error) {
				return below.Get(ctx, name, 0, -1)
			}}
		}},
		{"has an older list", false, "list", func(below *objects.Memory) objects.Store {
			var calls int
			var old []objects.Info
			return &broken{Store: below, list: func(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
				now := collect(below.List(ctx, prefix, after))
				if calls++; calls == 4 { // the one after the deletions
					return seq(old)
				}
				if calls == 1 {
					old = now
				}
				return seq(now)
			}}
		}},
		{"lists in another order", false, "list", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, list: func(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
				infos := collect(below.List(ctx, prefix, after))
				if len(infos) > 1 {
					infos[0], infos[1] = infos[1], infos[0]
				}
				return seq(infos)
			}}
		}},
		{"lists an object twice", false, "list", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, list: func(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
				infos := collect(below.List(ctx, prefix, after))
				return seq(append(infos, infos[len(infos)-1]))
			}}
		}},
		{"never stops listing", false, "list", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, list: func(context.Context, string, string) iter.Seq2[objects.Info, error] {
				return func(yield func(objects.Info, error) bool) {
					for yield(objects.Info{Name: "again", Size: 8}, nil) {
					}
				}
			}}
		}},
		{"ignores after", false, "list", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, list: func(ctx context.Context, prefix, _ string) iter.Seq2[objects.Info, error] {
				return below.List(ctx, prefix, "")
			}}
		}},
		{"leaves one object out of a list", false, "list", func(below *objects.Memory) objects.Store {
			return objectstest.NewFaulty(below, 1, objectstest.Rule{Fault: objectstest.Lose, On: objectstest.List, Times: 1})
		}},
		{"lists wrong sizes", false, "list", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, list: func(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
				infos := collect(below.List(ctx, prefix, after))
				infos[0].Size++
				return seq(infos)
			}}
		}},
		{"lists one page only", true, "list", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, list: func(ctx context.Context, prefix, after string) iter.Seq2[objects.Info, error] {
				infos := collect(below.List(ctx, prefix, after))
				return seq(infos[:min(len(infos), 1000)])
			}}
		}},
		{"does not delete", false, "list", func(below *objects.Memory) objects.Store {
			return &broken{Store: below, delete: func(context.Context, string) error { return nil }}
		}},
		{"shows what was deleted to readers", false, "delete", func(below *objects.Memory) objects.Store {
			var mu sync.Mutex
			deleted := make(map[string][]byte)
			return &broken{Store: below,
				delete: func(ctx context.Context, name string) error {
					mu.Lock()
					defer mu.Unlock()
					deleted[name], _ = below.Get(ctx, name, 0, -1)
					return below.Delete(ctx, name)
				},
				get: func(ctx context.Context, name string, offset, length int64) ([]byte, error) {
					mu.Lock()
					defer mu.Unlock()
					if deleted[name] != nil {
						return deleted[name], nil
					}
					return below.Get(ctx, name, offset, length)
				}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			options := objects.ProbeOptions{}
			if test.thorough {
				if _, err := objects.Probe(t.Context(), test.build(objects.NewMemory()), options); err != nil {
					t.Fatalf("the quick probe found it, so this test can be quick: %v", err)
				}
				options = objects.ThoroughProbe
			}
			report, err := objects.Probe(t.Context(), test.build(objects.NewMemory()), options)
			if test.name == "tells two writers that they won" && !strings.Contains(fmt.Sprint(err), "2 of 8 writers") {
				t.Errorf("%v; want a count of the winners", err)
			}
			if !errors.Is(err, objects.ErrBroken) {
				t.Fatalf("the store passed: %v\n%s", err, report)
			}
			t.Log(err)
			for _, check := range report.Checks {
				if check.Result == objects.PromiseBroken {
					if check.Name != test.check || check.Detail == "" {
						t.Errorf("found by check %q (%s); want %q", check.Name, check.Detail, test.check)
					}
					break
				}
			}
			if len(report.Checks) != 7 {
				t.Errorf("a broken promise kept %d checks from being made", 7-len(report.Checks))
			}
		})
	}
}
