//! How a PostgreSQL server runs.

/// Where a server keeps its data.
pub const DATA: &str = "/data";

/// How a server runs in a storm, if nothing else is said: as it comes, but small, so that it boots soon, and without what
/// would only cost time there. What keeps data is as it comes.
const SETTINGS: [(&str, &str); 21] = [
    ("listen_addresses", "0.0.0.0"),
    ("unix_socket_directories", "/tmp"),
    ("max_connections", "60"),
    ("shared_buffers", "16MB"),
    ("max_files_per_process", "64"),
    ("huge_pages", "off"),
    ("dynamic_shared_memory_type", "sysv"),
    ("wal_level", "logical"),
    ("wal_init_zero", "off"),
    ("wal_recycle", "off"),
    ("min_wal_size", "4MB"),
    ("max_wal_size", "64MB"),
    ("bgwriter_delay", "10s"),
    ("wal_writer_delay", "10s"),
    ("max_logical_replication_workers", "0"),
    ("max_parallel_workers_per_gather", "0"),
    ("jit", "off"),
    ("log_min_messages", "warning"),
    ("log_checkpoints", "off"),
    ("log_line_prefix", ""),
    ("update_process_title", "off"),
];

/// The arguments of a server with these settings beside its own.
pub fn arguments(settings: &[(String, String)]) -> Vec<String> {
    let usual = SETTINGS
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let own = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let said = usual
        .chain(own)
        .flat_map(|setting| ["-c".to_owned(), setting]);
    ["-D".to_owned(), DATA.to_owned()]
        .into_iter()
        .chain(said)
        .collect()
}
