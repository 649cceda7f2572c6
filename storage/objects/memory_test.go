package objects_test

import (
	"testing"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

func TestMemoryKeepsEveryPromise(t *testing.T) {
	objectstest.Suite(t, func(*testing.T) objects.Store { return objects.NewMemory() })
}

func TestCounterKeepsEveryPromise(t *testing.T) {
	objectstest.Suite(t, func(*testing.T) objects.Store { return objects.Counted(objects.NewMemory()) })
}

func BenchmarkMemory(b *testing.B) {
	objectstest.Benchmark(b, func(*testing.B) objects.Store { return objects.NewMemory() })
}
