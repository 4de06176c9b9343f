//! How a trace's bytes look in JSON: as text that a person can search.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that mostly are text: a string, or `{"hex": ".."}` where they are not UTF-8.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes<'a> {
    Text(std::borrow::Cow<'a, str>),
    Hex { hex: String },
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text.into()),
            Err(_) => Bytes::Hex {
                hex: bytes.iter().map(|b| format!("{b:02x}")).collect(),
            },
        }
    }
}

impl Bytes<'_> {
    fn decode<E: serde::de::Error>(self) -> Result<Vec<u8>, E> {
        match self {
            Bytes::Text(text) => Ok(text.into_owned().into_bytes()),
            Bytes::Hex { hex } => (0..hex.len())
                .step_by(2)
                .map(|i| {
                    hex.get(i..i + 2)
                        .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                })
                .collect::<Option<_>>()
                .ok_or_else(|| E::custom("`hex` must hold an even number of hexadecimal digits")),
        }
    }
}

/// `Cow<[u8]>` as text.
pub mod text {
    use std::borrow::Cow;

    use super::*;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        Bytes::from(bytes).serialize(serializer)
    }

    pub fn deserialize<'de, 'a, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Cow<'a, [u8]>, D::Error> {
        Bytes::deserialize(deserializer)?.decode().map(Cow::Owned)
    }
}

/// `Option<Vec<u8>>` as text or null.
pub mod optional_text {
    use super::*;

    pub fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(Bytes::from).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<Bytes<'_>>::deserialize(deserializer)?
            .map(Bytes::decode)
            .transpose()
    }
}
