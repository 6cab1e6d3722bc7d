//! What is written into an image is read back: every kind of element, every column, and the column that was expected.

use onecopy::image::{
    ColumnKind, Container, Image, ImageBuf, IntWidth, Items, Scalar, Survey, Text, TextBuf, Word,
    sequence_image, validate,
};
use proptest::prelude::*;

/// A scalar that owns its bytes.
#[derive(Debug, Clone)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Big(Vec<u8>),
    Float(u64),
    Str(TextBuf),
    Bytes(Vec<u8>),
}

impl Value {
    fn as_scalar(&self) -> Scalar<'_> {
        match self {
            Self::None => Scalar::None,
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Int(value) => Scalar::Int(*value),
            Self::Uint(value) => Scalar::Uint(*value),
            Self::Big(bytes) => Scalar::Big(bytes),
            Self::Float(bits) => Scalar::Float(f64::from_bits(*bits)),
            Self::Str(text) => Scalar::Str(text.as_text()),
            Self::Bytes(bytes) => Scalar::Bytes(bytes),
        }
    }
}

/// Equal in type and in every bit: `NaN` payloads and the sign of zero count.
fn same(left: &Scalar<'_>, right: &Scalar<'_>) -> bool {
    match (left, right) {
        (Scalar::Float(left), Scalar::Float(right)) => left.to_bits() == right.to_bits(),
        _ => left == right,
    }
}

fn image_of(values: &[Value], width: IntWidth) -> ImageBuf {
    sequence_image(Container::List, width, values.iter().map(Value::as_scalar)).unwrap()
}

fn column_of(values: &[Value], width: IntWidth) -> ColumnKind {
    let mut survey = Survey::default();
    for value in values {
        survey.observe(&value.as_scalar());
    }
    survey.plan(Container::List, width).column
}

fn assert_round_trip(values: &[Value], width: IntWidth) {
    let image = image_of(values, width);
    validate(&image).unwrap();
    let sequence = Image::open(&image).unwrap().sequence().unwrap();
    assert_eq!(sequence.len(), values.len());
    for (index, value) in values.iter().enumerate() {
        let element = sequence.get(index).unwrap().unwrap();
        let (read, written) = (element.as_scalar(), value.as_scalar());
        assert!(
            same(&read, &written),
            "element {index}: {read:?} is not {written:?}"
        );
    }
    assert_eq!(sequence.get(values.len()), Ok(None));
}

fn floats() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<u16>().prop_map(|payload| 0xfff8_0000_0000_0000 | u64::from(payload)),
        (0xfff8_u64..=0xffff, any::<u32>()).prop_map(|(top, low)| (top << 48) | u64::from(low)),
        Just((-0.0_f64).to_bits()),
        Just(f64::NAN.to_bits()),
        Just(f64::INFINITY.to_bits()),
    ]
}

fn ints() -> impl Strategy<Value = i64> {
    let edges = [7_u32, 15, 31, 47, 63].into_iter().flat_map(|bits| {
        let edge = 1_i64.checked_shl(bits).unwrap();
        [
            edge.wrapping_sub(1),
            edge,
            edge.wrapping_neg(),
            edge.wrapping_neg().wrapping_sub(1),
        ]
    });
    prop_oneof![
        any::<i64>(),
        any::<i8>().prop_map(i64::from),
        prop::sample::select(edges.collect::<Vec<_>>())
    ]
}

/// Code points in runs of one width, surrogates among them.
fn texts() -> impl Strategy<Value = TextBuf> {
    let widths = prop_oneof![
        Just(0_u32..0x80),
        Just(0..0x100),
        Just(0..0x1_0000),
        Just(0xd800..0xe000),
        Just(0..0x11_0000)
    ];
    widths
        .prop_flat_map(|codes| prop::collection::vec(codes, 0..20))
        .prop_map(|codes| TextBuf::from_codes(codes.into_iter()))
}

/// Two's complement in the fewest bytes, past 64 bits.
fn bigs() -> impl Strategy<Value = Vec<u8>> {
    (
        prop::collection::vec(any::<u8>(), 9..40),
        prop::sample::select(vec![1_u8, 0x7f, 0x80, 0xfe]),
    )
        .prop_map(|(mut bytes, last)| {
            bytes.push(last);
            bytes
        })
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        ints().prop_map(Value::Int),
        (1_u64 << 63..).prop_map(Value::Uint),
        bigs().prop_map(Value::Big),
        floats().prop_map(Value::Float),
        texts().prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
    ]
}

