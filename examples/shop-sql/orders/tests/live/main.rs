//! The shop on real servers: PostgreSQL and Redis are started for it, sold from, and killed while it sells.

mod bugs;

use std::{
    collections::BTreeMap,
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, StatusCode};
use serde_json::json;
use shop_sql_kit::audit::{ALWAYS, AT_REST, offences};
use shop_sql_orders::{Order, State};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::sleep};

const PAUSE: Duration = Duration::from_millis(100);

/// The tests start this executable anew as each of the services, which this is then.
#[test]
fn service() {
    let main = match env::var("SERVICE").as_deref() {
        Err(_) => return,
        Ok("inventory") => shop_sql_inventory::main,
        Ok("payments") => shop_sql_payments::main,
        Ok(_) => shop_sql_orders::main,
    };
    main().expect("it serves");
}

/// Where programs of a server are: in the path, or where Debian keeps those of PostgreSQL.
fn find(program: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).chain(versions);
    places.find_map(|place| Some(place.join(program)).filter(|file| file.exists()))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    listener.local_addr().expect("it is bound").port()
}

fn run(command: &mut Command) {
    let output = command.output().expect("it can be started");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

fn signal(child: &Child, name: &str) {
    run(Command::new("kill").args(["-s", name, &child.id().to_string()]));
}

/// A program that is killed when it is not needed any more.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.spawn().expect("it can be started"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Postgres {
    data: PathBuf,
    port: u16,
}

