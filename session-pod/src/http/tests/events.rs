//! The log: in pages, and as a stream that goes on.

use super::*;

#[tokio::test]
async fn the_log_comes_in_pages() {
    let rig = Rig::paired().await;
    let events: Vec<Write> = (0..250).map(event).collect();
    rig.store.write(&events, now_ms()).unwrap();
    let first = rig.get(routes::EVENTS).await.body;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["next"]), (100, &json!(100)));
    let last = rig.get("/v1/events?after=240&limit=1000").await.body;
    assert_eq!((last["items"].as_array().unwrap().len(), &last["next"]), (10, &json!(250)));
    let none = rig.get("/v1/events?after=250").await.body;
    assert_eq!(none, json!({"items": [], "next": 250, "oldest": 1}));
    let foreign = rig.get("/v1/events?after=900").await.body;
    assert_eq!(foreign, json!({"items": [], "next": 250, "oldest": 1}), "a place in another log");
}

/// Reads a stream until it says this.
async fn reads(response: Response, what: &str) -> String {
    let mut chunks = response.into_body().into_data_stream();
    let mut text = String::new();
    let read = async {
        while !text.contains(what) {
            text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
    text
}

#[tokio::test]
async fn who_comes_too_late_is_told_what_is_gone() {
    let limits = Limits { events: 3, ..Limits::default() };
    let rig = Rig::start_with(Link::Unpaired, limits).await;
    rig.store.write(&(0..10).map(event).collect::<Vec<_>>(), now_ms()).unwrap();
    rig.store.prune(now_ms()).unwrap();
    let page = rig.get("/v1/events?after=4").await.body;
    assert_eq!((&page["oldest"], &page["items"][0]["seq"]), (&json!(8), &json!(8)));
    let late = reads(rig.raw(stream_request("/v1/events?after=4", None)).await, "id: 10\n").await;
    let gap = late.find("event: gap\n").unwrap();
    assert!(gap < late.find("id: 8\n").unwrap(), "{late}");
    assert!(late.contains(r#"{"after":4,"oldest":8}"#), "{late}");
    let early = reads(rig.raw(stream_request("/v1/events?after=7", None)).await, "id: 10\n").await;
    assert!(!early.contains("gap"), "{early}");
    let foreign = reads(rig.raw(stream_request("/v1/events?after=99", None)).await, "id: 10\n").await;
    assert!(foreign.contains(r#"{"after":99,"oldest":1}"#) && foreign.contains("id: 8\n"), "{foreign}");
}

#[tokio::test]
async fn only_so_many_streams_are_open_and_they_end_with_the_session() {
    let rig = Rig::paired().await;
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        open.push(rig.raw(stream_request(routes::EVENTS, None)).await);
    }
    let refused = rig.raw(stream_request(routes::EVENTS, None)).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap())
    );
    let body = to_bytes(refused.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["code"], "too_many_streams");
    assert_eq!(rig.get(routes::EVENTS).await.status, 200, "pages are no streams");
    open.pop();
    let last = rig.raw(stream_request(routes::EVENTS, None)).await;
    assert_eq!(last.status(), StatusCode::OK);
    rig.session.stop().await;
    let ended = to_bytes(last.into_body(), usize::MAX);
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
}

/// Reads a stream until it has so many numbered events.
async fn numbers(response: Response, count: usize) -> Vec<u64> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut chunks = response.into_body().into_data_stream();
    let mut text = String::new();
    let read = async {
        loop {
            let ids: Vec<u64> =
                text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
            if ids.len() >= count {
                return ids;
            }
            text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap()
}

fn stream_request(path: &str, last: Option<u64>) -> axum::http::Request<Body> {
    let request = axum::http::Request::builder().uri(path).header("accept", "text/event-stream");
    let request = request.header("authorization", format!("Bearer {TOKEN}"));
    let request = match last {
        Some(last) => request.header("last-event-id", last),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_stream_goes_from_replay_to_live_without_a_gap() {
    let rig = Rig::paired().await;
    rig.store.write(&(0..150).map(event).collect::<Vec<_>>(), now_ms()).unwrap();
    let replaying = rig.raw(stream_request("/v1/events?after=5", Some(10))).await;
    let (store, writer) = (Arc::clone(&rig.store), Arc::clone(&rig.store));
    let writing = tokio::task::spawn_blocking(move || {
        for n in 0..150 {
            writer.write(&[event(n)], now_ms()).unwrap();
        }
    });
    assert_eq!(
        numbers(replaying, 290).await,
        (11..=300).collect::<Vec<_>>(),
        "the header wins, no gap, no double"
    );
    writing.await.unwrap();
    let live = rig.raw(stream_request(routes::EVENTS, None)).await;
    store.write(&[event(0)], now_ms()).unwrap();
    assert_eq!(numbers(live, 1).await, [301]);
}

#[tokio::test]
async fn passing_events_reach_a_stream_without_a_number() {
    let rig = Rig::start(Link::Unpaired).await;
    let stream = rig.raw(stream_request(routes::EVENTS, None)).await;
    rig.call(Method::DELETE, routes::PAIRING, Body::empty()).await;
    let mut chunks = stream.into_body().into_data_stream();
    let mut text = String::new();
    while !text.contains("qr_expired") {
        text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("event: status\n") && !text.contains("id: "), "{text}");
}
