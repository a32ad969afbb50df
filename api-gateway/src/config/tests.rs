//! What settings mean, and which are refused.

use super::*;
use crate::directory::kubernetes::Places;

fn read(arguments: &[&str]) -> Result<Config, ConfigError> {
    Config::read(std::iter::once("api-gateway").chain(arguments.iter().copied()).map(OsString::from))
}

#[test]
fn the_examples_settings_mean_what_they_say() {
    let config = read(&[
        "--port=4100",
        "--user-api-keys=user-key-1, user-key-2,",
        "--allowed-origins=http://localhost:5173,http://localhost:8000",
        "--autoreply-enabled=true",
        "--autoreply-ping-pong=true",
        "--https-proxy=socks5://proxy:1080",
        "--no-proxy=localhost,.internal",
        "--extra-ca=",
    ])
    .unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:4100");
    assert_eq!(config.user_api_keys, ["user-key-1", "user-key-2"]);
    assert!(matches!(config.origins, Origins::Listed(list) if list.len() == 2));
    assert!(config.auto_reply && !config.production);
    let handed =
        |name: &str| config.session_environment.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(handed("HTTPS_PROXY"), Some("socks5://proxy:1080"));
    assert_eq!(handed("NO_PROXY"), Some("localhost,.internal"));
    assert_eq!(handed("WAREST_EXTRA_CA"), None, "empty is unset");
}

#[test]
fn an_empty_setting_is_the_default() {
    let config =
        read(&["--port=", "--host=", "--data-dir=", "--sessions-max=", "--autoreply-enabled="]).unwrap();
    assert_eq!((config.listen.port(), config.sessions_max), (4000, 500));
    assert_eq!(config.data_dir, PathBuf::from("./data"));
    assert!(!config.auto_reply);
}

#[test]
fn a_wrong_setting_is_named() {
    for (argument, name) in [
        ("--port=70000", "PORT"),
        ("--host=localhost:80", "HOST"),
        ("--autoreply-enabled=maybe", "AUTOREPLY_ENABLED"),
        ("--allowed-origins=https://shop.example/path", "ALLOWED_ORIGINS"),
        ("--allowed-origins=shop.example", "ALLOWED_ORIGINS"),
        ("--sessions-max=-1", "SESSIONS_MAX"),
    ] {
        let error = read(&[argument]).unwrap_err().to_string();
        assert!(error.starts_with(name), "{argument}: {error}");
    }
}

#[test]
fn production_refuses_the_examples_key() {
    let key = format!("--admin-api-key={EXAMPLE_ADMIN_KEY}");
    let error = read(&["--node-env=production", &key]).unwrap_err().to_string();
    assert!(error.contains("ADMIN_API_KEY") && error.contains("choose another one"), "{error}");
    assert!(read(&[&key]).is_ok());
    assert!(read(&["--node-env=production", "--admin-api-key=mine"]).is_ok());
}

#[test]
fn local_mode_is_the_default_and_a_cluster_needs_keys() {
    assert_eq!(read(&[]).unwrap().mode, Mode::Local);
    let cluster = |more: &[&str]| read(&[&["--mode=kubernetes"], more].concat());
    let error = cluster(&[]).unwrap_err().to_string();
    assert!(error.starts_with("WAREST_KEYS_SECRET") && error.contains("ADMIN_API_KEY"), "{error}");
    assert!(cluster(&["--admin-api-key=x"]).is_ok());
    let both = cluster(&["--admin-api-key=x", "--keys-secret=keys"]).unwrap_err().to_string();
    assert!(both.contains("only one of them"), "{both}");
    let create = cluster(&["--admin-api-key=x", "--keys-secret-create=true"]).unwrap_err().to_string();
    assert!(create.starts_with("WAREST_KEYS_SECRET_CREATE"), "{create}");
    let error = read(&["--mode=docker"]).unwrap_err().to_string();
    assert!(error.starts_with("WAREST_MODE"), "{error}");
}

#[test]
fn a_clusters_places_are_read() {
    let read = |more: &[&str]| match read(&[&["--mode=kubernetes", "--keys-secret=keys"], more].concat()) {
        Ok(Config { mode: Mode::Kubernetes(cluster), .. }) => Ok(cluster),
        Ok(_) => panic!("a cluster"),
        Err(error) => Err(error.to_string()),
    };
    let plain = read(&["--namespace=", "--watch-namespaces="]).unwrap();
    let places = plain.places("own");
    assert_eq!((places.home.as_str(), places.key_namespace.as_str()), ("own", "own"));
    assert_eq!(places.places, Places::Namespaces(vec!["own".to_owned()]));
    let told = read(&["--namespace=shops", "--watch-namespaces=labs, shops", "--cluster-key-namespace=sys"])
        .unwrap();
    let places = told.places("own");
    assert_eq!((places.home.as_str(), places.key_namespace.as_str()), ("shops", "sys"));
    assert_eq!(places.places, Places::Namespaces(vec!["labs".to_owned(), "shops".to_owned()]));
    let all = read(&["--watch-namespaces=*"]).unwrap();
    assert_eq!(all.places("own").places, Places::All);
    let error = read(&["--namespace=shops", "--watch-namespaces=labs"]).unwrap_err();
    assert!(error.starts_with("WAREST_WATCH_NAMESPACES") && error.contains("shops"), "{error}");
    assert!(read(&["--namespace=Not_One"]).unwrap_err().starts_with("WAREST_NAMESPACE"));
    assert_eq!((plain.watch_timeout, read(&["--watch-timeout-seconds=5"]).unwrap().watch_timeout), (30, 5));
    for bad in ["0", "291"] {
        let error = read(&[&format!("--watch-timeout-seconds={bad}")]).unwrap_err();
        assert!(error.starts_with("WAREST_WATCH_TIMEOUT_SECONDS") && error.contains(bad), "{error}");
    }
}

#[test]
fn the_limits_of_the_environment_hold_until_an_admin_changes_them() {
    let config =
        read(&["--rate-limit-window-ms=", "--rate-limit-max=7", "--webhook-default-url=https://x/"]).unwrap();
    assert_eq!((config.settings.window_ms, config.settings.max), (60_000, 7));
    assert_eq!(config.settings.webhook_url.as_deref(), Some("https://x/"));
    for (argument, name) in [
        ("--rate-limit-max=0", "RATE_LIMIT_MAX"),
        ("--rate-limit-window-ms=5", "RATE_LIMIT_WINDOW_MS"),
        ("--webhook-default-url=x", "WEBHOOK_DEFAULT_URL"),
    ] {
        let error = read(&[argument]).unwrap_err().to_string();
        assert!(error.starts_with(name), "{argument}: {error}");
    }
}

#[test]
fn a_stop_takes_its_time_in_a_cluster_and_none_on_ones_own_machine() {
    let patience = |arguments: &[&str]| {
        let patience = read(arguments).unwrap().patience;
        (patience.drain.as_secs(), patience.grace.as_secs())
    };
    assert_eq!(patience(&[]), (0, 10));
    assert_eq!(patience(&["--mode=kubernetes", "--admin-api-key=k"]), (5, 50));
    assert_eq!(patience(&["--drain-seconds=7", "--grace-seconds=0"]), (7, 0));
    for (argument, name) in
        [("--drain-seconds=soon", "WAREST_DRAIN_SECONDS"), ("--grace-seconds=3601", "WAREST_GRACE_SECONDS")]
    {
        let error = read(&[argument]).unwrap_err().to_string();
        assert!(error.starts_with(name), "{argument}: {error}");
    }
}
