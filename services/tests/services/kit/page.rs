use std::collections::BTreeSet;

use axum::{Router, extract::Path, routing::get};
use squall_services::{
    kit::{Listed, Page, Problem, Store, StoreError, Table},
    ports::Connection,
};

use super::http::{Answer, connect_to, send};
use crate::support::machine::Network;

const CARTS: Table<u64> = Table::new("carts");
const CART_OF: Table<String> = Table::new("cart_of");

/// A service with seven carts of ann and one of ben, listed directly, through an index and among some.
async fn shop() -> Connection {
    let (platform, _) = Network::default().machine("books");
    let store = Store::open(&platform, "books.redb").await.unwrap();
    store
        .write::<_, StoreError>(|tx| {
            for n in 1..=7 {
                tx.put(&CARTS, &format!("cart {n}"), &n)?;
                tx.put(&CART_OF, &format!("ann/{n}"), &format!("cart {n}"))?;
            }
            tx.put(&CARTS, "cart 8", &8)?;
            tx.put(&CART_OF, "ben/1", &"cart 8".to_owned())
        })
        .await
        .unwrap();
    let (all, of_user, some) = (store.clone(), store.clone(), store);
    let all = move |page: Page| async move {
        let odd = |cart: &u64| cart % 2 == 1;
        let found = all.read(|rows| page.read(rows, &CARTS, "", odd));
        Ok::<Listed<u64>, Problem>(found?.map(|(_, cart)| cart))
    };
    let of_user = move |Path(user): Path<String>, page: Page| async move {
        let index = (&CART_OF, &*format!("{user}/"));
        let found = of_user.read(|rows| page.through(rows, index, &CARTS));
        Ok::<Listed<u64>, Problem>(found?)
    };
    let some = move |page: Page| async move {
        // The ninth is gone.
        let keys = BTreeSet::from([2, 3, 4, 6, 8, 9].map(|n| format!("cart {n}")));
        let even = |cart: &u64| cart.is_multiple_of(2);
        let found = some.read(|rows| page.among(rows, &keys, &CARTS, even));
        Ok::<Listed<u64>, Problem>(found?)
    };
    let router = Router::new()
        .route("/odd", get(all))
        .route("/some-even", get(some))
        .route("/carts/{user}", get(of_user));
    connect_to(router).await
}

async fn list(connection: &mut Connection, path: &str) -> Answer {
    send(connection, &format!("GET {path} HTTP/1.1"), b"").await
}

/// The reference of the `Link` header to the next page.
fn next(answer: &Answer) -> Option<&str> {
    let link = answer.head.split("\r\nlink: <").nth(1)?;
    link.split_once(">; rel=\"next\"").map(|(next, _)| next)
}

#[tokio::test]
async fn a_listing_is_read_page_by_page_along_its_links() {
    let mut shop = shop().await;
    for (path, pages) in [
        ("/odd?limit=3", vec!["[1,3,5]", "[7]"]),
        ("/odd?limit=4", vec!["[1,3,5,7]"]),
        (
            "/carts/ann?colour=dark+red&limit=3",
            vec!["[1,2,3]", "[4,5,6]", "[7]"],
        ),
        ("/carts/ben", vec!["[8]"]),
        ("/carts/eve", vec!["[]"]),
        ("/some-even?limit=3", vec!["[2,4,6]", "[8]"]),
        ("/some-even?limit=2", vec!["[2,4]", "[6,8]"]),
    ] {
        let base = path.split('?').next().unwrap();
        let mut place = Some(path.to_owned());
        for page in pages {
            let place_now = place.unwrap_or_else(|| panic!("{path} ends before {page}"));
            let answer = list(&mut shop, &place_now).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, page), "{path}");
            place = next(&answer).map(|next| format!("{base}{next}"));
        }
        assert_eq!(place, None, "{path}");
    }
}

#[tokio::test]
async fn a_link_keeps_what_else_was_asked() {
    let mut shop = shop().await;
    let answer = list(&mut shop, "/carts/ann?colour=dark+red&limit=2").await;
    assert_eq!(next(&answer), Some("?colour=dark+red&after=2&limit=2"));
    let answer = list(&mut shop, "/odd?limit=1").await;
    assert_eq!(next(&answer), Some("?after=cart+1&limit=1"));
}

#[tokio::test]
async fn a_page_begins_behind_a_key_that_is_gone() {
    let mut shop = shop().await;
    let answer = list(&mut shop, "/odd?after=cart+4x").await;
    assert_eq!(answer.body, "[5,7]");
    let answer = list(&mut shop, "/some-even?after=cart+5x").await;
    assert_eq!(answer.body, "[6,8]");
    let answer = list(&mut shop, "/odd?after=zebra").await;
    assert_eq!(answer.body, "[]");
}

#[tokio::test]
async fn a_limit_that_is_no_page_is_refused() {
    let mut shop = shop().await;
    for limit in ["0", "1001", "-1", "many", ""] {
        let answer = list(&mut shop, &format!("/odd?limit={limit}")).await;
        assert_eq!(answer.status, 400, "{limit}");
        let (code, detail) = answer.problem();
        assert_eq!(code, "INVALID_REQUEST");
        assert!(detail.contains("limit must be 1 to 1000"), "{detail}");
    }
}
