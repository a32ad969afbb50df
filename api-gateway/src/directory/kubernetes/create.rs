//! Making a session, or taking up the one that is there.
//!
//! Comes in: what a caller wants. Goes out: the session's record. A session, and a volume that was kept, belong to whoever
//! made them: nobody but their owner and the admin takes them up.

use crds::names::{self, OWNER};

use super::facts::SessionFacts;
use super::writes::Writes;
use super::{Inner, Outcome, patch};
use crate::cluster::trouble::{Invalid, Trouble};
use crate::directory::{DirectoryError, NewSession, SessionRecord, Webhook};

impl Inner {
    pub(super) async fn create(&self, new: NewSession) -> Outcome<SessionRecord> {
        let held = self.index().session(&new.id).cloned();
        match held {
            Some(held) => self.take_up(&new, held).await?,
            None => self.make(&new).await?,
        }
        self.record(&new.id)
    }

    async fn make(&self, new: &NewSession) -> Outcome<()> {
        let limit = self.new.max;
        if self.index().at_home() >= limit {
            return Err(DirectoryError::Full { limit });
        }
        let writes = Writes::into(&self.cluster, &self.home);
        let owner = self.owner_of_kept_volume(&writes, new).await?.unwrap_or_else(|| new.owner.clone());
        match writes.create(&patch::resource(new, &owner, self.new.auto_reply)).await {
            Ok(made) => {
                let uid = made.metadata.uid.clone().unwrap_or_default();
                tracing::info!(session = %new.id, namespace = %self.home, "a session was made");
                self.keep(made);
                // The resource comes first, because it owns the Secret; until that is there, the operator waits for it.
                self.write_secret(&writes, new, &uid).await
            }
            Err(Trouble::AlreadyExists) => {
                // Another replica was first, or the watch is late.
                let there = SessionFacts::read(writes.get(&new.id).await?).ok_or(DirectoryError::Taken)?;
                self.take_up(new, there).await
            }
            Err(Trouble::NotFound) => {
                let why =
                    format!("the namespace {} is not there: make it, or set WAREST_NAMESPACE", self.home);
                Err(DirectoryError::Unavailable(why))
            }
            Err(trouble) => Err(in_the_callers_words(trouble)),
        }
    }

    async fn take_up(&self, new: &NewSession, held: SessionFacts) -> Outcome<()> {
        if !new.any_owner && held.owner != new.owner {
            return Err(DirectoryError::Taken);
        }
        if held.deleting.is_some() {
            return Err(DirectoryError::Deleting);
        }
        self.write_secret(&self.writes(&held), new, &held.uid).await?;
        let changed = self.writes(&held).patch(&held.name, &patch::take_up(new, &held.uid)).await;
        self.keep(changed.map_err(in_the_callers_words)?);
        Ok(())
    }

    async fn write_secret(&self, writes: &Writes<'_>, new: &NewSession, uid: &str) -> Outcome<()> {
        let Some(Webhook { secret: Some(secret), .. }) = &new.webhook else { return Ok(()) };
        let (written, place) = (writes.webhook_secret(&new.id, uid, secret).await, writes.namespace());
        if place != self.home && matches!(written, Err(Trouble::Forbidden(_))) {
            let problem = format!(
                "the session is in the namespace {place}, where the gateway may write no Secret: make one there, and name it in \
                 spec.webhooks[0].secretRef"
            );
            return Err(DirectoryError::Invalid { field: "webhookSecret".to_owned(), problem });
        }
        Ok(written?)
    }

    /// The owner of the volume that an earlier session of this name has left. It holds a linked account's credentials.
    async fn owner_of_kept_volume(&self, writes: &Writes<'_>, new: &NewSession) -> Outcome<Option<String>> {
        let Some(claim) = writes.claim(&new.id).await? else { return Ok(None) };
        let owner = claim.annotations.and_then(|mut all| all.remove(OWNER));
        match owner {
            Some(owner) if new.any_owner || owner == new.owner => Ok(Some(owner)),
            None if new.any_owner => Ok(None),
            Some(_) | None => {
                tracing::info!(session = %new.id, claim = %names::claim(new.id.as_str()),
                    "a volume of that name was kept, and is not this caller's");
                Err(DirectoryError::Taken)
            }
        }
    }
}

/// A rule that a new session breaks, at the field of the request that the resource's comes from.
fn in_the_callers_words(trouble: Trouble) -> DirectoryError {
    let Trouble::Invalid(Invalid { field, problem }) = trouble else { return trouble.into() };
    let field = match field.as_str() {
        "metadata.name" => "id".to_owned(),
        "spec.displayName" => "label".to_owned(),
        path if path.starts_with("spec.webhooks") => "webhookUrl".to_owned(),
        _ => field,
    };
    DirectoryError::Invalid { field, problem }
}
