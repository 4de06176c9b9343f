//! Where the program writes. A reader that has gone away (`| head`) is no error, and does not change the exit code.

use std::io::{self, ErrorKind, Write};

/// A stream that swallows everything once its reader has gone.
pub(super) struct Output {
    to: Box<dyn Write>,
    gone: bool,
}

impl Output {
    pub fn new(to: Box<dyn Write>) -> Self {
        Output { to, gone: false }
    }

    fn unless_gone<T>(&mut self, done: io::Result<T>, instead: T) -> io::Result<T> {
        match done {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(instead)
            }
            other => other,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        let done = self.to.write(bytes);
        self.unless_gone(done, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let done = self.to.flush();
        self.unless_gone(done, ())
    }
}
