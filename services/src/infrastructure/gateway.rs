//! The gateway: the single entry point. It routes by path, takes replicas in turn, and changes nothing else.
//!
//! It holds no state and repeats no request that may have been carried out: clients do that, with their keys.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, uri::PathAndQuery},
    response::Response,
};
use http_body_util::Full;

use crate::{
    kit::{
        Code, Context, Problem,
        http::{BODY_BYTES_MAX, serve},
        peer::{Failure, Pool},
    },
    ports::Platform,
    service::{Service, service},
};

/// How long a service may take: more than its own patience with those that it calls.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Headers about one connection, not about the request that it carries
/// ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)), and the length, which is told anew.
const OF_ONE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::CONTENT_LENGTH,
];

/// Where requests go.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The beginning of a path (whole segments, of which `{any}` stands for every one) and the replicas that answer
    /// it. Of those that match a request the longest counts, and the first of its length.
    pub routes: Vec<(String, Vec<String>)>,
}

impl Config {
    /// The paths that these services declare, each routed to the service of that name.
    pub fn over(services: &[Service]) -> Self {
        let of = |service: &Service| {
            let replicas = vec![service.name.to_owned()];
            let route = move |path: &&str| (path.to_string(), replicas.clone());
            service.paths.iter().map(route).collect::<Vec<_>>()
        };
        Config {
            routes: services.iter().flat_map(of).collect(),
        }
    }
}

/// The gateway, as topologies list it: it routes nowhere unless it is told.
pub const SERVICE: Service = service!("gateway", []);

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let routes = config.routes.into_iter().map(|(path, replicas)| Route {
        segments: segments(&path).map(str::to_owned).collect(),
        replicas: replicas
            .iter()
            .map(|name| Pool::new(&platform, name))
            .collect(),
        turn: AtomicUsize::new(0),
    });
    let gateway = Arc::new(Gateway {
        routes: routes.collect(),
        platform: platform.clone(),
    });
    serve(
        &platform,
        Router::new().fallback(forward).with_state(gateway),
    )
    .await
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

struct Gateway {
    platform: Platform,
    routes: Vec<Route>,
}

struct Route {
    /// Without the slashes between them.
    segments: Vec<String>,
    replicas: Vec<Pool>,
    turn: AtomicUsize,
}

impl Route {
    fn matches(&self, path: &str) -> bool {
        let mut asked = segments(path);
        let matches = |own: &String| {
            let any = own.starts_with('{');
            asked.next().is_some_and(|asked| any || asked == own)
        };
        self.segments.iter().all(matches)
    }

    /// Every replica once, beginning with the next in turn.
    fn in_turn(&self) -> impl Iterator<Item = &Pool> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.replicas.len().max(1);
        let (before, after) = self.replicas.split_at(first);
        after.iter().chain(before)
    }
}

async fn forward(
    State(gateway): State<Arc<Gateway>>,
    context: Context,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    let route = gateway
        .routes
        .iter()
        .rev()
        .filter(|route| route.matches(path))
        .max_by_key(|route| route.segments.len())
        .ok_or_else(|| {
            let detail = format!("no service answers {path}; check the path");
            Code::NotFound.because(detail)
        })?;
    let body = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|error| Code::InvalidRequest.because(error.to_string()))?;
    let target = parts.uri.path_and_query();
    let target = target.map_or("/", PathAndQuery::as_str).to_owned();
    pass_on(&mut parts.headers);
    let span_id = gateway.platform.random.next_u64();
    for (name, value) in context.headers(span_id) {
        // Baggage may hold more than this context knows.
        if let Ok(value) = HeaderValue::from_str(&value)
            && (name != "baggage" || !parts.headers.contains_key(name))
        {
            parts.headers.insert(name, value);
        }
    }

    let mut unreachable = "it has no replicas".to_owned();
    for replica in route.in_turn() {
        let mut request = hyper::Request::new(Full::new(body.clone()));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = target
            .parse()
            .map_err(|error| Code::InvalidRequest.because(format!("the path {target}: {error}")))?;
        *request.headers_mut() = parts.headers.clone();
        if let Ok(host) = HeaderValue::from_str(&replica.peer) {
            request.headers_mut().insert(header::HOST, host);
        }
        let detail = match replica.exchange(request, ANSWER_WITHIN).await {
            Ok(response) => return Ok(answer(response)),
            Err(Failure::NotSent(reason)) => {
                unreachable = format!("{} cannot be reached: {reason}", replica.peer);
                continue;
            }
            Err(Failure::Unknown(reason)) => format!(
                "{}'s answer is not known: {reason}; repeat the request with the same Idempotency-Key",
                replica.peer
            ),
        };
        return Err(Code::ServiceUnavailable.because(detail));
    }
    Err(Code::ServiceUnavailable.because(unreachable))
}

fn answer(response: hyper::Response<Bytes>) -> Response {
    let (mut parts, body) = response.into_parts();
    pass_on(&mut parts.headers);
    Response::from_parts(parts, Body::from(body))
}

fn pass_on(headers: &mut HeaderMap) {
    for name in &OF_ONE_CONNECTION {
        headers.remove(name);
    }
}
