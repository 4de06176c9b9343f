//! Listings come in pages, in the order of their keys.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
};

use axum::{
    Json,
    extract::{FromRequestParts, Query},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Code, Problem, Reader, StoreError, Table, input::within};

/// Rows of a page if the request does not say.
const ROWS: usize = 100;
/// Most rows of a page.
const ROWS_MAX: usize = 1000;

/// The part of a listing that a request asks for: `?limit=N&after=KEY`, neither of them needed.
#[derive(Clone, Debug)]
pub struct Page {
    limit: usize,
    after: Option<String>,
    /// What else the request asked, and the next page's has to ask.
    others: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let refused = |what: String| Code::InvalidRequest.because(what);
        let Query(asked) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|error| refused(error.body_text()))?;
        let mut page = Page {
            limit: ROWS,
            after: None,
            others: Vec::new(),
        };
        for (name, value) in asked {
            match name.as_str() {
                "limit" => {
                    let limit = value.parse().map_err(|_| {
                        refused(format!("limit must be 1 to {ROWS_MAX}, not {value:?}"))
                    })?;
                    within("limit", limit, 1..=ROWS_MAX as u64)?;
                    page.limit = limit as usize;
                }
                "after" => page.after = Some(value),
                _ => page.others.push((name, value)),
            }
        }
        Ok(page)
    }
}

impl Page {
    /// The wanted rows of a table whose key begins with `prefix`: those behind it are the keys of the pages.
    pub fn read<V: DeserializeOwned>(
        &self,
        rows: &Reader,
        table: &Table<V>,
        prefix: &str,
        wanted: impl Fn(&V) -> bool,
    ) -> Result<Listed<(String, V)>, StoreError> {
        let place = (prefix, self.after.as_deref());
        let found = rows.scan_after(table, place, (self.limit + 1, wanted))?;
        Ok(self.cut(found, prefix))
    }

    /// The wanted rows among those with these keys, which are the keys of the pages.
    pub fn among<V: DeserializeOwned>(
        &self,
        rows: &Reader,
        keys: &BTreeSet<String>,
        table: &Table<V>,
        wanted: impl Fn(&V) -> bool,
    ) -> Result<Listed<V>, StoreError> {
        let behind = self.after.as_deref().map_or(Unbounded, Excluded);
        let mut found = Vec::new();
        for key in keys.range::<str, _>((behind, Unbounded)) {
            let row = rows.get(table, key)?.filter(&wanted);
            found.extend(row.map(|row| (key.clone(), row)));
            if found.len() > self.limit {
                break;
            }
        }
        Ok(self.cut(found, "").map(|(_, row)| row))
    }

    /// A page of what was found, which is one row more than that if there is another page.
    fn cut<V>(&self, mut found: Vec<(String, V)>, prefix: &str) -> Listed<(String, V)> {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let last = found.last().filter(|_| more);
        let next = last.map(|(key, _)| self.behind(&key[prefix.len()..]));
        Listed { rows: found, next }
    }

    /// All rows of a table, without their keys.
    pub fn of<V: DeserializeOwned>(
        &self,
        rows: &Reader,
        table: &Table<V>,
    ) -> Result<Listed<V>, StoreError> {
        Ok(self.read(rows, table, "", |_| true)?.map(|(_, row)| row))
    }

    /// The rows that an index names: `prefix` is that of the index.
    pub fn through<V: DeserializeOwned>(
        &self,
        rows: &Reader,
        (index, prefix): (&Table<String>, &str),
        table: &Table<V>,
    ) -> Result<Listed<V>, StoreError> {
        let Listed { rows: ids, next } = self.read(rows, index, prefix, |_| true)?;
        let named = ids.iter().map(|(_, id)| rows.get(table, id));
        let rows = named.collect::<Result<Vec<_>, _>>()?;
        Ok(Listed {
            rows: rows.into_iter().flatten().collect(),
            next,
        })
    }

    /// The query of the page behind a key.
    fn behind(&self, key: &str) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.others)
            .append_pair("after", key)
            .append_pair("limit", &self.limit.to_string())
            .finish()
    }
}

/// A page: a JSON array, with a `Link` to the next one where there is more
/// ([RFC 8288](https://www.rfc-editor.org/rfc/rfc8288)).
#[derive(Clone, Debug)]
pub struct Listed<T> {
    rows: Vec<T>,
    next: Option<String>,
}

impl<T> Listed<T> {
    /// The same page of what `each` makes of its rows.
    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Listed<U> {
        Listed {
            rows: self.rows.into_iter().map(each).collect(),
            next: self.next,
        }
    }

    /// The same page of what `each` makes of its rows, unless it fails for one of them.
    pub fn try_map<U, E>(self, each: impl FnMut(T) -> Result<U, E>) -> Result<Listed<U>, E> {
        Ok(Listed {
            rows: self.rows.into_iter().map(each).collect::<Result<_, _>>()?,
            next: self.next,
        })
    }
}

impl<T: Serialize> IntoResponse for Listed<T> {
    fn into_response(self) -> Response {
        let link = self
            .next
            .map(|next| HeaderValue::from_str(&format!("<?{next}>; rel=\"next\"")));
        let mut response = Json(self.rows).into_response();
        if let Some(Ok(link)) = link {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}

/// The reference of the next page in an answer's `Link`, as [`Listed`] writes it.
pub(super) fn next(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    let next = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(next.to_owned())
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Listed {
            rows: Vec::new(),
            next: None,
        }
    }
}
