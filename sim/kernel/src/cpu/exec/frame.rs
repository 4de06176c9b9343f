//! What Linux puts on a thread's stack when it begins to handle a signal, and takes from there when that ends.

use super::super::context::Registers;

/// How a thread begins to handle a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handler {
    /// The handler.
    pub handler: usize,
    /// Where the handler returns to, as `sigaction` was given it.
    pub restorer: usize,
    /// The signal.
    pub signal: i32,
    /// How it came (`SI_*`).
    pub code: i32,
    /// Who sent it, or which child has changed.
    pub pid: i32,
    /// Whose process that is.
    pub user: u32,
    /// The child's status, the sender's value, or the address of a fault.
    pub value: u64,
    /// The mask that holds again afterwards.
    pub mask: u64,
    /// The stack that it is to use (`sigaltstack`): begin and length. None if that is 0.
    pub stack: (usize, usize),
    /// What the call answers that the thread stands in; not of a fault, which is no call.
    pub answer: Option<isize>,
    /// It asks once more instead: the answer is the number of its call.
    pub repeats: bool,
}

const WORDS: usize = 13;

/// Offsets in `ucontext`, as Linux has it on x86-64.
mod offset {
    pub const STACK: usize = 16;
    pub const REGISTERS: usize = 40;
    pub const EXTENDED: usize = 224;
    pub const MASK: usize = 296;
    pub const LEN: usize = 304;
}
const SIGINFO_LEN: usize = 128;
/// The stack below its pointer belongs to the function that was interrupted.
const RED_ZONE: usize = 128;
/// The flags that a program may set.
const EFLAGS: i64 = 0x0005_0dd5;

impl Handler {
    /// As words, to be read again by [`Handler::from_words`].
    pub fn to_words(self) -> [u64; WORDS] {
        [
            self.handler as u64,
            self.restorer as u64,
            self.signal as u64,
            self.code as u64,
            self.pid as u64,
            self.user.into(),
            self.value,
            self.mask,
            self.stack.0 as u64,
            self.stack.1 as u64,
            self.answer.is_some().into(),
            self.answer.unwrap_or(0) as u64,
            self.repeats.into(),
        ]
    }

    /// What [`Handler::to_words`] made.
    pub fn from_words(words: impl Iterator<Item = u64>) -> Self {
        let mut all = [0; WORDS];
        all.iter_mut().zip(words).for_each(|(to, from)| *to = from);
        Handler {
            handler: all[0] as usize,
            restorer: all[1] as usize,
            signal: all[2] as i32,
            code: all[3] as i32,
            pid: all[4] as i32,
            user: all[5] as u32,
            value: all[6],
            mask: all[7],
            stack: (all[8] as usize, all[9] as usize),
            answer: (all[10] != 0).then_some(all[11] as isize),
            repeats: all[12] != 0,
        }
    }

    fn siginfo(&self) -> [u8; SIGINFO_LEN] {
        let mut info = [0; SIGINFO_LEN];
        let mut put = |at: usize, bytes: &[u8]| info[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.signal.to_ne_bytes());
        put(8, &self.code.to_ne_bytes());
        if self.answer.is_none() {
            put(16, &self.value.to_ne_bytes());
        } else {
            put(16, &self.pid.to_ne_bytes());
            put(20, &self.user.to_ne_bytes());
            put(24, &self.value.to_ne_bytes());
        }
        info
    }

    /// The thread of these registers, and what else is saved of it, goes on in the handler.
    ///
    /// # Safety
    /// They are those of a thread of this process, whose stack is where it says.
    pub unsafe fn enter(&self, registers: &mut Registers, extended: &mut [u8]) {
        let mut at = registers[libc::REG_RSP as usize] as usize - RED_ZONE;
        let (begin, len) = self.stack;
        if len != 0 && !(begin..=begin + len).contains(&at) {
            at = begin + len;
        }
        let saved = (at - extended.len()) & !63;
        let info = saved - SIGINFO_LEN;
        let context = info - offset::LEN;
        // At the first instruction of a function the stack pointer is 8 below a multiple of 16.
        let context = context & !15;
        let frame = context - 8;
        if let Some(answer) = self.answer {
            registers[libc::REG_RAX as usize] = answer as i64;
        }
        if self.repeats {
            /// The length of a `syscall` instruction.
            const CALL: i64 = 2;
            registers[libc::REG_RIP as usize] -= CALL;
        }
        let put = |at: usize, word: usize| {
            // SAFETY: the caller's promise: it is the stack.
            unsafe { (at as *mut usize).write_unaligned(word) };
        };
        // SAFETY: as above.
        unsafe {
            std::ptr::copy_nonoverlapping(extended.as_ptr(), saved as *mut u8, extended.len());
            std::ptr::copy_nonoverlapping(self.siginfo().as_ptr(), info as *mut u8, SIGINFO_LEN);
            std::ptr::write_bytes(context as *mut u8, 0, offset::LEN);
            let place = (context + offset::REGISTERS) as *mut Registers;
            place.write_unaligned(*registers);
        }
        put(context + offset::STACK, begin);
        put(context + offset::STACK + 16, len);
        put(context + offset::EXTENDED, saved);
        put(context + offset::MASK, self.mask as usize);
        put(frame, self.restorer);
        let values = [
            (libc::REG_RIP, self.handler),
            (libc::REG_RSP, frame),
            (libc::REG_RDI, self.signal as usize),
            (libc::REG_RSI, info),
            (libc::REG_RDX, context),
            (libc::REG_RAX, 0),
        ];
        for (register, value) in values {
            registers[register as usize] = value as i64;
        }
        registers[libc::REG_EFL as usize] &= !EFLAGS;
    }
}

