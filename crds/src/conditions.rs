//! The conditions of a session and the reasons that they have. Reasons are for machines and stay; messages are for people.

/// Summary: messages flow. Its reason is that of whatever stands in the way.
pub const READY: &str = "Ready";
/// The pod exists, is this session's, and its container is ready.
pub const POD_READY: &str = "PodReady";
/// The volume is there and is the one that the session has had before.
pub const STORAGE_READY: &str = "StorageReady";
/// The volume holds credentials of a linked device.
pub const PAIRED: &str = "Paired";
/// The session is logged in to WhatsApp.
pub const CONNECTED: &str = "Connected";
/// The session is suspended and its pod has ended.
pub const SUSPENDED: &str = "Suspended";

/// All condition types, in the order in which they are shown.
pub const ALL: [&str; 6] = [READY, POD_READY, STORAGE_READY, PAIRED, CONNECTED, SUSPENDED];

/// Why a condition is as it is.
pub mod reason {
    /// It is as it should be.
    pub const AS_EXPECTED: &str = "AsExpected";
    /// Not known: nothing could be asked.
    pub const UNKNOWN: &str = "Unknown";

    /// The session runs (of Suspended).
    pub const RUNNING: &str = "Running";
    /// The session is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// The session is being suspended: its pod has not ended yet.
    pub const SUSPENDING: &str = "Suspending";
    /// The session is marked `warest.io/paused`.
    pub const PAUSED: &str = "Paused";
    /// The resource is being deleted.
    pub const DELETING: &str = "Deleting";
    /// The spec asks for something that cannot be.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// A Secret that the spec names, or its key, is not there.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// The API server refused an object of this session (quota, admission, pod security).
    pub const REFUSED: &str = "Refused";
    /// The operator may not do what it has to.
    pub const FORBIDDEN: &str = "Forbidden";
    /// The namespace is being deleted.
    pub const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

    /// There is no pod yet.
    pub const POD_MISSING: &str = "PodMissing";
    /// A pod of that name exists that is not this session's.
    pub const POD_NAME_CONFLICT: &str = "PodNameConflict";
    /// More than one pod claims to be this session's.
    pub const MULTIPLE_PODS: &str = "MultiplePods";
    /// The pod is ending.
    pub const POD_TERMINATING: &str = "PodTerminating";
    /// The pod finds no node.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// The image cannot be had.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// The container cannot be made (a volume, a Secret, its configuration).
    pub const CONTAINER_NOT_CREATED: &str = "ContainerNotCreated";
    /// The container ends again and again.
    pub const CRASH_LOOP: &str = "CrashLoop";
    /// The container has started and is not ready.
    pub const CONTAINER_NOT_READY: &str = "ContainerNotReady";
    /// The pod has failed, was evicted or is gone; a new one is made.
    pub const POD_FAILED: &str = "PodFailed";
    /// A new pod is made later: the last ones failed.
    pub const BACKING_OFF: &str = "BackingOff";
    /// The pod's node does not answer; the pod may still run there.
    pub const NODE_UNREACHABLE: &str = "NodeUnreachable";
    /// The pod's volume is still attached to another node.
    pub const VOLUME_ATTACH_FAILED: &str = "VolumeAttachFailed";
    /// The template is newer than the pod, which waits for its turn.
    pub const ROLLOUT_PENDING: &str = "RolloutPending";
    /// The fleet's rollout has stopped by itself: sessions that had their turn did not come back.
    pub const ROLLOUT_STOPPED: &str = "RolloutStopped";

    /// The claim is not bound yet.
    pub const STORAGE_PENDING: &str = "StoragePending";
    /// The claim is being deleted.
    pub const STORAGE_TERMINATING: &str = "StorageTerminating";
    /// The volume that the session has had is gone or another one.
    pub const VOLUME_LOST: &str = "VolumeLost";
    /// The volume is being thrown away as `volumeResetToken` asks.
    pub const VOLUME_RESETTING: &str = "VolumeResetting";
    /// A claim of that name exists that is not this session's.
    pub const CLAIM_NAME_CONFLICT: &str = "ClaimNameConflict";
    /// The claim that the spec names is not there.
    pub const CLAIM_NOT_FOUND: &str = "ClaimNotFound";
    /// Another session uses the same claim and folder.
    pub const DUPLICATE_VOLUME: &str = "DuplicateVolume";
    /// The storage class cannot grow the volume.
    pub const RESIZE_FAILED: &str = "ResizeFailed";

    /// The pod's HTTP interface does not answer.
    pub const SESSION_UNREACHABLE: &str = "SessionUnreachable";
    /// Another session answers at the pod's address.
    pub const WRONG_SESSION_ANSWERED: &str = "WrongSessionAnswered";
    /// Another session is linked to the same account.
    pub const DUPLICATE_ACCOUNT: &str = "DuplicateAccount";

    /// The session program has started.
    pub const STARTING: &str = "Starting";
    /// A phone has to be linked.
    pub const AWAITING_PAIRING: &str = "AwaitingPairing";
    /// The connection is gone for a passing reason.
    pub const RECONNECTING: &str = "Reconnecting";
    /// The device was removed from the account.
    pub const LOGGED_OUT: &str = "LoggedOut";
    /// Another client took the connection over.
    pub const REPLACED: &str = "Replaced";
    /// WhatsApp has banned the account.
    pub const BANNED: &str = "Banned";
    /// WhatsApp refuses this client version.
    pub const OUTDATED: &str = "Outdated";
    /// Nobody scanned.
    pub const QR_EXPIRED: &str = "QrExpired";
    /// The account demands a passkey.
    pub const PASSKEY_REQUIRED: &str = "PasskeyRequired";
    /// The session cannot go on (its store, or a refusal for good).
    pub const SESSION_FAILED: &str = "SessionFailed";
    /// The session is logged in, but its volume does not give back messages that wait to be sent.
    pub const OUTBOX_UNREADABLE: &str = "OutboxUnreadable";
    /// The session is logged in, but says that something else is wrong.
    pub const SESSION_TROUBLED: &str = "SessionTroubled";
    /// The session program is shutting down.
    pub const STOPPING: &str = "Stopping";
}
