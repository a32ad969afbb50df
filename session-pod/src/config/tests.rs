//! Flags as people write them.

use super::*;
use crate::whatsapp::DEFAULT_LOG;

fn flags(change: impl FnOnce(&mut Flags)) -> Flags {
    let mut flags = Flags {
        session_id: "alice".into(),
        session_uid: "uid-1".into(),
        data_dir: "/data".into(),
        listen: ([127, 0, 0, 1], 0).into(),
        address_file: None,
        token: Some("0123456789abcdef".into()),
        token_file: None,
        whatsapp_url: Some("ws://127.0.0.1:1/ws/chat".into()),
        extra_ca: None,
        proxy: None,
        no_proxy: String::new(),
        device_name: "WARest".into(),
        auto_reply: false,
        client_version: None,
        exit_on_stdin_eof: false,
        log: DEFAULT_LOG.into(),
        min_free_bytes: 0,
        config_file: None,
        min_writer_epoch: 0,
    };
    change(&mut flags);
    flags
}

#[track_caller]
fn refused(simulator_build: bool, change: impl FnOnce(&mut Flags)) -> ConfigError {
    validate(flags(change), simulator_build).unwrap_err()
}

#[test]
fn a_simulator_build_refuses_whatsapp() {
    for url in [
        None,
        Some(""),
        Some("wss://web.whatsapp.com/ws/chat"),
        Some("wss://WEB.WhatsApp.com./ws/chat"),
        Some("ws://g.whatsapp.net/ws/chat"),
        Some("wss://whatsapp.net"),
    ] {
        let error = refused(true, |f| f.whatsapp_url = url.map(str::to_owned));
        assert!(matches!(error, ConfigError::SimulatorBuild(_)), "{url:?}: {error}");
    }
    let near = validate(flags(|f| f.whatsapp_url = Some("ws://notwhatsapp.com/ws/chat".into())), true);
    assert!(near.is_ok());
}

#[test]
fn a_release_build_talks_to_whatsapp_by_default_and_pins_no_version() {
    let config = validate(flags(|f| f.whatsapp_url = None), false).unwrap();
    assert_eq!(config.whatsapp_url.as_str(), WHATSAPP_URL);
    assert_eq!(config.client_version, None);
    assert_eq!(validate(flags(|_| ()), true).unwrap().client_version, Some(SIMULATOR_CLIENT_VERSION));
}

#[test]
fn broken_values_are_named() {
    for id in ["", "-a", "a-", "A", "a.b", "ä", &"x".repeat(64)] {
        let error = refused(true, |f| f.session_id = id.to_owned());
        assert!(matches!(error, ConfigError::SessionId(_)), "{id:?}");
    }
    assert_eq!(refused(true, |f| f.session_uid = "a b".into()), ConfigError::SessionUid);
    assert_eq!(refused(true, |f| f.token = None), ConfigError::Token);
    assert_eq!(refused(true, |f| f.token_file = Some("/t".into())), ConfigError::Token);
    assert_eq!(refused(true, |f| f.token = Some("short".into())), ConfigError::ShortToken);
    assert_eq!(refused(true, |f| f.proxy = Some("ftp://x".into())), ConfigError::Proxy);
    assert_eq!(refused(true, |f| f.device_name = String::new()), ConfigError::DeviceName);
    for version in ["2", "2.3000", "2.3000.x", "2.3000.1.4"] {
        let error = refused(true, |f| f.client_version = Some(version.into()));
        assert!(matches!(error, ConfigError::ClientVersion(_)), "{version}");
    }
    for url in ["http://127.0.0.1/ws/chat", "ws://", "nonsense"] {
        let error = refused(true, |f| f.whatsapp_url = Some(url.into()));
        assert!(matches!(error, ConfigError::WhatsappUrl(_)), "{url}");
    }
}

#[test]
fn proxies_and_versions_are_read() {
    let config = validate(
        flags(|f| {
            f.proxy = Some("socks5://user:secret@127.0.0.1:1080".into());
            f.client_version = Some("2.3000.1234".into());
        }),
        false,
    )
    .unwrap();
    assert_eq!(config.proxy.unwrap().scheme(), "socks5");
    assert_eq!(config.client_version, Some((2, 3000, 1234)));
}
