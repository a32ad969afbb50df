//! What judges do in groups, and what they hear of them.

use serde_json::{Value, json};

use super::{Judge, field};

impl Judge {
    /// Makes a group with these numbers besides its own and gives the group's JID.
    pub async fn create_group(&mut self, subject: &str, members: &[&str]) -> String {
        let reference =
            self.ask(json!({"cmd": "create_group", "subject": subject, "members": members})).await;
        let made = |event: &Value| (event["ref"] == reference).then(|| field(event, "group", "group"))?;
        self.client.expect("the group", made).await
    }

    /// Asks who is in a group: numbers, in order.
    pub async fn members(&mut self, group: &str) -> Vec<String> {
        let reference = self.ask(json!({"cmd": "group_info", "group": group})).await;
        let told = |event: &Value| (event["ref"] == reference).then(|| numbers(event))?;
        self.client.expect("the group's members", told).await
    }

    /// Adds, removes, promotes or demotes a member of a group.
    pub async fn change_member(&mut self, group: &str, action: &str, number: &str) {
        let command = json!({"cmd": "change_members", "group": group, "action": action, "members": [number]});
        let reference = self.ask(command).await;
        let done = |event: &Value| (event["event"] == "changed" && event["ref"] == reference).then_some(());
        self.client.expect("the change of the group", done).await;
    }

    /// Waits until it learns that it is in a group.
    pub async fn joins(&mut self, group: &str) {
        let joined = |event: &Value| (event["event"] == "joined" && event["group"] == group).then_some(());
        self.client.expect("to be in the group", joined).await;
    }

    /// Waits until it learns of a change of a group's members.
    pub async fn hears(&mut self, group: &str, action: &str, number: &str) {
        let heard = |event: &Value| {
            let change = event["event"] == "members" && event["group"] == group && event["action"] == action;
            (change && numbers(event)? == [number]).then_some(())
        };
        self.client.expect(&format!("{action} in the group"), heard).await;
    }
}

/// The members that an event names.
fn numbers(event: &Value) -> Option<Vec<String>> {
    event["members"].as_array()?.iter().map(|number| number.as_str().map(str::to_owned)).collect()
}
