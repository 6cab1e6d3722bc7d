//! Changes an image so that it still looks like one.
//!
//! Random bytes rarely pass the header, and rarely make an offset that leads anywhere. So fields are overwritten with
//! what other fields hold or with the offset of another node, parts are copied over others, and the header's check is
//! made anew.

use onecopy::image::{HEADER_LEN, Header, MAGIC};

/// Dice: `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.roll().checked_rem(limit as u64).unwrap_or_default() as usize
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

const TAG_BLOB: u64 = 0xfffd << 48;
const TAG_NODE: u64 = 0xfffe << 48;

/// Offsets where a node may begin: a known kind, a known column, few sections.
fn nodes(image: &[u8]) -> Vec<usize> {
    (HEADER_LEN..image.len().saturating_sub(15))
        .step_by(8)
        .filter(|&at| {
            matches!(image[at], 1..=11)
                && image[at + 1] <= 10
                && image[at + 2] <= 7
                && image[at + 3] <= 4
        })
        .collect()
}

fn u64_at(image: &[u8], at: usize) -> u64 {
    image
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(room) = image.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

/// A number that a field of an image could hold.
fn interesting(dice: &mut Dice, image: &[u8], nodes: &[usize]) -> u64 {
    let node = nodes.get(dice.below(nodes.len())).copied().unwrap_or(64) as u64;
    let other = u64_at(image, dice.below(image.len() / 8) * 8);
    match dice.below(12) {
        0 | 1 => node,
        2 | 3 => TAG_NODE | node,
        4 => TAG_BLOB | (dice.below(image.len() / 8) * 8) as u64,
        5 | 6 => other,
        7 => other.wrapping_add(dice.one_of(&[1, 8, 16, u64::MAX, u64::MAX - 7])),
        8 => (image.len() as u64).wrapping_sub(dice.one_of(&[0, 8, 16, 64, 1 << 63])),
        9 => dice.one_of(&[0, 1, 2, 7, 8, 9, 16, 64, 128]),
        10 => 1_u64.rotate_left(dice.below(64) as u32),
        _ => dice.one_of(&[
            u64::MAX,
            u64::MAX - 7,
            i64::MAX.cast_unsigned(),
            u64::from(u32::MAX),
            0xfff9 << 48,
            0xfffa << 48,
            0xffff << 48,
        ]),
    }
}

/// One change somewhere behind the header, or of the root.
fn change(dice: &mut Dice, image: &mut [u8]) {
    let found = nodes(image);
    let words = image.len() / 8;
    let at = (8 + dice.below(words.saturating_sub(8))) * 8;
    let node = found.get(dice.below(found.len())).copied().unwrap_or(64);
    match dice.below(10) {
        0..=2 => {
            let value = interesting(dice, image, &found);
            put(image, at, &value.to_le_bytes());
        }
        3 => {
            // A field of a node: its count, or one behind the head.
            let value = interesting(dice, image, &found);
            let field = node + 8 * (1 + dice.below(8));
            put(image, field, &value.to_le_bytes());
        }
        4 => {
            let half = at + dice.one_of(&[0, 4]);
            let value = interesting(dice, image, &found) as u32;
            let kind = (dice.below(4) as u32) << 30;
            put(image, half, &(value ^ kind).to_le_bytes());
        }
        5 => {
            let (byte, limit) = dice.one_of(&[(0, 13), (1, 12), (2, 9), (3, 6), (4, 17)]);
            let value = dice.below(limit) as u8;
            put(image, node + byte, &[value]);
        }
        6 => {
            let from = dice.one_of(&[node, dice.clone().below(words) * 8]);
            let len = (8 * (1 + dice.below(10))).min(image.len().saturating_sub(from));
            let part = image[from..from + len].to_vec();
            put(image, at, &part);
        }
        7 => {
            let root = interesting(dice, image, &found);
            put(image, 24, &root.to_le_bytes());
        }
        _ => {
            let bit = HEADER_LEN * 8 + dice.below((image.len() - HEADER_LEN) * 8);
            if let Some(byte) = image.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }
}

/// Makes the first bytes a header that holds for an image as long as this; the root stays.
pub fn repair_header(image: &mut [u8]) {
    if image.len() < HEADER_LEN {
        return;
    }
    let version = if image[8] == 1 && image[..8] == MAGIC {
        1
    } else {
        2
    };
    let header = Header {
        image_len: image.len() as u64,
        root: u64_at(image, 24),
    };
    image[..HEADER_LEN].copy_from_slice(&header.to_bytes_of(version));
}

/// Damages the first `size` bytes of `data`, an image; returns how long it is now.
pub fn damage(data: &mut [u8], size: usize, seed: u64) -> usize {
    let mut dice = Dice(seed);
    let mut size = size.min(data.len());
    for _ in 0..=dice.below(4) {
        if dice.below(12) == 0 {
            // Longer by a copy of a part, or shorter.
            let from = dice.below(size / 8) * 8;
            let len = dice.below(33) * 8;
            if dice.below(3) == 0 {
                size = size.saturating_sub(len).max(HEADER_LEN + 8);
            } else if from + len <= size && size + len <= data.len() {
                data.copy_within(from..from + len, size);
                size += len;
            }
        }
        change(&mut dice, &mut data[..size]);
    }
    repair_header(&mut data[..size]);
    size
}
