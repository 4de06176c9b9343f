//! Each on real loopback.

use std::{net, sync::Arc, thread};

use axum::http::StatusCode;
use shop_also::{
    events, grpc,
    shutdown::{self, Works},
    threads::{self, Answer},
    timeouts, websocket,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    (listener, format!("http://{address}"))
}

#[tokio::test]
async fn grpc_asks_and_streams() {
    let (listener, url) = listen().await;
    tokio::spawn(grpc::serve(listener));
    assert_eq!(grpc::add(url.clone(), 3).await.expect("a sum"), 3);
    assert_eq!(grpc::add(url.clone(), 4).await.expect("a sum"), 7);
    let refused = grpc::add(url.clone(), 0).await.expect_err("a refusal");
    assert!(refused.to_string().contains("nothing to add"), "{refused}");
    assert_eq!(
        grpc::count(url.clone(), 5).await.expect("a stream"),
        [1, 2, 3, 4, 5]
    );
    assert_eq!(
        grpc::sum(url.clone(), vec![1, 2, 3]).await.expect("a sum"),
        13
    );
    assert_eq!(
        grpc::totals(url, vec![1, 2, 3]).await.expect("a stream"),
        [1, 3, 6]
    );
}

#[tokio::test]
async fn events_come_one_after_the_other() {
    let (listener, url) = listen().await;
    tokio::spawn(events::serve(listener));
    assert_eq!(
        events::ticks_of(&url, 4).await.expect("a stream"),
        ["0", "1", "2", "3"]
    );
}

#[tokio::test]
async fn a_socket_is_talked_through_both_ways() {
    let (listener, url) = listen().await;
    tokio::spawn(websocket::serve(listener));
    let address = url.trim_start_matches("http://");
    let totals = websocket::totals(address, &[1, 2, 3]).await;
    assert_eq!(totals.expect("totals"), [1, 3, 6]);
}

#[tokio::test]
async fn what_takes_too_long_is_given_up() {
    let (listener, url) = listen().await;
    tokio::spawn(timeouts::serve(listener));
    let minute = 60_000;
    let given_up = timeouts::sleep_at(&url, minute).await.expect("an answer");
    assert_eq!(given_up, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(
        timeouts::sleep_at(&url, 0).await.expect("an answer"),
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_has_begun_is_finished() {
    let (listener, url) = listen().await;
    let works = Arc::new(Works::default());
    let (end, ended) = oneshot::channel();
    let told = async { drop(ended.await) };
    let serving = tokio::spawn(shutdown::serve(listener, works.clone(), told));
    let address = url.trim_start_matches("http://").to_owned();
    let working = tokio::spawn(async move { shutdown::work(&url).await });
    works.has_begun.notified().await;
    end.send(()).expect("it listens");
    // It does not listen any more, but has not forgotten what it has begun.
    while TcpStream::connect(&address).await.is_ok() {}
    works.goes_on.notify_one();
    assert_eq!(working.await.expect("it ends").expect("an answer"), "done");
    serving.await.expect("it ends").expect("nothing went wrong");
}

#[test]
fn threads_share_a_worker() {
    let listener = net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || threads::serve(&listener));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let address = address.clone();
            thread::spawn(move || threads::sums(&address, &[3, 1000]).expect("sums"))
        })
        .collect();
    let answers = clients
        .into_iter()
        .flat_map(|client| client.join().expect("it ends"));
    let mut made: Vec<_> = answers
        .map(|Answer { sum, made }| {
            assert!(sum == 14 || sum == 333_833_500, "{sum}");
            made
        })
        .collect();
    made.sort_unstable();
    assert_eq!(made, [1, 2, 3, 4, 5, 6]);
}
