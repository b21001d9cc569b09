package maildir

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Compress says whether messages are compressed on their way from the source.
type Compress string

// The ways.
const (
	CompressAuto Compress = "auto" // tried where the way is slow, and kept if it brings more messages in the same time
	CompressYes  Compress = "yes"
	CompressNo   Compress = "no"
)

// fastEnough is the rate in bytes a second above which compression is not tried: gzip on a core of an old server packs
// not much more, so that the trial would cost more than it can bring.
const fastEnough = 12.5e6

// gain is how much faster a compressed transfer must be than a plain one to be worth the source's work.
const gain = 1.1

// compression decides for each transfer whether it is compressed.
type compression struct {
	mode Compress

	mu      sync.Mutex
	plain   float64 // bytes a second of the last plain transfer
	started time.Time
	total   int64 // bytes of all plain transfers
	trying  bool
	decided bool
	use     bool
}

func newCompression(o *Options) *compression {
	c := &compression{mode: o.Compress, started: time.Now()}
	if o.Compress == CompressAuto && o.From.Local() {
		c.mode = CompressNo
	}
	return c
}

// next says whether the transfer that begins now is compressed.
func (c *compression) next() bool {
	if c.mode != CompressAuto {
		return c.mode == CompressYes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.decided:
		return c.use
	case c.plain == 0 || c.trying:
		return false
	case float64(c.total)/time.Since(c.started).Seconds() > fastEnough:
		c.decided = true
		return false
	}
	c.trying = true
	return true
}

// took notes what a transfer came to. One that is compressed runs beside plain ones and is compared with the last of
// them: they share the line, so that the comparison holds while others use it too.
func (c *compression) took(packed bool, bytes int64, d time.Duration) {
	if c.mode != CompressAuto || bytes == 0 || d <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	rate := float64(bytes) / d.Seconds()
	if !packed {
		c.plain = rate
		c.total += bytes
		return
	}
	if !c.decided {
		c.decided, c.use = true, rate > c.plain*gain
	}
}

// errNoGzip says that a source that was to send compressed messages sent something else.
var errNoGzip = errors.New("no gzip stream")

// unpack reads what gzip wrote; a source that sends nothing gives io.EOF at once, as it does without compression.
func unpack(r io.Reader) io.Reader {
	return &unpacked{in: bufio.NewReaderSize(r, 256<<10)}
}

type unpacked struct {
	in  *bufio.Reader
	zip *gzip.Reader
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.zip == nil {
		zip, err := gzip.NewReader(u.in)
		if err != nil {
			return 0, zipError(err)
		}
		u.zip = zip
	}
	n, err := u.zip.Read(p)
	return n, zipError(err)
}

// zipError tells what is wrong with the stream from what is wrong with the way it came.
func zipError(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		return fmt.Errorf("%w: %w", errNoGzip, err)
	}
	return err
}
