//! Databases as files of one folder, unless a server keeps them.

use std::{
    any::Any,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{StorageBackend, backends::FileBackend};

use super::told::Told;
use crate::{
    kit::store::Shared,
    ports::{BoxFuture, RowChange, Server, Storage},
};

pub(super) struct Files {
    folder: PathBuf,
    shared: Option<Shared>,
    server: Option<Arc<dyn Server>>,
    told: Option<Told>,
}

impl Files {
    pub(super) fn new(
        folder: &Path,
        shared: Option<Shared>,
        server: Option<Arc<dyn Server>>,
        told: Option<Told>,
    ) -> io::Result<Self> {
        if server.is_none() {
            fs::create_dir_all(folder).map_err(|error| about(folder, error))?;
        }
        Ok(Files {
            folder: folder.to_owned(),
            shared,
            server,
            told,
        })
    }
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

impl Storage for Files {
    fn exists(&self, file: &str) -> io::Result<bool> {
        self.folder.join(file).try_exists()
    }

    fn open(&self, file: &str) -> io::Result<Box<dyn StorageBackend>> {
        let path = self.folder.join(file);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| about(&path, error))?;
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(backend))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))?;
        // The new name lasts when the folder is on the disk.
        File::open(&self.folder)?.sync_all()
    }

    fn remove(&self, file: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn verifies_on_open(&self) -> bool {
        true
    }

    fn shared(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.shared.clone().map(|shared| Arc::new(shared) as _)
    }

    fn server(&self) -> Option<Arc<dyn Server>> {
        self.server.clone()
    }

    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Err(error) = tokio::task::spawn_blocking(job).await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        })
    }

    fn committed(&self, _file: &str, changes: &[RowChange]) {
        if let Some(told) = &self.told {
            let rows = changes
                .iter()
                .map(|row| (row.table, row.key.as_str(), row.after.as_deref()));
            told.tell("committed", rows);
        }
    }

    fn is_followed(&self) -> bool {
        self.told.is_some()
    }

    fn found(&self, _file: &str, rows: &[(String, String, Vec<u8>)]) {
        if let Some(told) = &self.told {
            let rows = rows
                .iter()
                .map(|(table, key, row)| (table.as_str(), key.as_str(), Some(row.as_slice())));
            told.tell("found", rows);
        }
    }
}
