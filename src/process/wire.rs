//! How values travel between the processes of an app: fields one after another, numbers in eight bytes, what varies behind
//! its length.
//!
//! The processes trust each other no further than they must: a worker may have been taken over by a peer. So what is read
//! is never more than what has come, and what cannot be read is `None`.

/// A value that travels.
pub(crate) trait Wire: Sized {
    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes the value off the front.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

/// The bytes of a value.
#[cfg(test)]
pub(crate) fn encode(value: &impl Wire) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.write(&mut bytes);
    bytes
}

/// The value that these bytes are, all of them.
pub(crate) fn decode<T: Wire>(mut bytes: &[u8]) -> Option<T> {
    let value = T::read(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

/// Has the fields of a struct travel in this order.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::process::wire::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::process::wire::Wire::write(&self.$field, out);)*
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::process::wire::Wire::read(bytes)?),* })
            }
        }
    };
}
pub(super) use wire_struct;

/// Has the cases of an enum travel by their numbers, each with one value or none.
macro_rules! wire_enum {
    ($name:ident { $($number:literal => $case:ident $(($value:ident))?),* $(,)? }) => {
        impl $crate::process::wire::Wire for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$case $(($value))? => {
                        out.push($number);
                        $($crate::process::wire::Wire::write($value, out);)?
                    })*
                }
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (number, rest) = bytes.split_first()?;
                *bytes = rest;
                match number {
                    $($number => Some(Self::$case $(({
                        let $value = $crate::process::wire::Wire::read(bytes)?;
                        $value
                    }))?),)*
                    _ => None,
                }
            }
        }
    };
}
pub(super) use wire_enum;

impl Wire for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(Self::from_le_bytes(*number))
    }
}

/// Smaller numbers take the same room: nothing here is large.
macro_rules! wire_number {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn write(&self, out: &mut Vec<u8>) {
                u64::from(*self).write(out);
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                u64::read(bytes)?.try_into().ok()
            }
        }
    )*};
}
wire_number!(u8, u32);

impl Wire for i32 {
    fn write(&self, out: &mut Vec<u8>) {
        self.cast_unsigned().write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        u32::read(bytes).map(u32::cast_signed)
    }
}

impl Wire for usize {
    fn write(&self, out: &mut Vec<u8>) {
        (*self as u64).write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        u64::read(bytes)?.try_into().ok()
    }
}

impl Wire for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (value, rest) = bytes.split_first()?;
        *bytes = rest;
        match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Wire for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.len().write(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::read(bytes)?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Self::from_utf8(text.to_vec()).ok()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.len().write(out);
        self.iter().for_each(|value| value.write(out));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::read(bytes)?;
        // Every value takes a byte at least, so no length claims more than there is.
        (length <= bytes.len()).then(|| (0..length).map(|_| T::read(bytes)).collect())?
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        self.iter().for_each(|value| value.write(out));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(if bool::read(bytes)? { Some(T::read(bytes)?) } else { None })
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::read(bytes)?, B::read(bytes)?))
    }
}

impl<A: Wire, B: Wire, C: Wire> Wire for (A, B, C) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
        self.2.write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::read(bytes)?, B::read(bytes)?, C::read(bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Row {
        number: u32,
        name: String,
        code: i32,
        rest: Option<Vec<bool>>,
    }

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Case {
        Nothing,
        Rows(Vec<Row>),
    }

    wire_struct!(Row { number, name, code, rest });
    wire_enum!(Case { 0 => Nothing, 1 => Rows(rows) });

    fn rows() -> Case {
        let row = Row { number: 7, name: "añ".into(), code: -9, rest: Some(vec![true, false]) };
        Case::Rows(vec![row.clone(), Row { rest: None, ..row }])
    }

    #[test]
    fn a_value_comes_out_as_it_went_in() {
        for case in [Case::Nothing, rows()] {
            assert_eq!(decode(&encode(&case)), Some(case));
        }
    }

    #[test]
    fn what_is_cut_or_goes_on_is_nothing() {
        let bytes = encode(&rows());
        for length in 0..bytes.len() {
            assert_eq!(decode::<Case>(&bytes[..length]), None, "{length}");
        }
        assert_eq!(decode::<Case>(&[bytes, vec![0]].concat()), None);
    }

    #[test]
    fn a_length_that_lies_takes_no_memory() {
        for length in [9, u64::MAX] {
            assert_eq!(decode::<Vec<String>>(&encode(&length)), None);
            assert_eq!(decode::<String>(&encode(&length)), None);
        }
        assert_eq!((decode::<Case>(&[2]), decode::<bool>(&[2]), decode::<u8>(&encode(&256_u64))), (None, None, None));
    }
}
