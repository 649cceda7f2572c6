package objects

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Store in memory, for tests. It promises what every store does,
// except that its objects end with the process.
type Memory struct {
	mu      sync.RWMutex
	objects map[string]memoryObject // guarded by mu
}

type memoryObject struct {
	data     []byte // never changed
	modified time.Time
}

// NewMemory returns an empty store in memory.
func NewMemory() *Memory {
	return &Memory{objects: make(map[string]memoryObject)}
}

// Location implements [Store].
func (m *Memory) Location() string { return "memory" }

// Put implements [Store].
func (m *Memory) Put(ctx context.Context, name string, data []byte) error {
	return m.put(ctx, "put", name, data, true)
}

// PutIfAbsent implements [Store].
func (m *Memory) PutIfAbsent(ctx context.Context, name string, data []byte) error {
	return m.put(ctx, "put if absent", name, data, false)
}

func (m *Memory) put(ctx context.Context, what, name string, data []byte, replace bool) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s %s: %w", what, name, err)
	}
	if err := CheckPut(name, data); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	object := memoryObject{data: slices.Clone(data), modified: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.objects[name]; there && !replace {
		return fmt.Errorf("%s %s: %w", what, name, ErrExists)
	}
	m.objects[name] = object
	return nil
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("get %s: %w", name, err)
	}
	if err := CheckGet(name, offset); err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	m.mu.RLock()
	object, there := m.objects[name]
	m.mu.RUnlock()
	if !there {
		return nil, fmt.Errorf("get %s: %w", name, ErrNotFound)
	}
	size := int64(len(object.data))
	if length < 0 {
		length = max(0, size-offset)
	}
	if offset > size || length > size-offset {
		return nil, fmt.Errorf("get %s: %w: it has %d octets", name, ErrRange, size)
	}
	got := make([]byte, length)
	copy(got, object.data[offset:])
	return got, nil
}

// List implements [Store]. It shows the store as it was when the iteration
// began.
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := CheckList(prefix, after); err != nil {
			yield(Info{}, fmt.Errorf("list: %w", err))
			return
		}
		for _, info := range m.matching(prefix, after) {
			if err := ctx.Err(); err != nil {
				yield(Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
			if !yield(info, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Info{}, fmt.Errorf("list %s: %w", prefix, err))
		}
	}
}

func (m *Memory) matching(prefix, after string) []Info {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []Info
	for name, object := range m.objects {
		if strings.HasPrefix(name, prefix) && name > after {
			found = append(found, Info{Name: name, Size: int64(len(object.data)), Modified: object.modified})
		}
	}
	slices.SortFunc(found, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	if err := CheckName(name); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}
