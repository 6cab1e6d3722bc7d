//! Where everything stands in a container's head: the first two pages of its own spans.
//!
//! ```text
//!    0  magic and kind        8  generation of the chunks in use      16, 24  keys of the hash
//!   32  depth of a user's lock
//!   64  seq      72 root 0    80 root 1    88 root 2       the readers' line: changes that free or move something,
//!                                                          and what readers begin with
//!  128  lock word (u32), somebody sleeps (u32)            136  changes: counts the others
//!  144  root 3  152 root 4   160 root 5                   168  armed: length of the intent record, 0 for none
//!  176  blobs in limbo       184  log of a reader         the writers' line
//!  192  arena  200 top  208 end                           where blocks come from (heap.rs)
//!  216  deaths of holders    224  root 6       232  root 7      240, 248  long record: offset, writes that it holds
//!  256  what else a kind of container has in its head
//!  504  references to other objects: whether there are any, and whether there may be more than words (referring.rs)
//! 1024  intent record: 32 × {offset, value}               changes to any words of the container (change.rs)
//! 1792  limbo: 64 × offset                                blobs that nobody can find any more (heap.rs)
//! 2304  idle: bytes of large blocks that are free or in limbo      2312  bytes of the chunks in use
//! 4096  an arena: 160 × {free list, next fresh block, end of them}
//! 8192  another, for when the container is emptied (generation.rs)
//! 12288 the first blocks
//! ```
//! What a root means is its container's business (list/, dict/, cell.rs).
#![forbid(unsafe_code)]

/// "CONTAIN" in the upper seven bytes; the kind stands in the lowest.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"\0CONTAIN");

/// See the picture above; offsets from the container's own first byte.
pub(crate) const GENERATION: u64 = 8;
/// The two words that key the hash of a dict's keys.
pub(crate) const HASH_KEYS: u64 = 16;
/// How often the holder of a user's lock has taken it.
pub(crate) const DEPTH: u64 = 32;
/// Counts the changes that free or move what readers may be following; odd while one is under way.
pub(crate) const SEQ: u64 = 64;
/// Roots on the readers' line: written only by changes that move something, or read by all readers.
pub(crate) const ROOT0: u64 = 72;
/// See [`ROOT0`].
pub(crate) const ROOT1: u64 = 80;
/// See [`ROOT0`].
pub(crate) const ROOT2: u64 = 88;
/// The lock word, in the format of `store/lock.rs`, without the bit for waiters.
pub(crate) const LOCK: u64 = 128;
/// Not 0 if somebody may sleep until the lock is given back.
pub(crate) const SLEEPERS: u64 = 132;
/// Counts all changes that free and move nothing.
pub(crate) const CHANGES: u64 = 136;
/// Roots on the writers' line.
pub(crate) const ROOT3: u64 = 144;
/// See [`ROOT3`].
pub(crate) const ROOT4: u64 = 152;
/// See [`ROOT3`].
pub(crate) const ROOT5: u64 = 160;
/// Writes in the intent record that are committed; 0 when there are none.
pub(crate) const ARMED: u64 = 168;
/// Offsets in [`LIMBO`] (16 bits), and bytes of the large blocks among them (48).
pub(crate) const LIMBO_LEN: u64 = 176;
/// Where the log of a reader stands that has pinned the container (past.rs); 0 for none.
pub(crate) const PIN: u64 = 184;
/// Where the class table of the generation in use stands.
pub(crate) const ARENA: u64 = 192;
/// The first byte of the chunk in use that no block has taken.
pub(crate) const TOP: u64 = 200;
/// The end of that chunk.
pub(crate) const END: u64 = 208;
/// Holders of the lock that died in it.
pub(crate) const DEATHS: u64 = 216;
/// Roots that change seldom.
pub(crate) const ROOT6: u64 = 224;
/// See [`ROOT6`].
pub(crate) const ROOT7: u64 = 232;
/// Where the long record's first entry stands, 0 for none: a block for the lists of changes that the record cannot hold.
pub(crate) const LONG: u64 = 240;
/// Writes that the long record holds.
pub(crate) const LONG_WRITES: u64 = 248;
/// The end of the words by which readers find their way.
pub(crate) const AFTER_ROOTS: u64 = 256;
/// What is known of references to other objects (referring.rs).
pub(crate) const REFERENCES: u64 = 504;
/// Bytes of large blocks that are free or in limbo, and of ends of chunks that no run uses.
pub(crate) const IDLE: u64 = 2304;
/// Bytes of the chunks in use, without the container's own run.
pub(crate) const CHUNK_BYTES: u64 = 2312;
/// In `armed`: how many writes there are.
pub(crate) const ARMED_LEN: u64 = (1 << 48) - 1;
/// In `armed`, from this bit on: the number of the write by which readers see the change, from 1 on; 0 for none.
pub(crate) const SEEN: u32 = 48;
/// See [`SEEN`].
pub(crate) const SEEN_MASK: u64 = 0xff;
/// In `armed`: the list is in the long record.
pub(crate) const IS_LONG: u64 = 1 << 63;
/// The intent record.
pub(crate) const RECORD: u64 = 1024;
/// Writes that it holds.
pub(crate) const RECORD_WRITES: u64 = 32;
/// The limbo.
pub(crate) const LIMBO: u64 = 1792;
/// Offsets that it holds.
pub(crate) const LIMBO_MOST: u64 = 64;
/// In [`LIMBO_LEN`], from this bit on: bytes of the large blocks.
pub(crate) const LIMBO_BYTES: u32 = 16;
/// Bytes of a container that is a head and no more.
pub(crate) const BARE_BYTES: u64 = 8192;
/// The class table of the first generation.
pub(crate) const FIRST_ARENA: u64 = 4096;
/// The one that takes turns with it.
pub(crate) const SECOND_ARENA: u64 = 8192;
/// Where the first block may stand.
pub(crate) const FIRST_BLOCK: u64 = 12288;
/// Generations are counted in so many bits: the other bit of a chunk's tag says that it is a log (past.rs).
pub(crate) const GENERATIONS: u32 = u32::MAX >> 1;

