package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"go.mau.fi/whatsmeow/types"
	waLog "go.mau.fi/whatsmeow/util/log"
	"google.golang.org/protobuf/proto"
)

// judge is one client and what it must remember to answer commands.
type judge struct {
	client   *whatsmeow.Client
	mutex    sync.Mutex
	received map[types.MessageID]types.MessageSource
}

func newJudge(ctx context.Context, wsURL, rootHex, stateDir string, log waLog.Logger) (*judge, error) {
	if err := trustRoot(rootHex); err != nil {
		return nil, err
	}
	transport, err := dialTo(wsURL)
	if err != nil {
		return nil, err
	}
	store := "file:" + filepath.Join(stateDir, "whatsmeow.db") + "?_foreign_keys=on&_journal_mode=WAL&_synchronous=NORMAL"
	container, err := sqlstore.New(ctx, "sqlite3", store, log.Sub("store"))
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", store, err)
	}
	device, err := container.GetFirstDevice(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the device from %s: %w", store, err)
	}
	j := &judge{client: whatsmeow.NewClient(device, log), received: map[types.MessageID]types.MessageSource{}}
	j.client.EnableAutoReconnect = false
	j.client.SetPreLoginHTTPClient(&http.Client{Transport: transport})
	j.client.SetWebsocketHTTPClient(&http.Client{Transport: transport})
	j.client.AddEventHandler(j.report)
	return j, nil
}

// trustRoot replaces WhatsApp's root key; without one whatsmeow keeps its own and must refuse the simulator.
func trustRoot(rootHex string) error {
	if rootHex == "" {
		return nil
	}
	root, err := hex.DecodeString(rootHex)
	if err != nil || len(root) != len(whatsmeow.WACertPubKey) {
		return fmt.Errorf("ROOT_PUBLIC_KEY must be %d bytes in hex", len(whatsmeow.WACertPubKey))
	}
	copy(whatsmeow.WACertPubKey[:], root)
	return nil
}

// dialTo carries wss://web.whatsapp.com in clear to the simulator: the library's URL is a constant, its dialer is not.
func dialTo(wsURL string) (*http.Transport, error) {
	target, err := url.Parse(wsURL)
	if err != nil || target.Scheme != "ws" || target.Port() == "" {
		return nil, fmt.Errorf("WS_URL must look like ws://127.0.0.1:1234/ws/chat, not %q", wsURL)
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, target.Host)
	}
	return &http.Transport{DialContext: dial, DialTLSContext: dial}, nil
}

func (j *judge) perform(ctx context.Context, c command) error {
	switch c.Cmd {
	case "connect":
		return j.connect()
	case "link_code":
		return j.linkCode(ctx, c.Phone)
	case "send":
		return j.send(ctx, c)
	case "send_image":
		return j.sendImage(ctx, c)
	case "create_group":
		return j.createGroup(ctx, c)
	case "group_info":
		return j.groupInfo(ctx, c)
	case "change_members":
		return j.changeMembers(ctx, c)
	case "read":
		return j.read(ctx, c.ID)
	case "logout":
		return j.logout(ctx)
	default:
		return fmt.Errorf("unknown command %q", c.Cmd)
	}
}

// connect reports a failed handshake as `closed`: that is what a refusal of our certificate looks like.
func (j *judge) connect() error {
	if err := j.client.Connect(); err != nil {
		emit(event{Event: "closed", Reason: err.Error()})
	}
	return nil
}

func (j *judge) linkCode(ctx context.Context, phone string) error {
	code, err := j.client.PairPhone(ctx, phone, true, whatsmeow.PairClientChrome, "Chrome (Linux)")
	if err != nil {
		return fmt.Errorf("ask for a link code: %w", err)
	}
	emit(event{Event: "link_code", LinkCode: code})
	return nil
}

func (j *judge) send(ctx context.Context, c command) error {
	return j.sendMessage(ctx, c, &waE2E.Message{Conversation: proto.String(c.Text)})
}

func (j *judge) sendImage(ctx context.Context, c command) error {
	uploaded, err := j.client.Upload(ctx, c.Base64, whatsmeow.MediaImage)
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return j.sendMessage(ctx, c, &waE2E.Message{ImageMessage: &waE2E.ImageMessage{
		Caption:       proto.String(c.Caption),
		Mimetype:      proto.String(c.MimeType),
		URL:           &uploaded.URL,
		DirectPath:    &uploaded.DirectPath,
		MediaKey:      uploaded.MediaKey,
		FileEncSHA256: uploaded.FileEncSHA256,
		FileSHA256:    uploaded.FileSHA256,
		FileLength:    &uploaded.FileLength,
	}})
}

func (j *judge) sendMessage(ctx context.Context, c command, message *waE2E.Message) error {
	to, err := address(c.To)
	if err != nil {
		return err
	}
	answer, err := j.client.SendMessage(ctx, to, message)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	emit(event{Event: "sent", Ref: c.Ref, ID: answer.ID})
	return nil
}

func (j *judge) read(ctx context.Context, id types.MessageID) error {
	j.mutex.Lock()
	source, known := j.received[id]
	j.mutex.Unlock()
	if !known {
		return errors.New("no message " + id + " was received")
	}
	return j.client.MarkRead(ctx, []types.MessageID{id}, time.Now(), source.Chat, source.Sender)
}

func (j *judge) logout(ctx context.Context) error {
	if err := j.client.Logout(ctx); err != nil {
		return err
	}
	emit(event{Event: "logged_out"})
	return nil
}
