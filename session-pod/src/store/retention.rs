//! What is kept, and for how long: everything in the store is bounded.

use rusqlite::{Connection, params};

/// Bounds of the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Events kept, by number.
    pub events: u64,
    /// Events kept, by bytes.
    pub event_bytes: u64,
    /// Messages remembered for quoting and for telling repetitions, by number.
    pub inbound: u64,
    /// The same, by bytes.
    pub inbound_bytes: u64,
    /// Settled sends kept, by number.
    pub settled: u64,
    /// Settled sends kept, by age in milliseconds.
    pub settled_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 50_000,
            event_bytes: 64 << 20,
            inbound: 20_000,
            inbound_bytes: 32 << 20,
            settled: 50_000,
            settled_ms: 7 * 24 * 3_600_000,
        }
    }
}

/// Deletes what is past the limits. Sends that wait are never deleted.
pub(super) fn prune(tx: &Connection, limits: Limits, now: u64) -> rusqlite::Result<()> {
    by_count_and_bytes(tx, "events", "seq", "length(body)", (limits.events, limits.event_bytes))?;
    by_count_and_bytes(tx, "inbound", "n", "length(message)", (limits.inbound, limits.inbound_bytes))?;
    tx.execute(
        "DELETE FROM outbox WHERE progress <> 0 AND settled_at < ?1",
        params![now.saturating_sub(limits.settled_ms)],
    )?;
    tx.execute(
        "DELETE FROM outbox WHERE progress <> 0 AND n <= (SELECT n FROM outbox WHERE progress <> 0 ORDER BY n DESC LIMIT 1 OFFSET ?1)",
        params![limits.settled],
    )?;
    Ok(())
}

/// Keeps the newest rows of a table up to a number and a sum of bytes. Table and columns are ours, never a caller's.
fn by_count_and_bytes(
    tx: &Connection,
    table: &str,
    key: &str,
    bytes: &str,
    (count, size): (u64, u64),
) -> rusqlite::Result<()> {
    let last_kept = format!(
        "DELETE FROM {table} WHERE {key} <= coalesce((SELECT {key} FROM \
         (SELECT {key}, row_number() OVER newest AS place, sum({bytes}) OVER newest AS total FROM {table} \
          WINDOW newest AS (ORDER BY {key} DESC)) WHERE place > ?1 OR total > ?2 LIMIT 1), -1)"
    );
    tx.execute(&last_kept, params![count, size]).map(|_| ())
}