const _: () = assert!(RECORD + 16 * RECORD_WRITES <= LIMBO);
const _: () = assert!(LIMBO + 8 * LIMBO_MOST <= IDLE);
const _: () = assert!(CHUNK_BYTES < FIRST_ARENA);
const _: () = assert!(FIRST_ARENA + ARENA_BYTES <= SECOND_ARENA);
const _: () = assert!(SECOND_ARENA + ARENA_BYTES <= FIRST_BLOCK);

/// Size classes.
pub(crate) const CLASSES: u64 = 160;
/// Bytes of a class's row in an arena: head of its free list, next fresh block, end of the fresh ones.
pub(crate) const CLASS_BYTES: u64 = 24;
/// Bytes of an arena.
pub(crate) const ARENA_BYTES: u64 = CLASSES * CLASS_BYTES;

/// The header word of a block: `kind (8) | class (8) | length or next free block (48)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header(pub(crate) u64);

/// A block that is on a free list, or was never used.
pub(crate) const FREE: u8 = 0;
/// The first word of a run of blocks of one class; its length is that of the run.
pub(crate) const RUN: u8 = 0xff;
/// The first word of a stretch that no run uses.
pub(crate) const UNUSED: u8 = 0xfe;
/// Blocks of containers that are no blobs.
pub(crate) const PAGE_OF_WORDS: u8 = 16;
/// The directory of such pages.
pub(crate) const DIRECTORY: u8 = 17;
/// A segment of a dict's index.
pub(crate) const SEGMENT: u8 = 18;
/// The long record.
pub(crate) const LONG_RECORD: u8 = 19;
/// A leased item of a queue.
pub(crate) const LEASE: u8 = 20;
/// An entry of a dict whose key is a word.
pub(crate) const ENTRY: u8 = 32;

/// The largest length and offset that a header holds.
pub(crate) const MOST: u64 = (1 << 48) - 1;

impl Header {
    #[inline(always)]
    pub(crate) fn new(kind: u8, class: u64, len: u64) -> Self {
        Self(u64::from(kind) | class << 8 | len << 16)
    }
    #[inline(always)]
    pub(crate) fn kind(self) -> u8 {
        self.0 as u8
    }
    #[inline(always)]
    pub(crate) fn class(self) -> u64 {
        self.0 >> 8 & 0xff
    }
    /// The length of its payload, or where the next free block stands.
    #[inline(always)]
    pub(crate) fn len(self) -> u64 {
        self.0 >> 16
    }
}

/// The class of a payload of `len` bytes: steps of 8 bytes up to 64, then four classes to each doubling.
#[inline(always)]
pub(crate) fn class_of(len: u64) -> u64 {
    if len <= 64 {
        return len.saturating_sub(1) / 8;
    }
    let last = len - 1;
    let power = 63 - u64::from(last.leading_zeros());
    8 + (power - 6) * 4 + (last >> (power - 2) & 3)
}

/// Bytes of payload of a class.
#[inline(always)]
pub(crate) fn class_len(class: u64) -> u64 {
    if class < 8 {
        return (class + 1) * 8;
    }
    let power = (class - 8) / 4 + 6;
    (1 << power) + ((class - 8) % 4 + 1) * (1 << (power - 2))
}

/// Whether blocks of a class are so long that it is counted how many bytes of them are idle: longer than a page.
#[inline(always)]
pub(crate) fn is_large(class: u64) -> bool {
    class > const { 8 + (11 - 6) * 4 + 3 }
}

/// Bytes from one block of a class to the next.
#[inline(always)]
pub(crate) fn stride(class: u64) -> u64 {
    class_len(class) + 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_fits_its_class_and_not_the_one_before() {
        let lengths =
            (0..5000).chain((6..44).flat_map(|bits| [(1 << bits) - 1, 1 << bits, (1 << bits) + 1]));
        for len in lengths {
            let class = class_of(len);
            assert!(class < CLASSES, "{len}");
            assert!(
                class_len(class) >= len && class_len(class).is_multiple_of(8),
                "{len}"
            );
            assert!(class == 0 || class_len(class - 1) < len, "{len}");
            assert_eq!(is_large(class), len > 4096, "{len}");
        }
    }

    #[test]
    fn a_header_says_what_it_was_made_from() {
        let header = Header::new(7, 159, MOST);
        assert_eq!(
            (header.kind(), header.class(), header.len()),
            (7, 159, MOST)
        );
    }
}