impl Postgres {
    /// A program of PostgreSQL, which refuses to be run by root.
    fn program(program: &str) -> Command {
        let file = find(program).expect("it is installed");
        let is_root = Command::new("id").arg("-u").output();
        if !is_root.is_ok_and(|output| output.stdout == b"0\n") {
            return Command::new(file);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg(file);
        command
    }

    fn new(place: &Path) -> Postgres {
        let data = place.join("postgres");
        fs::create_dir(&data).expect("there is space");
        // If this is not root, it is its own already.
        let _ = Command::new("chmod").args(["a+x"]).arg(place).status();
        let _ = Command::new("chown").arg("postgres").arg(&data).output();
        let mut initdb = Postgres::program("initdb");
        run(initdb
            .args(["-U", "app", "-A", "trust", "--no-sync", "-D"])
            .arg(&data));
        let postgres = Postgres {
            data,
            port: free_port(),
        };
        postgres.control(&["start"]);
        let port = postgres.port.to_string();
        for database in ["shop", "late"] {
            let mut createdb = Postgres::program("createdb");
            createdb.args(["-h", "127.0.0.1", "-U", "app", "-p", &port, database]);
            run(&mut createdb);
        }
        postgres
    }

    fn control(&self, action: &[&str]) {
        let Postgres { data, port } = self;
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c deadlock_timeout=100ms"
        );
        let log = data.join("log");
        let mut control = Postgres::program("pg_ctl");
        control.args(action).arg("-w").args(["-o", &options]);
        control.arg("-l").arg(log).arg("-D").arg(data);
        // What it starts inherits the standard streams, and does not end.
        let status = control.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{action:?}");
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://app@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut stop = Postgres::program("pg_ctl");
        let stop = stop.args(["stop", "-m", "immediate", "-D"]).arg(&self.data);
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

struct Shop {
    // They are dropped in this order.
    services: Vec<Running>,
    redis: Option<Running>,
    postgres: Postgres,
    place: TempDir,
    redis_port: u16,
    inventory: u16,
    payments: u16,
    orders: [u16; 2],
    client: Client,
}

impl Shop {
    /// Its servers; unless nobody has asked for it, since it takes real time, or they are not installed.
    fn servers() -> Option<Shop> {
        if env::var_os("SHOP_SERVERS").is_none() {
            eprintln!(
                "NOT TESTED: it takes real time on real servers: SHOP_SERVERS=required runs it"
            );
            return None;
        }
        if find("initdb").is_none() || find("redis-server").is_none() {
            let why = "NOT TESTED: PostgreSQL and Redis are not installed (apt install postgresql redis-server)";
            assert_ne!(env::var("SHOP_SERVERS").as_deref(), Ok("required"), "{why}");
            eprintln!("{why}");
            return None;
        }
        let place = TempDir::new().expect("there is space");
        let client = Client::builder().timeout(Duration::from_secs(8)).build();
        let mut shop = Shop {
            services: Vec::new(),
            redis: None,
            postgres: Postgres::new(place.path()),
            place,
            redis_port: free_port(),
            inventory: free_port(),
            payments: free_port(),
            orders: [free_port(), free_port()],
            client: client.expect("it needs nothing"),
        };
        shop.start_redis();
        Some(shop)
    }

    /// Starts its services, with two instances of the order service.
    async fn open(&mut self, settings: &[(&str, String)]) {
        let url = |port| format!("http://127.0.0.1:{port}");
        let orders = self.orders.map(|port| ("orders", port));
        let others = [("inventory", self.inventory), ("payments", self.payments)];
        for (name, port) in others.into_iter().chain(orders) {
            let mut command = Command::new(env::current_exe().expect("it runs"));
            command
                .args(["--exact", "service", "--nocapture", "-q"])
                .env("SERVICE", name)
                .env("PORT", port.to_string())
                .env("DATABASE_URL", self.postgres.url("shop"))
                .env("DATABASE_REPLICA_URL", self.postgres.url("late"))
                .env(
                    "REDIS_URL",
                    format!("redis://127.0.0.1:{}", self.redis_port),
                )
                .env("INVENTORY_URL", url(self.inventory))
                .env("PAYMENTS_URL", url(self.payments))
                .env("STOCK_ITEMS", "tea=30@3,mug=20@8")
                .env("ACCOUNTS", "ann=60,ben=60,cleo=60");
            for (setting, value) in settings {
                match setting.strip_prefix("ORDERS_") {
                    None => _ = command.env(setting, value),
                    Some(setting) if name == "orders" => _ = command.env(setting, value),
                    Some(_) => {}
                }
            }
            self.services.push(Running::start(&mut command));
        }
        for (_, port) in others.into_iter().chain(orders) {
            self.comes_up(port).await;
        }
    }

    fn start_redis(&mut self) {
        let mut redis = Command::new("redis-server");
        redis.args([
            "--port",
            &self.redis_port.to_string(),
            "--save",
            "",
            "--dir",
        ]);
        redis.arg(self.place.path()).stdout(Stdio::null());
        self.redis = Some(Running::start(&mut redis));
    }

    async fn comes_up(&self, port: u16) {
        for _ in 0..300 {
            let health = self
                .client
                .get(format!("http://127.0.0.1:{port}/health"))
                .send()
                .await;
            if health.is_ok_and(|health| health.status() == StatusCode::NO_CONTENT) {
                return;
            }
            sleep(PAUSE).await;
        }
        panic!("port {port} does not come up");
    }

    /// Sells `each` orders to each customer, all at the same time. Returns what they were told.
    fn sell(&self, each: usize) -> JoinSet<(String, State)> {
        let mut selling = JoinSet::new();
        for name in ["ann", "ben", "cleo"] {
            for n in 0..each {
                let customer = Customer {
                    client: self.client.clone(),
                    orders: self.orders,
                    name,
                    cancels: n % 4 == 3,
                };
                selling.spawn(customer.order(n));
            }
        }
        selling
    }

    async fn connect(&self) -> PgConnection {
        let url = self.postgres.url("shop");
        PgConnection::connect(&url).await.expect("it runs")
    }

    async fn audit(&self) -> Vec<String> {
        let mut database = self.connect().await;
        let mut found = offences(&mut database, ALWAYS).await.expect("it answers");
        found.extend(offences(&mut database, AT_REST).await.expect("it answers"));
        found
    }

    /// Waits until it is at rest, and looks whether all is as customers were told.
    async fn holds(&self, told: &BTreeMap<String, State>) {
        let since = Instant::now();
        loop {
            let found = self.audit().await;
            if found.is_empty() {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(40), "{found:#?}");
            sleep(PAUSE).await;
        }
        for port in self.orders {
            let orders = self
                .client
                .get(format!("http://127.0.0.1:{port}/orders"))
                .send()
                .await;
            let orders: Vec<Order> = orders.expect("it answers").json().await.expect("orders");
            let now = orders
                .into_iter()
                .map(|order| (order.id.to_string(), order.state));
            assert_eq!(&now.collect::<BTreeMap<_, _>>(), told);
        }
    }

    /// Ends the services, which finish what they have begun.
    fn close(mut self) {
        for service in &self.services {
            signal(&service.0, "TERM");
        }
        for service in &mut self.services {
            let status = service.0.wait().expect("it ends");
            assert!(status.success(), "{status}");
        }
    }
}

struct Customer {
    client: Client,
    orders: [u16; 2],
    name: &'static str,
    cancels: bool,
}

impl Customer {
    /// Places an order until the answer is final, at one instance and the other. Cancels it meanwhile, if asked to.
    async fn order(self, n: usize) -> (String, State) {
        let Customer {
            client,
            orders,
            name,
            cancels,
        } = self;
        let key = format!("{name}-{n}");
        let lines = match n % 3 {
            0 => json!([{ "sku": "mug", "qty": 1 }, { "sku": "tea", "qty": 2 }]),
            1 => json!([{ "sku": "tea", "qty": 1 }, { "sku": "mug", "qty": 1 }]),
            _ => json!([{ "sku": "tea", "qty": 1 }]),
        };
        let order = json!({ "customer": name, "lines": lines });
        for round in n..n + 100 {
            let url = format!("http://127.0.0.1:{}/orders", orders[round % 2]);
            let mut placed = client
                .post(&url)
                .header("idempotency-key", &key)
                .json(&order);
            if cancels && round == n {
                placed = placed.header("prefer", "respond-async");
            }
            let Ok(answer) = placed.send().await else {
                sleep(PAUSE).await;
                continue;
            };
            let status = answer.status();
            let Ok(order) = answer.json::<Order>().await else {
                sleep(PAUSE).await;
                continue;
            };
            match status {
                StatusCode::CREATED | StatusCode::CONFLICT => {
                    return (order.id.to_string(), order.state);
                }
                StatusCode::ACCEPTED if cancels => {
                    let _ = client.delete(format!("{url}/{}", order.id)).send().await;
                }
                _ => sleep(PAUSE).await,
            }
        }
        panic!("{key} gets no answer");
    }
}

#[tokio::test]
async fn it_sells_while_its_servers_are_killed() {
    let Some(mut shop) = Shop::servers() else {
        return;
    };
    let no_replica = ("DATABASE_REPLICA_URL", String::new());
    shop.open(&[no_replica]).await;
    let told: BTreeMap<_, _> = shop.sell(4).join_all().await.into_iter().collect();
    assert!(told.values().any(|state| *state == State::Confirmed));
    shop.holds(&told).await;

    let selling = shop.sell(12);
    sleep(PAUSE).await;
    shop.redis = None;
    shop.postgres.control(&["restart", "-m", "immediate"]);
    shop.start_redis();
    let told: BTreeMap<_, _> = selling.join_all().await.into_iter().collect();
    shop.holds(&told).await;
    shop.close();
}