/// The thread of these registers stands in `rt_sigreturn`, and goes on where the signal met it. The mask that it had there,
/// and what its call had answered.
///
/// # Safety
/// They are those of a thread of this process, which was made to handle a signal by [`Handler::enter`].
pub unsafe fn leave(registers: &mut Registers, extended: &mut [u8]) -> (u64, isize) {
    let context = registers[libc::REG_RSP as usize] as usize;
    // SAFETY: the caller's promise: a context lies at the stack pointer. The handler may have changed it.
    unsafe {
        let place = (context + offset::REGISTERS) as *const Registers;
        let before = place.read_unaligned();
        let general = libc::REG_R8 as usize..=libc::REG_RIP as usize;
        registers[general.clone()].copy_from_slice(&before[general]);
        let flags = &mut registers[libc::REG_EFL as usize];
        *flags = *flags & !EFLAGS | before[libc::REG_EFL as usize] & EFLAGS;
        let saved = ((context + offset::EXTENDED) as *const usize).read_unaligned();
        if saved != 0 {
            std::ptr::copy_nonoverlapping(
                saved as *const u8,
                extended.as_mut_ptr(),
                extended.len(),
            );
        }
        let mask = ((context + offset::MASK) as *const u64).read_unaligned();
        (mask, before[libc::REG_RAX as usize] as isize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(answer: Option<isize>) -> Handler {
        Handler {
            handler: 0x1000,
            restorer: 0x2000,
            signal: libc::SIGTERM,
            code: libc::SI_USER,
            pid: 7,
            user: 1000,
            value: 9,
            mask: 0x55,
            stack: (0, 0),
            answer,
            repeats: false,
        }
    }

    #[test]
    fn a_handler_is_handed_over_as_it_is() {
        for handler in [handler(None), handler(Some(-4))] {
            assert_eq!(Handler::from_words(handler.to_words().into_iter()), handler);
        }
    }

    #[test]
    fn after_a_handler_everything_is_as_before_and_the_call_has_its_answer() {
        let mut stack = vec![0u8; 16 << 10];
        let top = stack.as_mut_ptr() as usize + stack.len() - 256;
        let mut registers: Registers = std::array::from_fn(|ordinal| ordinal as i64 * 11);
        registers[libc::REG_RSP as usize] = top as i64;
        let mut extended: Vec<u8> = (0..2048).map(|byte| byte as u8).collect();
        let (registers_before, extended_before) = (registers, extended.clone());
        // SAFETY: the stack is there, and this test's own.
        let (mask, answer) = unsafe {
            handler(Some(-4)).enter(&mut registers, &mut extended);
            assert_eq!(registers[libc::REG_RIP as usize], 0x1000);
            assert_eq!(registers[libc::REG_RSP as usize] % 16, 8);
            let info = registers[libc::REG_RSI as usize] as *const i32;
            assert_eq!((info.read(), info.add(4).read()), (libc::SIGTERM, 7));
            extended.fill(0);
            // The handler returns by the restorer's address.
            registers[libc::REG_RSP as usize] += 8;
            leave(&mut registers, &mut extended)
        };
        assert_eq!((mask, answer), (0x55, -4));
        assert_eq!(extended, extended_before);
        let mut expected = registers_before;
        expected[libc::REG_RAX as usize] = -4;
        expected[libc::REG_EFL as usize] = registers[libc::REG_EFL as usize];
        assert_eq!(registers[..17], expected[..17]);
    }
}
