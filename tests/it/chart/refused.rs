//! Values that cannot be: each is refused before anything is rendered, and the refusal names it.

use super::{chart, helm};

/// What `helm template` says to a value that it refuses.
fn refusal(set: &str) -> String {
    let output = helm(&["template", "warest", &chart().to_string_lossy(), "--set", set]);
    assert!(!output.status.success(), "{set} is taken");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_misspelt_value_is_named() {
    for (set, at, key) in [
        ("watchNamespace=a", "''", "watchNamespace"),
        ("crds.enable=true", "'/crds'", "enable"),
        ("gateway.replica=2", "'/gateway'", "replica"),
        ("gateway.auth.existingsecret=a", "'/gateway/auth'", "existingsecret"),
        ("gateway.auth.adminKey.name=a", "'/gateway/auth/adminKey'", "name"),
        ("gateway.ingress.host=a", "'/gateway/ingress'", "host"),
        (
            "gateway.httpRoute.parentRefs[0].name=a,gateway.httpRoute.parentRefs[0].section=b",
            "'/gateway/httpRoute/parentRefs/0'",
            "section",
        ),
        ("operator.resources.limit.memory=1Gi", "'/operator/resources'", "limit"),
        ("operator.rollout.max=1", "'/operator/rollout'", "max"),
        ("operator.tolerations[0].keys=a", "'/operator/tolerations/0'", "keys"),
        ("session.image.repo=a", "'/session/image'", "repo"),
        ("networkPolicy.apiserver.ports[0]=443", "'/networkPolicy'", "apiserver"),
        ("monitoring.servicemonitor.enabled=true", "'/monitoring'", "servicemonitor"),
    ] {
        let said = refusal(set);
        let expected = format!("at {at}: additional properties '{key}' not allowed");
        assert!(said.contains(&expected), "{set}: {expected:?} is not in\n{said}");
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_named() {
    for (set, at) in [
        ("operator.replicas=two", "/operator/replicas"),
        ("operator.concurrency=0", "/operator/concurrency"),
        ("operator.rollout.maxUnavailable=200%", "/operator/rollout/maxUnavailable"),
        ("gateway.enabled=maybe", "/gateway/enabled"),
        ("gateway.service.port=70000", "/gateway/service/port"),
        ("gateway.service.type=Clusterip", "/gateway/service/type"),
        ("gateway.allowedOrigins[0]=shop.example", "/gateway/allowedOrigins/0"),
        ("gateway.mysql.port=x", "/gateway/mysql/port"),
        ("gateway.redis.url=http://redis", "/gateway/redis/url"),
        ("gateway.extraEnv[0].value=x", "/gateway/extraEnv/0"),
        ("gateway.nodeSelector.a=true", "/gateway/nodeSelector/a"),
        ("session.env.A=one\\,B=two", "/session/env/A"),
        ("session.image.digest=sha256:12", "/session/image/digest"),
        ("session.image.pullPolicy=Sometimes", "/session/image/pullPolicy"),
        ("session.resources.limits.memory=64MB", "/session/resources/limits/memory"),
        ("session.whatsappUrl=https://web.whatsapp.com", "/session/whatsappUrl"),
        ("watchNamespaces[0]=Team_A", "/watchNamespaces/0"),
        ("watchNamespaces=team-a", "/watchNamespaces"),
        ("global.imagePullSecrets[0]=registry", "/global/imagePullSecrets/0"),
        ("commonLabels.a=1", "/commonLabels/a"),
        ("networkPolicy.apiServer.cidrs[0]=10.0.0.1", "/networkPolicy/apiServer/cidrs/0"),
        ("monitoring.serviceMonitor.interval=30", "/monitoring/serviceMonitor/interval"),
        ("extraObjects[0].kind=ConfigMap", "/extraObjects/0"),
        ("listenAddress=localhost", "/listenAddress"),
    ] {
        let said = refusal(set);
        assert!(said.contains(&format!("at '{at}'")), "{set}: {at} is not named in\n{said}");
    }
}

/// A parent chart may have globals and a condition of its own.
#[test]
fn a_parent_chart_may_bring_its_own_globals() {
    let set = "global.somebodyElses=1,enabled=true";
    let output = helm(&["template", "warest", &chart().to_string_lossy(), "--set", set]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_old_cluster_is_refused() {
    let chart = chart().to_string_lossy().into_owned();
    let with = |version: &str| helm(&["template", "warest", &chart, "--kube-version", version]);
    assert!(with("1.33.0").status.success());
    let said = String::from_utf8(with("1.32.9").stderr).unwrap();
    assert!(said.contains("requires kubeVersion: >=1.33.0-0"), "{said}");
}
