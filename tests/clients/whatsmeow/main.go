// Command judge runs one stock whatsmeow client behind the judges' line protocol (see ../README.md).
//
// Comes in: WS_URL, ROOT_PUBLIC_KEY (optional), STATE_DIR; commands as JSON lines on stdin.
// Goes out: what the library reported, as JSON lines on stdout; its log on stderr.
// It must not retry what failed, nor change the library beyond its root key and its dialer.
package main

import (
	"context"
	"fmt"
	"os"

	waLog "go.mau.fi/whatsmeow/util/log"
)

func main() {
	ctx := context.Background()
	judge, err := newJudge(ctx, os.Getenv("WS_URL"), os.Getenv("ROOT_PUBLIC_KEY"), os.Getenv("STATE_DIR"), stderrLog{"whatsmeow"})
	if err != nil {
		emit(event{Event: "error", Message: err.Error()})
		os.Exit(64)
	}
	judge.serve(ctx, os.Stdin)
}

// stderrLog keeps stdout free for events.
type stderrLog struct{ module string }

func (l stderrLog) print(level, format string, args []any) {
	fmt.Fprintf(os.Stderr, "%s %s: %s\n", level, l.module, fmt.Sprintf(format, args...))
}
func (l stderrLog) Errorf(format string, args ...any) { l.print("error", format, args) }
func (l stderrLog) Warnf(format string, args ...any)  { l.print("warn", format, args) }
func (l stderrLog) Infof(format string, args ...any)  { l.print("info", format, args) }
func (l stderrLog) Debugf(string, ...any)             {}
func (l stderrLog) Sub(module string) waLog.Logger    { return stderrLog{l.module + "/" + module} }
