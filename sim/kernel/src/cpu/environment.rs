//! Environment variables, of which each process has its own: libc's functions, and std's, work on whatever `environ` leads
//! to. While a process has its turn, that is what it has.

use std::{
    collections::BTreeMap,
    ffi::{CString, c_char},
    ptr,
};

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// The environment of a process.
pub struct Environment {
    /// What `environ` leads to: the list below, or the one by which libc has replaced it.
    at: *mut *mut c_char,
    _texts: Vec<CString>,
    _list: Vec<*mut c_char>,
}

impl Environment {
    /// These variables, and no others.
    pub fn new(variables: &[(String, String)]) -> Self {
        let last: BTreeMap<_, _> = variables
            .iter()
            .map(|(name, value)| (name, value))
            .collect();
        let text = |(name, value)| CString::new(format!("{name}={value}")).ok();
        let texts: Vec<CString> = last.into_iter().filter_map(text).collect();
        let mut list: Vec<_> = texts.iter().map(|text| text.as_ptr().cast_mut()).collect();
        list.push(ptr::null_mut());
        Environment {
            at: list.as_mut_ptr(),
            _texts: texts,
            _list: list,
        }
    }

    /// Puts the environment of the process in the place of the world's, or back.
    pub fn exchange(&mut self) {
        // SAFETY: where programs run no other thread does, or one that leaves variables alone (`SQUALL_FORK=0`).
        unsafe { ptr::swap(&raw mut environ, &raw mut self.at) };
    }
}
