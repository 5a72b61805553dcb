//! The members of a flat JSON object: serde's derives name them, serde_json writes their values.
//!
//! serde_json would look through each byte of the keys for what is to be escaped, which took a
//! quarter of the time that userspace spends on a busy server. The keys are those of the schema,
//! and need nothing of the kind.

use std::fmt::Display;

use serde::{
    Serialize, Serializer,
    ser::{Error as _, Impossible, SerializeMap, SerializeStruct},
};
use serde_json::Error;

/// Writes the members of a struct or a map after others, each with a comma before it.
pub(super) struct Members<'a>(pub(super) &'a mut Vec<u8>);

impl Members<'_> {
    /// Always inlined: the derives name constants, and a few bytes of known length are stored
    /// without a call.
    #[inline(always)]
    fn member<V: Serialize + ?Sized>(&mut self, key: &str, value: &V) -> Result<(), Error> {
        debug_assert!(is_plain(key), "{key:?}");
        let line = &mut *self.0;
        line.reserve(key.len() + b",\"\":".len());
        line.extend_from_slice(b",\"");
        line.extend_from_slice(key.as_bytes());
        line.extend_from_slice(b"\":");
        write_value(line, value)
    }
}

/// Never inlined: it would be there once for each member.
#[inline(never)]
fn write_value<V: Serialize + ?Sized>(line: &mut Vec<u8>, value: &V) -> Result<(), Error> {
    serde_json::to_writer(line, value)
}

/// Whether a key stands for itself between quotation marks.
fn is_plain(key: &str) -> bool {
    // Names of header fields are part of keys, and may contain any token character.
    key.bytes().all(|byte| byte == b'.' || tracer_common::http1::is_token_character(byte))
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Error;

    #[inline(always)]
    fn serialize_field<V: Serialize + ?Sized>(&mut self, key: &'static str, value: &V) -> Result<(), Error> {
        self.member(key, value)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Error;

    #[inline(always)]
    fn serialize_entry<K, V>(&mut self, key: &K, value: &V) -> Result<(), Error>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        key.serialize(Key { members: self, value })
    }

    fn serialize_key<K: Serialize + ?Sized>(&mut self, _key: &K) -> Result<(), Error> {
        Err(refusal("a key without its value"))
    }

    fn serialize_value<V: Serialize + ?Sized>(&mut self, _value: &V) -> Result<(), Error> {
        Err(refusal("a value without its key"))
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

/// The key of a map's entry, on its way to become a text.
struct Key<'a, 'b, V: ?Sized> {
    members: &'a mut Members<'b>,
    value: &'a V,
}

fn refusal(what: impl Display) -> Error {
    Error::custom(format_args!("no part of a flat object: {what}"))
}

/// What neither has members nor is a key.
macro_rules! refused {
    ($($method:ident($($argument:ty),*) $(-> $compound:ident)?;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<refused!(@ $($compound)?), Error> {
            Err(refusal(stringify!($method)))
        }
    )*};
    (@) => { () };
    (@ $compound:ident) => { Self::$compound };
}

/// What both refuse.
macro_rules! refused_by_both {
    () => {
        type Ok = ();
        type Error = Error;
        type SerializeSeq = Impossible<(), Error>;
        type SerializeTuple = Impossible<(), Error>;
        type SerializeTupleStruct = Impossible<(), Error>;
        type SerializeTupleVariant = Impossible<(), Error>;
        type SerializeStructVariant = Impossible<(), Error>;

        refused! {
            serialize_bool(bool);
            serialize_i8(i8);
            serialize_i16(i16);
            serialize_i32(i32);
            serialize_i64(i64);
            serialize_u8(u8);
            serialize_u16(u16);
            serialize_u32(u32);
            serialize_u64(u64);
            serialize_f32(f32);
            serialize_f64(f64);
            serialize_char(char);
            serialize_bytes(&[u8]);
            serialize_unit_struct(&'static str);
            serialize_unit_variant(&'static str, u32, &'static str);
            serialize_seq(Option<usize>) -> SerializeSeq;
            serialize_tuple(usize) -> SerializeTuple;
            serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
            serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
            serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
        }

        fn serialize_newtype_struct<T: Serialize + ?Sized>(
            self,
            _name: &'static str,
            value: &T,
        ) -> Result<(), Error> {
            value.serialize(self)
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            name: &'static str,
            _index: u32,
            _variant: &'static str,
            _value: &T,
        ) -> Result<(), Error> {
            Err(refusal(name))
        }

        fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
            value.serialize(self)
        }
    };
}

impl Serializer for Members<'_> {
    type SerializeMap = Self;
    type SerializeStruct = Self;

    refused_by_both!();
    refused! {
        serialize_str(&str);
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Self, Error> {
        Ok(self)
    }

    /// Nothing has no members.
    fn serialize_none(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<V: Serialize + ?Sized> Serializer for Key<'_, '_, V> {
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;

    refused_by_both!();
    refused! {
        serialize_none();
        serialize_unit();
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
    }

    #[inline(always)]
    fn serialize_str(self, key: &str) -> Result<(), Error> {
        self.members.member(key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    fn members(of: &impl Serialize) -> Result<String, Error> {
        let mut line = Vec::new();
        of.serialize(Members(&mut line))?;
        Ok(String::from_utf8(line).expect("text"))
    }

    #[derive(Serialize)]
    struct Inner {
        #[serde(rename = "c.d")]
        number: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
    }

    #[derive(Serialize)]
    struct Outer<'a> {
        text: &'a str,
        list: [bool; 2],
        #[serde(flatten)]
        inner: Inner,
        #[serde(flatten)]
        nothing: Option<Inner>,
    }

    #[test]
    fn members_are_what_serde_json_writes_between_the_braces() {
        let outer = |text| Outer {
            text,
            list: [true, false],
            inner: Inner { number: u64::MAX, absent: None },
            nothing: None,
        };
        for text in ["", "plain", "\"quoted\" \\ \u{1} \u{7f} gr\u{fc}n \u{1f600}"] {
            let whole = serde_json::to_string(&outer(text)).expect("JSON");
            assert_eq!(members(&outer(text)).expect("members"), format!(",{}", &whole[1..whole.len() - 1]));
        }
        assert_eq!(members(&BTreeMap::from([("a", 1), ("b", 2)])).expect("members"), ",\"a\":1,\"b\":2");
        assert_eq!(members(&None::<Inner>).expect("members"), "");
    }

    #[test]
    fn what_has_no_members_is_refused() {
        for refused in [members(&1), members(&"text"), members(&[1, 2]), members(&BTreeMap::from([(1, 2)]))] {
            let error = refused.expect_err("no members").to_string();
            assert!(error.starts_with("no part of a flat object: serialize_"), "{error}");
        }
    }
}
