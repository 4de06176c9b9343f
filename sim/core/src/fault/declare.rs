//! How a kind of fault is declared: its name, fields, drawing and words as data, in one place.

use std::fmt;

use super::Number;

/// What a kind of fault strikes. The fields that name it, when the fault happens if nothing else is said, and whether a
/// profile has such a thing follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strikes {
    /// A node, at any instant of the storm.
    Node,
    /// A node, mostly at one of its sites.
    NodeAtSites,
    /// A link, at any instant.
    Link,
    /// The connections of a link, often at one of its bursts.
    Connections,
    /// A burst.
    Burst,
    /// Whatever the kind itself says.
    Own,
}

/// Declares the struct of a kind of fault.
///
/// * `= ".."` is its name in plan files, `on ..` what it [`Strikes`]: `node`, `node at sites`, `link (from, to)`,
///   `link between (from, to)`, `connections between (from, to)`, `burst`, or `its own` things. The fields that name
///   these come first and need not be declared.
/// * `field: type = method(..)` draws a field by a method of [`Draw`](super::Draw), in the order of the fields; `drawn
///   |from| ..` draws all of them. The order must not change: it is that of a seed's random numbers.
/// * `told ".."` is what traces say, with the fields by name, and is part of a trace's hash; `in words ".."` is what
///   sentences for people say if it is something else. To both is added for how long, if there is a field `for_ms`.
/// * `effective once ".."` says when a fault has touched something, for the reference.
macro_rules! fault {
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on its own $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name Own [] nothing() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on burst $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name Burst [] nothing() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on link between $($rest:tt)*) => {
        fault! { @ends [$($about)*] $Kind $name Link " One end." " The other." $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on connections between $($rest:tt)*) => {
        fault! { @ends [$($about)*] $Kind $name Connections " One end." " The other." $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on link $($rest:tt)*) => {
        fault! { @ends [$($about)*] $Kind $name Link " From this node ..." " ... to this one." $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on $node:ident at sites $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name NodeAtSites [" The node." $node] node() $($rest)* }
    };
    ($(#[doc = $about:literal])* pub struct $Kind:ident = $name:literal on $node:ident $($rest:tt)*) => {
        fault! { @kind [$($about)*] $Kind $name Node [" The node." $node] node() $($rest)* }
    };
    (@ends $about:tt $Kind:ident $name:literal $on:ident $one:literal $other:literal
        ($from:ident, $to:ident) $($rest:tt)*) => {
        fault! { @kind $about $Kind $name $on [$one $from, $other $to] link() $($rest)* }
    };
    (
        @kind [$($about:literal)*] $Kind:ident $name:literal $on:ident
        [$($struck_doc:literal $struck:ident),*] $draw_struck:ident()
        {
            $($(#[doc = $doc:literal])* $(#[serde $serde:tt])?
            $field:ident: $ty:ty $(= $draw:ident($($arg:expr),*))?),* $(,)?
        }
        told $told:literal $(, $in_told:ident = $told_as:expr)*;
        $(in words $words:literal $(, $in_words:ident = $word:expr)*;)?
        effective once $effective:literal;
        $(drawn |$from:ident| $drawn:expr;)?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $Kind {
            $(#[doc = $struck_doc] pub $struck: String,)*
            $($(#[doc = $doc])* $(#[serde $serde])? pub $field: $ty),*
        }

        impl $crate::fault::Described for $Kind {
            const NAME: &'static str = $name;
            const ABOUT: &'static [&'static str] = &[$($about),*];
            const FIELDS: &'static [(&'static str, &'static [&'static str])] = &[
                $((stringify!($struck), &[$struck_doc]),)*
                $((stringify!($field), &[$($doc),*])),*
            ];
            const STRIKES: $crate::fault::Strikes = $crate::fault::Strikes::$on;
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

            said! { told $Kind [$($struck)* $($field)*] $told $(, $in_told = $told_as)* }

            said! { words $Kind [$($struck)* $($field)*] $($words $(, $in_words = $word)*)? }
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

/// A method that says what happens with the fields by name, if the declaration has a text for it.
macro_rules! said {
    ($method:ident $Kind:ident [$($field:ident)*]) => {};
    ($method:ident $Kind:ident [$($field:ident)*] $text:literal $(, $name:ident = $value:expr)*) => {
        fn $method(&self) -> String {
            let $Kind { $($field),* } = self;
            format!($text $(, $name = $value)*)
        }
    };
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

    /// What happens, as sentences say it.
    fn words(&self) -> String {
        self.told()
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

impl Value for u64 {
    fn ms(&self) -> Option<u64> {
        Some(*self)
    }

    fn number(&mut self) -> Option<Number<'_>> {
        Some(Number::Amount(self))
    }
}

impl Value for u32 {
    fn number(&mut self) -> Option<Number<'_>> {
        Some(Number::Times(self))
    }
}

impl Value for u8 {
    fn number(&mut self) -> Option<Number<'_>> {
        Some(Number::Percent(self))
    }
}

impl Value for i64 {
    fn number(&mut self) -> Option<Number<'_>> {
        Some(Number::Signed(self))
    }
}

impl Value for bool {}

impl Value for Option<String> {}
