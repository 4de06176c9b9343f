//! How a kind of fault is declared: its name, fields, drawing and words as data, in one place.

use std::fmt;

use super::{Draw, FaultKind, Number, Target};

/// What a kind of fault strikes. The fields that name it, when the fault happens if nothing else is said, and whether a
/// profile has such a thing follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strikes {
    /// A node, at any instant of the storm.
    Node,
    /// A node, mostly at one of its sites.
    NodeAtSites,
    /// The process of a node, which stops, mostly at one of its sites.
    Process,
    /// The disk of a node, which may hold something else afterwards than its node believes.
    Disk,
    /// The same, mostly at a site.
    DiskAtSites,
    /// A link from one node to another, at any instant.
    Link,
    /// A link whose direction does not matter.
    Ends,
    /// The connections of a link, often at one of its bursts.
    Connections,
    /// A burst.
    Burst,
    /// The unmodified program of a node, at any instant.
    Program,
    /// A disk that may lie, at any instant.
    LyingDisk,
    /// Whatever the kind itself says.
    Own,
}

/// Declares the struct of a kind of fault.
///
/// * `= ".."` is its name in plan files, `on ..` what it [`Strikes`], with the names of the fields that say which: they
///   come first, and need not be declared.
/// * `field: type = method(..)` draws a field by a method of [`Draw`](super::Draw), in the order of the fields; `drawn
///   |from| ..` draws all of them. The order must not change: it is that of a seed's random numbers.
/// * `told ".."` is what traces say, with the fields by name, and is part of a trace's hash; `in words ".."` is what
///   sentences for people say if it is something else. To both is added for how long, if there is a field `for_ms`.
///   What befalls a burst is told with what it is: `in words |message| ".."`.
/// * `effective once ".."` says when a fault has touched something, for the reference, `counted as ..` the [`Effect`] by
///   which that is known; without it the fault tells [`Target::touched`], or the network does for a burst.
macro_rules! fault {
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on $On:ident() $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name $On [] nothing() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on Program($node:ident) $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name Program [" The node." $node] program() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on LyingDisk($node:ident) $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name LyingDisk [" The node." $node] lying() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on Disk($node:ident) $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name Disk [" The node." $node] disk() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on DiskAtSites($node:ident) $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name DiskAtSites [" The node." $node] disk() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on $On:ident($node:ident) $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name $On [" The node." $node] node() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on Link($from:ident, $to:ident) $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name Link [" From this node ..." $from, " ... to this one." $to] link() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on $On:ident($from:ident, $to:ident) $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name $On [" One end." $from, " The other." $to] link() $($rest)* }
    };
    (
        @kind [$($about:literal)*] $Kind:ident $name:literal $On:ident
        [$($struck_doc:literal $struck:ident),*] $draw_struck:ident()
        {
            $($(#[doc = $doc:literal])* $(#[serde $serde:tt])?
            $field:ident: $ty:ty $(= $draw:ident($($arg:expr),*))?),* $(,)?
        }
        told $told:literal $(, $in_told:ident = $told_as:expr)*;
        $(in words $(|$message:ident|)? $words:literal $(, $in_words:ident = $word:expr)*;)?
        effective once $effective:literal $(, counted as $Effect:ident($($of:expr),*))?;
        $(drawn |$from:ident| $drawn:expr;)?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $Kind {
            $(#[doc = $struck_doc] pub $struck: String,)*
            $($(#[doc = $doc])* $(#[serde $serde])? pub $field: $ty),*
        }

        #[allow(clippy::new_without_default)] // of those without fields
        impl $Kind {
            /// One of this kind.
            pub fn new($($struck: impl Into<String>,)* $($field: $ty),*) -> Self {
                $Kind { $($struck: $struck.into(),)* $($field),* }
            }
        }

        impl $crate::fault::Described for $Kind {
            const KIND: $crate::fault::FaultKind = $crate::fault::FaultKind::$Kind;
            const NAME: &'static str = $name;
            const ABOUT: &'static [&'static str] = &[$($about),*];
            const FIELDS: &'static [(&'static str, &'static [&'static str])] = &[
                $((stringify!($struck), &[$struck_doc]),)*
                $((stringify!($field), &[$($doc),*])),*
            ];
            const STRIKES: $crate::fault::Strikes = $crate::fault::Strikes::$On;
            const EFFECTIVE_ONCE: &'static str = $effective;

            fn draw(source: &mut $crate::fault::Draw<'_>) -> Self {
                drawn! {
                    source, $Kind [$($struck),*] $draw_struck
                    [$($field $(= $draw($($arg),*))?),*] $(|$from| $drawn)?
                }
            }
        }

        #[allow(unused_variables)] // of the fields that are not told
        impl $crate::fault::Declared for $Kind {
            fn strikes(&self) -> $crate::fault::Strikes {
                <Self as $crate::fault::Described>::STRIKES
            }

            fn values(&self) -> Vec<(&'static str, &dyn $crate::fault::Value)> {
                vec![
                    $((stringify!($struck), &self.$struck),)*
                    $((stringify!($field), &self.$field)),*
                ]
            }

            fn values_mut(&mut self) -> Vec<(&'static str, &mut dyn $crate::fault::Value)> {
                vec![
                    $((stringify!($struck), &mut self.$struck),)*
                    $((stringify!($field), &mut self.$field)),*
                ]
            }

            fn told(&self) -> String {
                let $Kind { $($struck,)* $($field),* } = self;
                format!($told $(, $in_told = $told_as)*)
            }

            words! {
                $Kind [$($struck)* $($field)*]
                $($words [$($message)?] $(, $in_words = $word)*)?
            }

            counted! { $Kind [$($struck)* $($field)*] $($Effect($($of),*))? }
        }

        impl ::std::fmt::Display for $Kind {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::fault::Declared::fmt(self, f)
            }
        }
    };
}

