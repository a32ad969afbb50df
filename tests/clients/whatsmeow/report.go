package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"go.mau.fi/whatsmeow/proto/waE2E"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
)

// statuses names the receipts that say how far a message of ours came.
var statuses = map[types.ReceiptType]string{
	types.ReceiptTypeDelivered: "delivered",
	types.ReceiptTypeRead:      "read",
	types.ReceiptTypePlayed:    "played",
}

// report translates the library's events; those that no test looks at are left out.
func (j *judge) report(raw any) {
	switch e := raw.(type) {
	case *events.QR:
		emit(event{Event: "qr", QR: e.Codes[0]})
	case *events.PairSuccess:
		emit(event{Event: "paired", Me: e.ID.User})
	case *events.PairError:
		emit(event{Event: "error", Message: fmt.Sprintf("pair: %v", e.Error)})
	case *events.Connected:
		emit(event{Event: "open", Me: j.client.Store.GetJID().User})
	case *events.Message:
		j.reportMessage(e)
	case *events.UndecryptableMessage:
		emit(event{Event: "undecryptable", ID: e.Info.ID, From: phoneNumber(e.Info.MessageSource), FromMe: &e.Info.IsFromMe})
	case *events.Receipt:
		j.reportReceipt(e)
	case *events.JoinedGroup:
		emit(describeGroup("joined", &e.GroupInfo, nil))
	case *events.GroupInfo:
		j.reportMembers(e.JID, "add", e.Join)
		j.reportMembers(e.JID, "remove", e.Leave)
		j.reportMembers(e.JID, "promote", e.Promote)
		j.reportMembers(e.JID, "demote", e.Demote)
	default:
		j.reportEnd(raw)
	}
}

func (j *judge) reportMessage(e *events.Message) {
	j.mutex.Lock()
	j.received[e.Info.ID] = e.Info.MessageSource
	j.mutex.Unlock()
	report := event{Event: "message", ID: e.Info.ID, From: phoneNumber(e.Info.MessageSource), FromMe: &e.Info.IsFromMe}
	if e.Info.IsGroup {
		report.Chat = e.Info.Chat.String()
	}
	if image := e.Message.GetImageMessage(); image != nil {
		// Its handlers must not wait for the network.
		go j.reportImage(report, image)
		return
	}
	report.Text = e.Message.GetConversation()
	if report.Text == "" {
		report.Text = e.Message.GetExtendedTextMessage().GetText()
	}
	if report.Text != "" {
		emit(report)
	}
}

// reportImage fetches and decrypts a picture, as the library does for whoever asks.
func (j *judge) reportImage(report event, image *waE2E.ImageMessage) {
	bytes, err := j.client.Download(context.Background(), image)
	if err != nil {
		emit(event{Event: "error", Cmd: "download", Message: err.Error()})
		return
	}
	hash := sha256.Sum256(bytes)
	report.Text = image.GetCaption()
	report.Media = &media{Kind: "image", MimeType: image.GetMimetype(), Size: len(bytes), SHA256: hex.EncodeToString(hash[:])}
	emit(report)
}

func (j *judge) reportReceipt(e *events.Receipt) {
	status, known := statuses[e.Type]
	if !known {
		return
	}
	for _, id := range e.MessageIDs {
		emit(event{Event: "receipt", ID: id, Status: status})
	}
}

// reportEnd reports what ends a connection.
func (j *judge) reportEnd(raw any) {
	switch e := raw.(type) {
	case *events.LoggedOut:
		emit(event{Event: "logged_out", Code: int(e.Reason)})
	case *events.StreamReplaced:
		emit(event{Event: "closed", Code: 440, Reason: "replaced"})
	case *events.StreamError:
		emit(event{Event: "closed", Reason: "stream error " + e.Code})
	case *events.ConnectFailure:
		emit(event{Event: "closed", Code: int(e.Reason), Reason: e.Message})
	case *events.TemporaryBan:
		emit(event{Event: "closed", Code: int(events.ConnectFailureTempBanned), Reason: e.String()})
	case *events.ClientOutdated:
		emit(event{Event: "closed", Code: int(events.ConnectFailureClientOutdated), Reason: "outdated"})
	case *events.Disconnected:
		emit(event{Event: "closed", Reason: "disconnected"})
	}
}

// phoneNumber is the sender's number where the message names it, otherwise the user part of its address.
func phoneNumber(source types.MessageSource) string {
	if source.Sender.Server != types.DefaultUserServer && source.SenderAlt.Server == types.DefaultUserServer {
		return source.SenderAlt.User
	}
	return source.Sender.User
}
