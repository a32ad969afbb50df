//! The local directory with a real program: a shell script that announces an address and stays until it is told to end.

use std::path::Path;

use super::*;
use crate::directory::{Runtime, Webhook};

const PROGRAM: &str = "env | grep ^WAREST > \"$WAREST_DATA_DIR/seen\"
echo \"127.0.0.1:$$\" > \"$WAREST_ADDRESS_FILE.new\"
mv \"$WAREST_ADDRESS_FILE.new\" \"$WAREST_ADDRESS_FILE\"
exec cat
";

fn open(folder: &Path) -> LocalDirectory {
    let program = folder.join("program");
    let settings = LocalSettings {
        program: if program.exists() { program } else { testing::program(folder, PROGRAM) },
        environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        auto_reply: true,
        max_sessions: 3,
        token_key: [7; 32],
        on_exit: Arc::new(|| ()),
    };
    LocalDirectory::open(Store::open(&folder.join("data")).unwrap(), settings).unwrap()
}

fn id(text: &str) -> SessionName {
    text.parse().unwrap()
}

fn new(name: &str, owner: &str) -> NewSession {
    NewSession {
        id: id(name),
        owner: owner.to_owned(),
        any_owner: owner == "admin",
        label: None,
        webhook: None,
    }
}

async fn running(directory: &LocalDirectory, name: &str) -> SessionRecord {
    let mut changes = directory.changes();
    let reached = async {
        loop {
            let session = directory.get(&id(name)).expect("it is in the list");
            if session.runtime.pod().is_some() {
                return session;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), reached).await.expect("in time")
}

#[tokio::test]
async fn a_session_runs_and_is_told_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let webhook = Some(Webhook { url: "http://x/".to_owned(), secret: Some("s".to_owned()) });
    let made =
        directory.create(NewSession { webhook: webhook.clone(), ..new("shop", "user-1") }).await.unwrap();
    assert!(!matches!(made.runtime, Runtime::Stopped { .. }), "it has begun");
    let session = running(&directory, "shop").await;
    assert_eq!((session.owner.as_str(), &session.webhook, session.uid.len()), ("user-1", &webhook, 36));
    let seen = std::fs::read_to_string(folder.path().join("data/volumes/shop/seen")).unwrap();
    let pod = session.runtime.pod().unwrap();
    for line in [
        "WAREST_SESSION_ID=shop".to_owned(),
        format!("WAREST_SESSION_UID={}", session.uid),
        format!("WAREST_TOKEN={}", pod.token),
        "WAREST_AUTO_REPLY=true".to_owned(),
        "WAREST_EXIT_ON_STDIN_EOF=true".to_owned(),
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
    }
    directory.shutdown().await;
    assert!(matches!(directory.get(&id("shop")).unwrap().runtime, Runtime::Stopped { .. }));
}

#[tokio::test]
async fn sessions_and_their_modes_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path());
    let uid = first.create(new("runs", "admin")).await.unwrap().uid;
    first.create(new("rests", "admin")).await.unwrap();
    let rests = first.suspend(&id("rests")).await.unwrap();
    assert!(matches!(rests.runtime, Runtime::Stopped { .. }));
    first.shutdown().await;
    drop(first);
    let second = open(folder.path());
    assert_eq!(running(&second, "runs").await.uid, uid);
    assert!(matches!(second.get(&id("rests")).unwrap().runtime, Runtime::Stopped { .. }));
    second.resume(&id("rests")).await.unwrap();
    running(&second, "rests").await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_deleted_session_comes_back_to_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    let uid = directory.create(new("shop", "user-1")).await.unwrap().uid;
    running(&directory, "shop").await;
    directory.delete(&id("shop"), Volume::ByPolicy).await.unwrap();
    assert!(directory.list().is_empty() && folder.path().join("data/volumes/shop/seen").exists());
    let stranger = directory.create(new("shop", "user-2")).await;
    assert!(matches!(stranger, Err(DirectoryError::Taken)));
    let admin = directory.create(new("shop", "admin")).await.unwrap();
    assert_eq!((admin.uid.as_str(), admin.owner.as_str()), (uid.as_str(), "user-1"), "it stays its owner's");
    let again = directory.create(new("shop", "user-2")).await;
    assert!(matches!(again, Err(DirectoryError::Taken)), "also while it is there");
    directory.delete(&id("shop"), Volume::Remove).await.unwrap();
    assert!(!folder.path().join("data/volumes/shop").exists());
    let other = directory.create(new("shop", "user-2")).await.unwrap();
    assert_ne!(other.uid, uid, "nothing of the old one is left");
    directory.shutdown().await;
}

#[tokio::test]
async fn wiping_removes_credentials_and_keeps_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    directory.create(new("shop", "admin")).await.unwrap();
    running(&directory, "shop").await;
    let wiped = directory.wipe(&id("shop")).await.unwrap();
    assert!(matches!(wiped.runtime, Runtime::Stopped { .. }));
    assert!(!folder.path().join("data/volumes/shop/seen").exists());
    directory.resume(&id("shop")).await.unwrap();
    running(&directory, "shop").await;
    directory.shutdown().await;
}

#[tokio::test]
async fn files_that_are_no_sessions_are_told_and_never_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("data/sessions")).unwrap();
    let file = folder.path().join("data/sessions/mine.yaml");
    std::fs::write(&file, "a: [").unwrap();
    let directory = open(folder.path());
    assert_eq!(directory.problems().len(), 1);
    assert!(matches!(directory.create(new("mine", "admin")).await, Err(DirectoryError::Taken)));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a: [");
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    for name in ["a", "b", "c"] {
        directory.create(new(name, "admin")).await.unwrap();
    }
    assert!(matches!(directory.create(new("d", "admin")).await, Err(DirectoryError::Full { limit: 3 })));
    assert!(directory.create(new("a", "admin")).await.is_ok(), "known ones are no new ones");
    assert!(matches!(directory.suspend(&id("d")).await, Err(DirectoryError::NotFound)));
    directory.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    directory.create(new("shop", "admin")).await.unwrap();
    let before = running(&directory, "shop").await;
    // A folder in the place of the temporary file: root writes through file modes, but not through that.
    std::fs::create_dir(folder.path().join("data/sessions/.shop.yaml.new")).unwrap();
    assert!(matches!(directory.suspend(&id("shop")).await, Err(DirectoryError::Storage(_))));
    assert_eq!(directory.get(&id("shop")).unwrap(), before, "it runs on");
    directory.shutdown().await;
}

#[tokio::test]
async fn a_copied_resource_is_no_second_session() {
    let folder = tempfile::tempdir().unwrap();
    let directory = open(folder.path());
    directory.create(new("shop", "admin")).await.unwrap();
    directory.shutdown().await;
    drop(directory);
    let sessions = folder.path().join("data/sessions");
    let text = std::fs::read_to_string(sessions.join("shop.yaml")).unwrap();
    let copy = text.replace("name: shop", "name: copy");
    assert_ne!(copy, text);
    std::fs::write(sessions.join("copy.yaml"), &copy).unwrap();
    let directory = open(folder.path());
    let [session] = &directory.list()[..] else { panic!("one of the two") };
    let [problem] = &directory.problems()[..] else { panic!("the other") };
    assert!(
        problem.why.contains("metadata.uid") && !problem.what.contains(session.id.as_str()),
        "{problem:?}"
    );
    assert_eq!(std::fs::read_to_string(sessions.join("copy.yaml")).unwrap(), copy, "it is left alone");
}
