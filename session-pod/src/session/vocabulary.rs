//! What the session hears and does, as values: inputs, signals of the client, requests, refusals, effects. No behaviour.

use session_api::{Account, ConfigPush, EventData, PairingCode, ProxyUrl, Reason, SessionState};

use super::Secret;
use super::disconnect::Ending;
use crate::store::{Link, Progress, Queued, Write};

/// What happens to the session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// The client of this generation says something.
    Engine {
        /// Which client.
        generation: u64,
        /// What.
        signal: Signal,
    },
    /// Somebody asks for something and waits at `ticket` for the answer.
    Ask {
        /// Where to answer.
        ticket: u64,
        /// What.
        ask: Ask,
    },
    /// A send is in the store.
    Stored {
        /// Its id.
        id: String,
        /// Who gets it.
        to: String,
    },
    /// The store no longer takes writes.
    StorageFailed(Reason),
    /// The store takes writes again; these sends wait in it.
    StorageBack(Vec<Queued>),
    /// The dead credentials are deleted, or not.
    Wiped(Result<(), Reason>),
    /// The process is asked to stop.
    Stop,
    /// Time has passed.
    Tick,
}

/// What the client says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Signal {
    /// It opens a connection.
    Dialing,
    /// It could not.
    DialFailed(Reason),
    /// A new QR code, valid for so many milliseconds.
    Qr {
        /// The text it encodes.
        qr: String,
        /// For how long.
        valid_ms: u64,
    },
    /// The QR codes of this connection are used up.
    QrExhausted,
    /// A new pairing code.
    Code(Secret<PairingCode>),
    /// A phone tried to link and failed.
    PairFailed(Reason),
    /// A phone has linked the device.
    Paired(Account),
    /// Logged in; messages flow.
    Connected(Account),
    /// The connection is gone for a passing reason.
    Disconnected(Reason),
    /// The connection is gone for good.
    Ended(Ending),
    /// WhatsApp's server acknowledged a message, or refused it with a code.
    Ack {
        /// Which.
        id: String,
        /// The code of the refusal.
        refused: Option<String>,
    },
    /// Messages came further at the other side.
    Receipt {
        /// Which.
        ids: Vec<String>,
        /// How far.
        progress: Progress,
    },
    /// A message was written to the wire, or not.
    Transmitted {
        /// On which connection, counted by the session.
        connection: u64,
        /// Which.
        id: String,
        /// How it went.
        result: Transmission,
    },
    /// The client is done; nothing more comes from it.
    Gone,
    /// The client could not be built.
    Broken {
        /// Why.
        reason: Reason,
        /// Whether trying again can help.
        passing: bool,
    },
}

/// How writing a message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transmission {
    /// It is on the wire.
    Written,
    /// There was no connection.
    Disconnected,
    /// It was not tried: one handed over before it could not be written.
    Held,
    /// The store cannot read it, and everything else can be read.
    Unreadable,
    /// It did not work; it may the next time.
    Failed,
    /// It can never work.
    Impossible(Reason),
}

/// What people ask for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// Take a send.
    Send {
        /// Its id.
        id: String,
        /// Who gets it.
        to: String,
    },
    /// Start pairing.
    StartPairing,
    /// Stop pairing.
    StopPairing,
    /// Get a pairing code for this number.
    PairingCode {
        /// Digits only.
        phone: String,
    },
    /// Remove the device from the account.
    Logout,
    /// New configuration.
    Configure(ConfigPush),
}

/// Why something that was asked for is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The session is not connected and will not be until somebody acts.
    NotOpen(SessionState),
    /// The process is stopping.
    Stopping,
    /// Too many sends wait.
    QueueFull,
    /// The recipient was written to a moment ago; for so many milliseconds more it is too early.
    Cooldown(u64),
    /// It is paired already.
    AlreadyPaired,
    /// It is not pairing.
    NotPairing,
    /// No connection carries the request yet.
    NotReady,
    /// The store is broken or cannot be written.
    Store(Reason),
}

/// What became of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// WhatsApp's server has it.
    Sent,
    /// It was given up.
    Failed(Reason),
}

/// What is to be done. All writes of a round are committed together, before anything else is done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Change the store, before anything else of the round is done.
    Write(Write),
    /// Change the store soon, with whatever is committed next; kept until the store takes it. Only for what a crash may undo: a
    /// message whose acknowledgement is lost goes out again under the same id. WhatsApp tells none of it twice.
    Record(Write),
    /// Put the send that waits at this ticket into the store.
    Accept(u64),
    /// Build a client and run it.
    StartEngine {
        /// Which client.
        generation: u64,
        /// The way to WhatsApp; none: as the program was started.
        proxy: Option<ProxyUrl>,
    },
    /// End the client gracefully.
    StopEngine(u64),
    /// Ask the client to remove the device from the account, then answer.
    Logout(u64),
    /// Ask the client for a pairing code, then answer.
    RequestCode {
        /// Where to answer.
        ticket: u64,
        /// Digits only.
        phone: String,
    },
    /// Delete the credentials.
    Wipe,
    /// Write these messages to the wire, one after another. What stands behind one that cannot be written is held.
    Transmit {
        /// By which client.
        generation: u64,
        /// On which of its connections; once that is gone, nothing more is written.
        connection: u64,
        /// Which messages.
        ids: Vec<String>,
        /// Those that were handed over before are still being written: these go behind them, and are held with them.
        behind: bool,
    },
    /// Answer.
    Answer(u64, Result<(), Refusal>),
    /// Tell those who wait for this send.
    Resolve {
        /// Which.
        id: String,
        /// What became of it.
        outcome: Outcome,
    },
    /// Tell those who listen right now.
    Announce(EventData),
    /// The process can end.
    Exit,
}

/// What the process found when it started.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// What the session is linked to.
    pub link: Link,
    /// Whether whatsapp-rust's file holds a paired device.
    pub credentials: bool,
    /// Whether the session's own file is new.
    pub fresh: bool,
    /// Sends that wait.
    pub queued: Vec<Queued>,
}
