//! `squall-live`: the services of a system in one process, each with its own address and database; or one of them; or
//! all of them, each in a process of its own.

use std::{
    fmt::Write,
    io::{self, Read},
    net::{SocketAddr, TcpListener},
    pin::pin,
    process::{ExitCode, exit},
};

use clap::Parser;
use futures_util::future::{Either, select};
use tokio::sync::mpsc;

use super::{
    Addresses, Place, demo,
    options::{GATEWAY, Options},
    platform,
    replicas::Databases,
    supervisor,
};
use crate::{infrastructure::gateway, ports::Platform, service::Serving};

/// Parses the command line and runs. The exit code is 0 after a signal, 2 if the services could not be started, and
/// [`EXIT_FAILED`](super::EXIT_FAILED) if one gave up.
pub fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(run(options)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("squall-live: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: Options) -> io::Result<()> {
    let system = options.system()?;
    let addresses = options.addresses(system);
    let mut names = options.names_of(system);
    if let Some(service) = &options.service {
        names.retain(|name| name == service);
    }
    for name in &names {
        check_free(name, addresses[name][0])?;
    }
    if options.until_stdin_ends {
        end_with_stdin();
    }
    let data = options.data(system);
    let told = table(&names, &addresses);
    // Calls the services, and is none.
    let caller = platform(GATEWAY, &data, addresses.clone(), Place::Files, None)?;
    let demo = async || match options.seed_demo {
        true => demo::fill(&caller, system.services)
            .await
            .map_err(io::Error::other),
        false => Ok(()),
    };
    if options.processes {
        let mut running = pin!(supervisor::run(&options, names));
        print!("{told}");
        let open = async {
            demo().await?;
            signal().await
        };
        return match select(pin!(open), &mut running).await {
            Either::Left((stopped, _)) => stopped,
            Either::Right((ended, _)) => ended,
        };
    }
    let replicas = match options.store {
        None => options.replicas,
        Some(_) => 1,
    };
    let databases = Databases::open(system, replicas, &data, &addresses).await?;
    let (failed, mut first_failure) = mpsc::unbounded_channel();
    let start = |name: String, service: &str, run: &dyn Fn(Platform) -> Serving| {
        let place = options.place(system, service);
        let place = place.unwrap_or_else(|| databases.of(service));
        let told = options.tell_commits.as_deref();
        let platform = platform(&name, &data, addresses.clone(), place, told)?;
        let (served, failed) = (run(platform.clone()), failed.clone());
        platform.spawn("service", async move {
            if let Err(error) = served.await {
                let error = io::Error::new(error.kind(), format!("{name}: {error}"));
                failed.send(error).ok();
            }
        });
        Ok::<_, io::Error>(())
    };
    if names.iter().any(|name| name == GATEWAY) {
        start(GATEWAY.to_owned(), GATEWAY, &|platform| {
            Box::pin(gateway::run(platform, options.gateway(system)))
        })?;
    }
    for service in system.services {
        for replica in options.replicas_of(system, service.name) {
            if names.contains(&replica) {
                start(replica, service.name, &|platform| match &options.settings {
                    Some(settings) => settings.run(service, platform),
                    None => (service.run)(platform),
                })?;
            }
        }
    }
    print!("{told}");
    let open = async {
        demo().await?;
        signal().await
    };
    match select(pin!(first_failure.recv()), pin!(open)).await {
        Either::Left((failure, _)) => failure.map_or(Ok(()), Err),
        Either::Right((stopped, _)) => stopped,
    }
}

/// Ends the process with the last that holds its standard input open.
fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut input = io::stdin().lock();
        while input.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        exit(0);
    });
}

fn check_free(service: &str, address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop).map_err(|error| {
        let text = format!(
            "{service} cannot listen on {address}: {error}; choose other ports with --port-base or --port {service}=PORT"
        );
        io::Error::new(error.kind(), text)
    })
}

fn table(names: &[String], addresses: &Addresses) -> String {
    let mut text = String::new();
    for name in names {
        writeln!(text, "{name:<12} http://{}", addresses[name][0])
            .expect("a string takes any text");
    }
    text
}

/// Resolves at Ctrl-C or SIGTERM.
async fn signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        match select(pin!(tokio::signal::ctrl_c()), pin!(terminate.recv())).await {
            Either::Left((pressed, _)) => pressed,
            Either::Right(_) => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
