//! A service's declaration: all that a topology needs to know of it.

use std::io;

use crate::ports::{BoxFuture, Platform};

/// A service that runs until its process ends.
pub type Serving = BoxFuture<'static, io::Result<()>>;

/// A service, as topologies list it.
#[derive(Clone, Copy)]
pub struct Service {
    /// Its name on the network.
    pub name: &'static str,
    /// The path prefixes (whole segments) that the gateway routes to it.
    pub paths: &'static [&'static str],
    /// How it runs by default.
    pub run: fn(Platform) -> Serving,
    /// Demo data for an empty service.
    pub demo: &'static [Demo],
}

/// Declares a service by its name, its paths, and how it runs unless its module's `run` does that with the default
/// configuration; or by another one that it is but for how it runs.
macro_rules! service {
    ($name:literal, [$($path:literal),*]) => {
        $crate::service::service!($name, [$($path),*], |p| run(p, Default::default()))
    };
    ($name:literal, [$($path:literal),*], |$platform:ident| $run:expr) => {
        $crate::service::Service {
            name: $name,
            paths: &[$($path),*],
            run: |$platform| Box::pin($run),
            demo: &[],
        }
    };
    ($like:expr) => {
        $crate::service::service!($like, |p| run(p, Default::default()))
    };
    ($like:expr, |$platform:ident| $run:expr) => {
        $crate::service::Service {
            run: |$platform| Box::pin($run),
            ..$like
        }
    };
}

pub(crate) use service;

/// Demo data.
#[derive(Clone, Copy, Debug)]
pub struct Demo {
    /// The path whose empty JSON list shows that there is none yet.
    pub list: &'static str,
    /// Paths and the JSON bodies to `PUT` there.
    pub puts: &'static [(&'static str, &'static str)],
}
