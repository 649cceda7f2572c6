package seal

import (
	"fmt"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	codecPlain = 0
	codecZstd  = 1
)

// A Level says how hard to try to make data smaller.
type Level uint8

const (
	None Level = iota
	Fast       // for what is written once and read at once: caches, the ledger
	Good       // for segments: see the benchmark in storage for what it buys
)

var encoders = [...]func() *zstd.Encoder{
	Fast: sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedDefault) }),
	Good: sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedBetterCompression) }),
}

func newEncoder(level zstd.EncoderLevel) *zstd.Encoder {
	// The sealing authenticates, so zstd's own checksum would be in vain.
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(4<<20), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0)))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderMaxMemory(MaxData), zstd.WithDecoderMaxWindow(64<<20))
	if err != nil {
		panic(err)
	}
	return d
})

func compress(dst, data []byte, level Level) []byte {
	return encoders[level]().EncodeAll(data, dst)
}

func decompress(data []byte, raw int) ([]byte, error) {
	var dst []byte
	if raw >= 0 {
		if raw > MaxData {
			return nil, fmt.Errorf("%d octets are too many for a box", raw)
		}
		dst = make([]byte, 0, raw)
	}
	dst, err := decoder().DecodeAll(data, dst)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return dst, nil
}
