package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/types"
)

// address takes a number as a person's; whatever has a server is meant as it is.
func address(to string) (types.JID, error) {
	if strings.Contains(to, "@") {
		return types.ParseJID(to)
	}
	return types.NewJID(to, types.DefaultUserServer), nil
}

func addresses(numbers []string) []types.JID {
	jids := make([]types.JID, len(numbers))
	for i, number := range numbers {
		jids[i] = types.NewJID(number, types.DefaultUserServer)
	}
	return jids
}

func (j *judge) createGroup(ctx context.Context, c command) error {
	info, err := j.client.CreateGroup(ctx, whatsmeow.ReqCreateGroup{Name: c.Subject, Participants: addresses(c.Members)})
	if err != nil {
		return fmt.Errorf("create a group: %w", err)
	}
	emit(describeGroup("group", info, c.Ref))
	return nil
}

func (j *judge) groupInfo(ctx context.Context, c command) error {
	group, err := types.ParseJID(c.Group)
	if err != nil {
		return err
	}
	info, err := j.client.GetGroupInfo(ctx, group)
	if err != nil {
		return fmt.Errorf("ask about the group: %w", err)
	}
	emit(describeGroup("group", info, c.Ref))
	return nil
}

func (j *judge) changeMembers(ctx context.Context, c command) error {
	group, err := types.ParseJID(c.Group)
	if err != nil {
		return err
	}
	changed, err := j.client.UpdateGroupParticipants(ctx, group, addresses(c.Members), whatsmeow.ParticipantChange(c.Action))
	if err != nil {
		return fmt.Errorf("change members: %w", err)
	}
	for _, member := range changed {
		if member.Error != 0 {
			return fmt.Errorf("change members: refused with %d", member.Error)
		}
	}
	emit(event{Event: "changed", Ref: c.Ref})
	return nil
}

func describeGroup(name string, info *types.GroupInfo, ref *int) event {
	members := make([]string, len(info.Participants))
	for i, member := range info.Participants {
		members[i] = member.PhoneNumber.User
	}
	slices.Sort(members)
	return event{Event: name, Ref: ref, Group: info.JID.String(), Subject: info.Name, Members: members}
}

// reportMembers reports one kind of change, by number where the number is known.
func (j *judge) reportMembers(group types.JID, action string, members []types.JID) {
	if len(members) == 0 {
		return
	}
	numbers := make([]string, len(members))
	for i, jid := range members {
		numbers[i] = jid.User
		if number, err := j.client.Store.LIDs.GetPNForLID(context.Background(), jid); err == nil && !number.IsEmpty() {
			numbers[i] = number.User
		}
	}
	slices.Sort(numbers)
	emit(event{Event: "members", Group: group.String(), Action: action, Members: numbers})
}