/// Draws what is struck, then the fields one after another; or all of it as the kind says.
macro_rules! drawn {
    (
        $source:ident, $Kind:ident [$($struck:ident),*] $draw_struck:ident
        [$($field:ident = $draw:ident($($arg:expr),*)),*]
    ) => {{
        #[allow(unused_parens)]
        let ($($struck),*) = $source.$draw_struck();
        $Kind { $($struck,)* $($field: $source.$draw($($arg),*)),* }
    }};
    (
        $source:ident, $Kind:ident [$($struck:ident),*] $draw_struck:ident
        [$($field:ident),*] |$from:ident| $drawn:expr
    ) => {{
        let $from = $source;
        $drawn
    }};
}

/// [`Declared::words`], where they are not what traces say.
macro_rules! words {
    ($Kind:ident [$($field:ident)*]) => {};
    ($Kind:ident [$($field:ident)*] $text:literal [] $($value:tt)*) => {
        words! { $Kind [$($field)*] $text [_message] $($value)* }
    };
    ($Kind:ident [$($field:ident)*] $text:literal [$message:ident] $(, $name:ident = $value:expr)*) => {
        fn words(&self, $message: &str) -> String {
            let $Kind { $($field),* } = self;
            format!($text $(, $name = $value)*)
        }
    };
}

/// [`Declared::touched`], where the system counts it.
macro_rules! counted {
    ($Kind:ident [$($field:ident)*]) => {};
    ($Kind:ident [$($field:ident)*] $Effect:ident($($of:expr),*)) => {
        fn touched(&self, target: &dyn $crate::fault::Target) -> u64 {
            let $Kind { $($field),* } = self;
            target.count($crate::fault::Effect::$Effect($($of),*))
        }
    };
}

/// What a kind's declaration says of it.
pub trait Described: Sized {
    /// The kind.
    const KIND: FaultKind;
    /// Its name in tables and plan files: the struct's in kebab case.
    const NAME: &'static str;
    /// What it does, line by line.
    const ABOUT: &'static [&'static str];
    /// Its fields and what they mean, line by line.
    const FIELDS: &'static [(&'static str, &'static [&'static str])];
    /// What it strikes.
    const STRIKES: Strikes;
    /// When a fault of this kind has touched something: a clause for the reference that follows "Effective once".
    const EFFECTIVE_ONCE: &'static str;

    /// Draws its fields.
    fn draw(from: &mut Draw<'_>) -> Self;
}

/// What follows from a kind's declaration for each fault of it.
pub trait Declared {
    /// What it strikes.
    fn strikes(&self) -> Strikes;

    /// Its fields with their names.
    fn values(&self) -> Vec<(&'static str, &dyn Value)>;

    /// The same, to be changed.
    fn values_mut(&mut self) -> Vec<(&'static str, &mut dyn Value)>;

    /// What happens, as traces say it.
    fn told(&self) -> String;

    /// What happens, to this message where it befalls one, as sentences say it.
    fn words(&self, _message: &str) -> String {
        self.told()
    }

    /// How often faults like this one have touched something so far, if that is counted.
    fn touched(&self, _target: &dyn Target) -> u64 {
        0
    }

    /// For how many virtual milliseconds it goes on, if it has a field of it.
    fn for_ms(&self) -> Option<u64> {
        let mut values = self.values().into_iter();
        values
            .find(|(name, _)| *name == "for_ms")
            .and_then(|(_, value)| value.ms())
    }

    /// What traces say, with for how long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told())?;
        match self.for_ms() {
            Some(ms) => write!(f, " for {}", super::words::seconds(ms)),
            None => Ok(()),
        }
    }
}

/// The value of a field.
pub trait Value {
    /// The node of this name.
    fn node(&self) -> Option<&str> {
        None
    }

    /// Names another node.
    fn rename(&mut self, _node: &str) {}

    /// Virtual milliseconds.
    fn ms(&self) -> Option<u64> {
        None
    }

    /// A number that can be made smaller.
    fn number(&mut self) -> Option<Number<'_>> {
        None
    }
}

impl Value for String {
    fn node(&self) -> Option<&str> {
        Some(self)
    }

    fn rename(&mut self, node: &str) {
        node.clone_into(self);
    }
}

macro_rules! numbers {
    ($($number:ident is $Number:ident,)*) => {$(
        impl Value for $number {
            fn ms(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }

            fn number(&mut self) -> Option<Number<'_>> {
                Some(Number::$Number(self))
            }
        }
    )*};
}

numbers! {
    u64 is Amount,
    u32 is Times,
    u8 is Percent,
    i64 is Signed,
}

impl Value for bool {}

impl Value for Option<String> {}