fn column(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Vec<Value>> {
    let value = value.boxed();
    prop_oneof![
        prop::collection::vec(value.clone(), 0..70),
        prop::collection::vec(prop_oneof![4 => value, 1 => Just(Value::None)], 0..70),
    ]
    .boxed()
}

proptest! {
    #[test]
    fn mixtures_survive(values in prop::collection::vec(values(), 0..70)) {
        assert_round_trip(&values, IntWidth::Narrowest);
        assert_round_trip(&values, IntWidth::Full);
    }

    #[test]
    fn columns_survive(values in prop_oneof![
        column(ints().prop_map(Value::Int)),
        column(prop_oneof![
            (0..=i64::MAX).prop_map(Value::Int),
            (1_u64 << 63..).prop_map(Value::Uint),
        ]),
        column(any::<i8>().prop_map(|value| Value::Int(value.into()))),
        column(any::<i16>().prop_map(|value| Value::Int(value.into()))),
        column(any::<i32>().prop_map(|value| Value::Int(value.into()))),
        column(floats().prop_map(Value::Float)),
        column(any::<bool>().prop_map(Value::Bool)),
        column(texts().prop_map(Value::Str)),
        column("[ -~]{0,20}".prop_map(|text| Value::Str(text.as_str().into()))),
        column(prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes)),
    ]) {
        prop_assert_ne!(column_of(&values, IntWidth::Narrowest), ColumnKind::Words);
        assert_round_trip(&values, IntWidth::Narrowest);
        assert_round_trip(&values, IntWidth::Full);
    }

    #[test]
    fn every_word_decodes_or_is_refused(bits in any::<u64>()) {
        // Decoding takes any 64 bits; what it accepts it would write in the same way.
        use onecopy::image::Decoded;
        if let Some(Decoded::Int(value)) = Word(bits).decode() {
            prop_assert_eq!(Word::inline(&Scalar::Int(value)), Some(Word(bits)));
        }
        if let Some(Decoded::Float(value)) = Word(bits).decode() {
            prop_assert_eq!(value.to_bits(), bits);
        }
    }
}

#[test]
fn the_narrowest_column_is_chosen() {
    let ints = |values: &[i64]| {
        values
            .iter()
            .map(|&value| Value::Int(value))
            .collect::<Vec<_>>()
    };
    let cases = [
        (ints(&[-128, 127]), ColumnKind::I8),
        (ints(&[-129]), ColumnKind::I16),
        (ints(&[32_767]), ColumnKind::I16),
        (ints(&[32_768]), ColumnKind::I32),
        (ints(&[1 << 31]), ColumnKind::I64),
        (vec![Value::Int(0), Value::Uint(1 << 63)], ColumnKind::U64),
        (
            vec![Value::Int(-1), Value::Uint(1 << 63)],
            ColumnKind::Words,
        ),
        (vec![], ColumnKind::F64),
        (vec![Value::None], ColumnKind::I8),
        (vec![Value::Float(0), Value::None], ColumnKind::F64),
        (vec![Value::Bool(true), Value::Int(1)], ColumnKind::Words),
        (vec![Value::Float(0), Value::Int(1)], ColumnKind::Words),
        (
            vec![Value::Big(vec![0; 8].into_iter().chain([1, 1]).collect())],
            ColumnKind::Words,
        ),
        (
            vec![Value::Str("a".into()), Value::Bytes(vec![])],
            ColumnKind::Words,
        ),
    ];
    for (values, expected) in cases {
        assert_eq!(
            column_of(&values, IntWidth::Narrowest),
            expected,
            "{values:?}"
        );
    }
    assert_eq!(column_of(&ints(&[1]), IntWidth::Full), ColumnKind::I64);
}

#[test]
fn large_numeric_data_start_at_a_page() {
    for (count, align) in [(8191, 64), (8192, 4096)] {
        let image = sequence_image(
            Container::Tuple,
            IntWidth::Full,
            (0..count).map(Scalar::Int),
        );
        let image = image.unwrap();
        let sequence = Image::open(&image).unwrap().sequence().unwrap();
        let Items::I64(items) = sequence.items() else {
            panic!("a column of i64 was expected")
        };
        let offset = items.as_ptr().addr() - image.as_ptr().addr();
        assert!(
            offset.is_multiple_of(align) && offset < align + 192,
            "{offset}"
        );
        assert_eq!(items.last(), Some(&(count - 1)));
    }
}

#[test]
fn text_is_read_as_rust_has_it() {
    for text in ["", "ascii", "é", "日本", "a🦀"] {
        assert_eq!(
            TextBuf::from(text).as_text().to_str().as_deref(),
            Some(text)
        );
    }
    let lone = TextBuf::from_codes([0x61, 0xdc80].into_iter());
    assert_eq!(lone.as_text().to_str(), None);
    assert_eq!(lone.as_text().codes().collect::<Vec<_>>(), [0x61, 0xdc80]);
    let wide = Text {
        kind: onecopy::image::TextKind::Ucs2,
        bytes: &[0x61, 0],
    };
    assert!(!wide.is_canonical());
}
