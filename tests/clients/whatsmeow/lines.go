package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"sync"
)

// maxLine is room for a picture in base64.
const maxLine = 16 << 20

// command is one line of stdin.
type command struct {
	Cmd   string `json:"cmd"`
	To    string `json:"to"`
	Text  string `json:"text"`
	ID    string `json:"id"`
	Ref   *int   `json:"ref"`
	Phone string `json:"phone"`

	Base64   []byte   `json:"base64"`
	MimeType string   `json:"mimeType"`
	Caption  string   `json:"caption"`
	Group    string   `json:"group"`
	Subject  string   `json:"subject"`
	Members  []string `json:"members"`
	Action   string   `json:"action"`
}

// event is one line of stdout; fields that do not apply are left out.
type event struct {
	Event    string `json:"event"`
	QR       string `json:"qr,omitempty"`
	LinkCode string `json:"linkCode,omitempty"`
	Me       string `json:"me,omitempty"`
	ID       string `json:"id,omitempty"`
	From     string `json:"from,omitempty"`
	FromMe   *bool  `json:"fromMe,omitempty"`
	Text     string `json:"text,omitempty"`
	Status   string `json:"status,omitempty"`
	Ref      *int   `json:"ref,omitempty"`
	Code     int    `json:"code,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Cmd      string `json:"cmd,omitempty"`
	Message  string `json:"message,omitempty"`

	Chat    string   `json:"chat,omitempty"`
	Media   *media   `json:"media,omitempty"`
	Group   string   `json:"group,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Members []string `json:"members,omitempty"`
	Action  string   `json:"action,omitempty"`
}

// media is a file that was fetched and decrypted.
type media struct {
	Kind     string `json:"kind"`
	MimeType string `json:"mimeType"`
	Size     int    `json:"size"`
	SHA256   string `json:"sha256"`
}

// reports is the process's stdout; libraries that print get stderr instead.
var reports = struct {
	sync.Mutex
	out *os.File
}{out: os.Stdout}

func init() { os.Stdout = os.Stderr }

func emit(e event) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // only strings and numbers: cannot happen
	}
	reports.Lock()
	defer reports.Unlock()
	reports.out.Write(append(line, '\n'))
}

// serve performs commands in order until `stop` or the end of stdin.
func (j *judge) serve(ctx context.Context, input io.Reader) {
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var c command
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil && c.Cmd == "stop" {
			break
		}
		if err == nil {
			err = j.perform(ctx, c)
		}
		if err != nil {
			emit(event{Event: "error", Cmd: c.Cmd, Ref: c.Ref, Message: err.Error()})
		}
	}
	j.client.Disconnect()
}
