//! Keys on their way in, and their hashes.
//!
//! A key's hash is made before the dict is locked, of two random words of the dict: xxh3 for bytes, two folded
//! multiplications for words and few bytes. Whoever learns the random words can choose keys that collide all the same, so
//! a dict that meets probes far longer than chance makes them is built anew with **SipHash-1-3** (Aumasson and Bernstein,
//! "`SipHash`: a fast short-input PRF", 2012, with one round for each word and three at the end), and keeps to it until it
//! is cleared.
//!
//! Keys that Python calls equal are one key: `1`, `1.0` and `True`. They are compared in one *canonical* form, an int if
//! there is one; the form that the first of them had is kept beside it, as a word.
#![forbid(unsafe_code)]

use super::super::value::{ENTRY, Immediate, Incoming, Kind, Word};

/// In the kind of an entry's block: the key has another form than its canonical one.
pub(super) const FORMED: u8 = 64;
/// Bytes of an entry in front of its key.
pub(super) const BEFORE_KEY: u64 = 16;

/// A key of a dict, hashed for it.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    pub(super) hash: u64,
    /// The header that an entry of this key has, apart from its class, if it has no form of its own.
    pub(super) header: u64,
    pub(super) canonical: Incoming<'a>,
    pub(super) form: Option<Word>,
}

impl<'a> Key<'a> {
    #[inline(always)]
    pub(super) fn new(secret: Secret, canonical: Incoming<'a>, form: Option<Word>) -> Self {
        let (kind, len) = match canonical {
            Incoming::Word(_) => (ENTRY, 8),
            Incoming::Blob(kind, bytes) => (ENTRY + kind as u8, bytes.len() as u64),
            Incoming::Reference(_) | Incoming::Large(_) => no_key(),
        };
        Self {
            hash: secret.hash(&canonical),
            header: u64::from(kind) | (BEFORE_KEY + len) << 16,
            canonical,
            form,
        }
    }

    /// The header of the entry if the key's form is kept in front of it.
    #[inline(always)]
    pub(super) fn header_with_form(&self) -> u64 {
        (self.header | u64::from(FORMED)) + (8 << 16)
    }

    /// The key as it was given.
    #[must_use]
    pub fn given(&self) -> Incoming<'a> {
        self.form.map_or(self.canonical, Incoming::Word)
    }
}

/// The two random words of a dict.
#[derive(Debug, Clone, Copy)]
pub(super) struct Secret(pub(super) u64, pub(super) u64);

impl Secret {
    #[inline(always)]
    fn hash(self, key: &Incoming<'_>) -> u64 {
        match key {
            Incoming::Word(word) => mix(word.0, self),
            Incoming::Blob(kind, bytes) if bytes.len() <= 16 => short(*kind, bytes, self),
            Incoming::Blob(kind, bytes) => {
                xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0 ^ u64::from(*kind as u8) << 56)
            }
            Incoming::Reference(_) | Incoming::Large(_) => no_key(),
        }
    }

    /// The hash of a key in a dict whose hashes are slow ones, or not.
    pub(super) fn hash_of(self, key: &Incoming<'_>, is_slow: bool) -> u64 {
        if is_slow {
            self.slow_hash(key)
        } else {
            self.hash(key)
        }
    }

    /// The hash of a key in a dict that somebody has flooded.
    #[cold]
    #[inline(never)]
    pub(super) fn slow_hash(self, key: &Incoming<'_>) -> u64 {
        match key {
            Incoming::Word(word) => sip13(&word.0.to_le_bytes(), self),
            Incoming::Blob(kind, bytes) => {
                sip13(bytes, Self(self.0 ^ u64::from(*kind as u8) << 56, self.1))
            }
            Incoming::Reference(_) | Incoming::Large(_) => no_key(),
        }
    }
}

#[inline(always)]
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

/// One multiplication alone leaves runs of ints, or of decimals, in runs of slots for some secrets.
#[inline(always)]
fn mix(word: u64, secret: Secret) -> u64 {
    let once = fold(word ^ secret.0, secret.1 | 1);
    fold(once ^ secret.0, 0x9e37_79b9_7f4a_7c15)
}

/// Up to 16 bytes, with the same two multiplications: half of what xxh3 takes for them.
#[inline(always)]
fn short(kind: Kind, bytes: &[u8], secret: Secret) -> u64 {
    let (one, other) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(one), Some(other)) => (u64::from_le_bytes(*one), u64::from_le_bytes(*other)),
        _ => (super::super::words::tail(bytes), 0),
    };
    let which = u64::from(kind as u8) << 8 | bytes.len() as u64;
    let folded = fold(one ^ secret.0, other ^ secret.1);
    fold(folded ^ secret.0 ^ which, 0x9e37_79b9_7f4a_7c15)
}

/// SipHash-1-3.
fn sip13(bytes: &[u8], secret: Secret) -> u64 {
    let mut state = [
        secret.0 ^ 0x736f_6d65_7073_6575,
        secret.1 ^ 0x646f_7261_6e64_6f6d,
        secret.0 ^ 0x6c79_6765_6e65_7261,
        secret.1 ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    let last = (bytes.len() as u64) << 56 | super::super::words::tail(rest);
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    for word in words.chain([last]) {
        state[3] ^= word;
        sip_round(&mut state);
        state[0] ^= word;
    }
    state[2] ^= 0xff;
    for _ in 0..3 {
        sip_round(&mut state);
    }
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

fn sip_round(state: &mut [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = *state;
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    *state = [a, b, c, d];
}

/// What a number is compared as, if not as itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canonical {
    /// An int of 48 bits.
    Word(Word),
    /// The content of a wider int.
    Wide(Vec<u8>),
}

/// The canonical form of a bool, and of a float that is a whole number; `None` for all other words.
#[must_use]
#[inline(always)]
pub fn canonical(word: Word) -> Option<Canonical> {
    if word.as_int().is_some() {
        return None;
    }
    canonical_number(word)
}

fn canonical_number(word: Word) -> Option<Canonical> {
    match word.immediate()? {
        Immediate::Bool(value) => Word::of_int(i64::from(value)).map(Canonical::Word),
        Immediate::Float(value) if value.is_finite() && value.fract() == 0.0 => Some(whole(value)),
        _ => None,
    }
}

/// A float that is a whole number.
fn whole(value: f64) -> Canonical {
    if let Some(word) = Word::of_int(value as i64)
        && value.abs() < (1u64 << 48) as f64
    {
        return Canonical::Word(word);
    }
    // Of a float so large the mantissa is an int: value = mantissa × 2^shift.
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff).cast_signed() - 1075;
    let mantissa = i128::from(bits & ((1 << 52) - 1) | 1 << 52);
    let mantissa = if value < 0.0 { -mantissa } else { mantissa };
    let shift = exponent.unsigned_abs() as usize;
    let shifted = if exponent < 0 {
        mantissa >> shift
    } else {
        mantissa << (shift % 8)
    };
    let zeros = if exponent < 0 { 0 } else { shift / 8 };
    let mut bytes = vec![0; zeros];
    bytes.extend(shifted.to_le_bytes());
    let Incoming::Blob(_, bytes) = Incoming::of_int(&bytes) else {
        return Canonical::Word(Word::NONE);
    };
    Canonical::Wide(bytes.to_vec())
}

/// Another object is no key: whoever takes keys refuses it.
#[cold]
pub(super) fn no_key() -> ! {
    unreachable!("a key that is another object of the store")
}

/// Why a blob of this kind cannot be a key; `None` if it can.
#[must_use]
pub fn refusal(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Pickle => Some("equal objects may have different pickles"),
        _ => None,
    }
}
