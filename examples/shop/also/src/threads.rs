//! A server without async: a thread for each connection, a worker with a channel, and rayon.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use anyhow::{Context, Result};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

/// How many squares are to be added up, and where the answer goes.
type Job = (u64, Sender<Answer>);

/// What the worker answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The sum.
    pub sum: u64,
    /// How many sums the worker has made, this one among them.
    pub made: u64,
}

/// The program: serves on `PORT`, for ever.
///
/// # Errors
///
/// The port is taken.
pub fn main() -> Result<()> {
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    serve(&TcpListener::bind(("0.0.0.0", port.parse()?))?)
}

/// Serves, for ever: each line is a number `n`, which is answered with the sum of the squares up to it, and how many sums
/// were made.
///
/// # Errors
///
/// The connections end.
pub fn serve(listener: &TcpListener) -> Result<()> {
    let (jobs, todo) = channel();
    thread::Builder::new()
        .name("worker".to_owned())
        .spawn(|| work(todo))?;
    for connection in listener.incoming() {
        let (connection, jobs) = (connection?, jobs.clone());
        thread::spawn(move || converse(&connection, &jobs));
    }
    Ok(())
}

fn work(todo: Receiver<Job>) {
    for ((until, answer), made) in todo.into_iter().zip(1..) {
        let sum = (1..=until).into_par_iter().map(|n| n * n).sum();
        // Whoever asked may have gone.
        let _ = answer.send(Answer { sum, made });
    }
}

fn converse(mut connection: &TcpStream, jobs: &Sender<Job>) -> Result<()> {
    for line in BufReader::new(connection).lines() {
        let (send, answer) = channel();
        jobs.send((line?.parse()?, send))?;
        let Answer { sum, made } = answer.recv()?;
        writeln!(connection, "{sum} {made}")?;
    }
    Ok(())
}

/// Asks for sums, one after the other.
///
/// # Errors
///
/// The connection ends, or the answer is something else.
pub fn sums(address: &str, of: &[u64]) -> Result<Vec<Answer>> {
    let mut connection = TcpStream::connect(address)?;
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let ask = |until| {
        writeln!(connection, "{until}")?;
        let line = lines.next().context("expected a line")??;
        let (sum, made) = line.split_once(' ').context("expected two numbers")?;
        let (sum, made) = (sum.parse()?, made.parse()?);
        Ok(Answer { sum, made })
    };
    of.iter().copied().map(ask).collect()
}
