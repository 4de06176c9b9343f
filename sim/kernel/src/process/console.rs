//! What a process writes to its standard output and error, line by line.

use squall_core::event::Level;
use squall_engine::Node;

/// Lines that are not complete.
#[derive(Debug, Default)]
pub struct Console {
    out: Vec<u8>,
    error: Vec<u8>,
}

impl Console {
    /// Takes bytes in; complete lines are told.
    pub fn write(&mut self, node: &Node, is_error: bool, bytes: &[u8]) {
        let (buffer, level) = match is_error {
            true => (&mut self.error, Level::Err),
            false => (&mut self.out, Level::Out),
        };
        buffer.extend_from_slice(bytes);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            node.says(level, String::from_utf8_lossy(&line[..end]).trim_end());
        }
    }

    /// What is left is told too.
    pub fn flush(&mut self, node: &Node) {
        for (buffer, level) in [(&mut self.out, Level::Out), (&mut self.error, Level::Err)] {
            if !buffer.is_empty() {
                node.says(level, &String::from_utf8_lossy(&std::mem::take(buffer)));
            }
        }
    }
}
