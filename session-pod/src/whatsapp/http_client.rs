//! HTTP for the protocol library, over reqwest: the same proxy and roots as the websocket, and bounds on time and size.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, NoProxy};
use rustls::ClientConfig;
use whatsapp_rust::anyhow::{self, Context as _, bail};
use whatsapp_rust::async_trait;
use whatsapp_rust::wacore::net::{HttpClient, HttpRequest, HttpResponse};

use super::proxy::Route;

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a whole exchange.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Largest answer.
const MAX_BODY: usize = 128 << 20;

/// Made when it is first used: an idle session with a pinned version never needs it.
pub(super) struct BoundedHttp {
    tls: Arc<ClientConfig>,
    route: Route,
    client: OnceLock<reqwest::Client>,
}

impl BoundedHttp {
    /// A client that has not been made yet.
    pub(super) fn new(tls: Arc<ClientConfig>, route: Route) -> Self {
        Self { tls, route, client: OnceLock::new() }
    }

    fn client(&self) -> anyhow::Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(&self.tls))
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::limited(3));
        let builder = match &self.route.proxy {
            Some(proxy) => {
                let proxy = reqwest::Proxy::all(proxy.clone()).context("use the proxy")?;
                builder.proxy(proxy.no_proxy(NoProxy::from_string(&self.route.direct)))
            }
            None => builder,
        };
        let client = builder.build().context("set the HTTP client up")?;
        Ok(self.client.get_or_init(|| client))
    }
}

#[async_trait]
impl HttpClient for BoundedHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let method = Method::from_bytes(request.method.as_bytes()).context("read the method")?;
        let mut builder = self.client()?.request(method, &request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let response = builder.send().await.map_err(reqwest::Error::without_url).context("ask the host")?;
        let status_code = response.status().as_u16();
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(reqwest::Error::without_url).context("read the answer")?;
            if body.len() + chunk.len() > MAX_BODY {
                bail!("the answer is larger than {MAX_BODY} bytes");
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status_code, body })
    }
}
