//! A store that failed is tried again: comes back with what waits in it, once it holds what was heard meanwhile.

use std::sync::Arc;

use super::now_ms;
use super::run::Runner;
use super::state::{Input, reason};
use crate::store::{Queued, Store, StoreError, Write};

impl Runner {
    /// Tries the store again. The records that wait go in first: what they settle does not wait any more.
    pub(super) async fn recover(&mut self, store: Arc<Store>) -> Input {
        let records: Arc<[Write]> = self.records.take().into();
        let writes = Arc::clone(&records);
        let why = match tokio::task::spawn_blocking(move || waiting(&store, &writes)).await {
            Ok(Ok(queued)) => return Input::StorageBack(queued),
            Ok(Err(error)) => error.reason(),
            Err(_) => reason("store_unwritable", "the store stopped answering"),
        };
        self.keep_records(&records);
        Input::StorageFailed(why)
    }

    /// Keeps records that could not be committed. Writing one of them twice changes nothing.
    pub(super) fn keep_records(&mut self, records: &[Write]) {
        let lost = self.records.put_back(records.to_vec());
        if lost > 0 {
            tracing::error!(
                lost,
                "too many acknowledgements and receipts wait for the store; the newest are lost"
            );
        }
    }
}

/// Writes, then reads what waits. Blocks.
fn waiting(store: &Store, records: &[Write]) -> Result<Vec<Queued>, StoreError> {
    store.probe(now_ms())?;
    store.write(records, now_ms())?;
    store.queued()
}
