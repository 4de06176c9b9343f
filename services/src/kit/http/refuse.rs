//! Refusals by the framework, told in the one error body that every service speaks.

use axum::{
    body::to_bytes,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::kit::Code;

/// What the framework says about a refusal is short.
const EXPLANATION_BYTES_MAX: usize = 4096;

/// The same answer, with a [`Problem`] for a body if it is a refusal that has no JSON body yet.
pub(super) async fn as_problem(response: Response, method: &Method, uri: &Uri) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() || has_json_body(&response) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let explanation = to_bytes(body, EXPLANATION_BYTES_MAX)
        .await
        .unwrap_or_default();
    let explanation = String::from_utf8_lossy(&explanation).into_owned();
    let path = uri.path();
    let allowed = parts.headers.get(header::ALLOW);
    let (code, detail) = match status {
        StatusCode::NOT_FOUND if explanation.is_empty() => (
            Code::NotFound,
            format!("nothing here answers {method} {path}; check the path"),
        ),
        StatusCode::NOT_FOUND => (Code::NotFound, explanation),
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = allowed.and_then(|list| list.to_str().ok()).unwrap_or("");
            (
                Code::MethodNotAllowed,
                format!("{path} does not take {method}; it takes {allowed}"),
            )
        }
        StatusCode::PAYLOAD_TOO_LARGE => (Code::BodyTooLarge, explanation),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (Code::UnsupportedMediaType, explanation),
        StatusCode::TOO_MANY_REQUESTS => (Code::TooManyRequests, explanation),
        StatusCode::SERVICE_UNAVAILABLE => (Code::ServiceUnavailable, explanation),
        _ if status.is_client_error() => (Code::InvalidRequest, explanation),
        _ => (
            Code::Internal,
            "the service could not answer; its log says why".to_owned(),
        ),
    };
    let mut problem = code.because(detail).into_response();
    if let Some(allowed) = allowed {
        problem.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    problem
}

fn has_json_body(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(super::extract::is_json)
}
