//! The bytes of a file: sparse blocks, shared until written.

use std::{io, sync::Arc};

/// Bytes in a block, which is also a page of the page cache.
pub const BLOCK: usize = 4096;
/// Bytes in a sector: what a disk writes in one piece, unless the power fails inside.
pub const SECTOR: usize = 512;
/// Sectors in a block.
pub const SECTORS: usize = BLOCK / SECTOR;

type Block = [u8; BLOCK];

static ZEROS: Block = [0; BLOCK];

/// A block that takes space.
#[derive(Clone, Debug)]
enum Page {
    /// Shared by clones of the file.
    Shared(Arc<Block>),
    /// Of what the disk began with. Nobody counts who has it, so that a process which was forked copies no memory until
    /// the block is written to.
    Fixed(&'static Block),
}

impl Page {
    fn bytes(&self) -> &Block {
        match self {
            Page::Shared(block) => block,
            Page::Fixed(block) => block,
        }
    }

    /// The bytes, to be changed.
    fn bytes_mut(&mut self) -> &mut Block {
        if let Page::Fixed(block) = self {
            *self = Page::Shared(Arc::new(**block));
        }
        match self {
            Page::Shared(block) => Arc::make_mut(block),
            Page::Fixed(_) => unreachable!("it has just been copied"),
        }
    }

    /// The bytes, to be changed in place, if nobody else sees them.
    fn own(&mut self) -> Option<&mut Block> {
        match self {
            Page::Shared(block) => Arc::get_mut(block),
            Page::Fixed(_) => None,
        }
    }
}

/// A file's length and content. A clone costs a pointer per block.
///
/// Invariant: bytes past `len` in the last block are zero, no block lies wholly past `len`, and `taken` blocks take space.
#[derive(Clone, Debug, Default)]
pub struct Image {
    len: u64,
    blocks: Vec<Option<Page>>,
    taken: usize,
}

impl Image {
    /// A file that disks begin with: its bytes stay where they are. Blocks of zeros take space like any other.
    pub fn fixed(bytes: &'static [u8]) -> Self {
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut blocks: Vec<_> = blocks
            .iter()
            .map(|block| Some(Page::Fixed(block)))
            .collect();
        if !rest.is_empty() {
            let mut last = ZEROS;
            last[..rest.len()].copy_from_slice(rest);
            blocks.push(Some(Page::Shared(Arc::new(last))));
        }
        Image {
            len: bytes.len() as u64,
            taken: blocks.len(),
            blocks,
        }
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    /// The block's bytes; zeros where there is a hole.
    pub fn block(&self, ix: usize) -> &Block {
        self.blocks
            .get(ix)
            .and_then(Option::as_ref)
            .map_or(&ZEROS, Page::bytes)
    }

    /// Whether the block takes space.
    pub fn is_stored(&self, ix: usize) -> bool {
        self.blocks.get(ix).is_some_and(Option::is_some)
    }

    /// The blocks that take space, in order.
    pub fn stored(&self) -> impl Iterator<Item = usize> {
        (0..self.blocks.len()).filter(|ix| self.blocks[*ix].is_some())
    }

    /// How many blocks take space.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Fills `out` from `offset`; nothing is read unless all of it lies inside of the file.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset
            .checked_add(out.len() as u64)
            .is_none_or(|end| end > self.len)
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = out;
        let mut at = offset;
        while !rest.is_empty() {
            let (ix, within) = split(at);
            let n = rest.len().min(BLOCK - within);
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(&self.block(ix)[within..within + n]);
            rest = later;
            at += n as u64;
        }
        Ok(())
    }

    /// Writes inside of one block, and grows the file to hold it.
    pub fn write_block(&mut self, ix: usize, within: usize, data: &[u8]) {
        debug_assert!(within + data.len() <= BLOCK);
        if self.blocks.len() <= ix {
            self.blocks.resize(ix + 1, None);
        }
        let slot = &mut self.blocks[ix];
        self.taken += usize::from(slot.is_none());
        match slot.as_mut().and_then(Page::own) {
            Some(own) => own[within..within + data.len()].copy_from_slice(data),
            None if data.len() == BLOCK => {
                // One allocation and one copy: the old content is not read.
                let bytes: Arc<[u8]> = Arc::from(data);
                *slot = Some(Page::Shared(bytes.try_into().expect("a whole block")));
            }
            None => {
                let mut bytes = slot.as_ref().map_or(ZEROS, |page| *page.bytes());
                bytes[within..within + data.len()].copy_from_slice(data);
                *slot = Some(Page::Shared(Arc::new(bytes)));
            }
        }
        self.len = self.len.max((ix * BLOCK + within + data.len()) as u64);
    }

    /// Cuts the file, or grows it with a hole.
    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (last, within) = split(len);
            let end = if within == 0 { last } else { last + 1 };
            let cut = self.blocks.drain(end.min(self.blocks.len())..);
            self.taken -= cut.flatten().count();
            if within > 0
                && let Some(Some(block)) = self.blocks.get_mut(last)
            {
                block.bytes_mut()[within..].fill(0);
            }
        }
        self.len = len;
    }

    /// Makes a block a hole.
    pub fn clear_block(&mut self, ix: usize) {
        if let Some(block) = self.blocks.get_mut(ix) {
            self.taken -= usize::from(block.take().is_some());
        }
    }

    /// Makes a block what it is in `other`; what lies past this file's end is left out.
    pub fn take_block(&mut self, ix: usize, other: &Image) {
        if (ix * BLOCK) as u64 >= self.len {
            return;
        }
        let block = other.blocks.get(ix).cloned().flatten();
        if self.blocks.len() <= ix {
            if block.is_none() {
                return;
            }
            self.blocks.resize(ix + 1, None);
        }
        self.taken += usize::from(block.is_some());
        self.taken -= usize::from(self.blocks[ix].is_some());
        self.blocks[ix] = block;
        self.zero_past_end(ix);
    }

    /// Replaces one block's content; what lies past the file's end is left out.
    pub fn put_block(&mut self, ix: usize, bytes: &Block) {
        if (ix * BLOCK) as u64 >= self.len {
            return;
        }
        let len = self.len;
        self.write_block(ix, 0, bytes);
        self.len = len;
        self.zero_past_end(ix);
    }

    fn zero_past_end(&mut self, ix: usize) {
        let (last, within) = split(self.len);
        if ix == last
            && within > 0
            && let Some(Some(block)) = self.blocks.get_mut(ix)
            && block.bytes()[within..].iter().any(|b| *b != 0)
        {
            block.bytes_mut()[within..].fill(0);
        }
    }
}

/// The block in which `offset` lies, and where in it.
pub fn split(offset: u64) -> (usize, usize) {
    (
        (offset / BLOCK as u64) as usize,
        (offset % BLOCK as u64) as usize,
    )
}
