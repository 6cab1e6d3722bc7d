use super::*;
use crate::parse::{MappingKind, pagemap};

const PRESENT: u64 = 1 << 63;
const OWN: u64 = PRESENT | 1 << 56;

/// A family of which nothing is known but who is oldest.
fn late(members: usize, by_frame: bool) -> Account {
    let member = |number| Member {
        source: (number > 0).then_some(0),
        is_source: number == 0 && members > 1,
        parent: (number > 0).then_some(0),
        ..Member::default()
    };
    let mut account = Account::new((0..members).map(member).collect(), by_frame, true);
    account.rows.push(Row {
        label: String::new(),
        kind: MappingKind::Anonymous,
        tagged: false,
        start: 0,
        len: 512,
        sums: PageSums::default(),
        shared: 0,
        members: vec![ProcessPages::default(); members],
        strips: vec![Vec::new(); members],
    });
    account
}

/// One column per address, one row per member.
fn count(account: &mut Account, table: &[&[u64]]) {
    for page in 0..table[0].len() {
        let states: Vec<(usize, PageState)> = table
            .iter()
            .enumerate()
            .map(|(number, words)| {
                let bytes = words[page].to_ne_bytes();
                (number, pagemap(&bytes[..]).unwrap()[0])
            })
            .filter(|(_, state)| state.is_present())
            .collect();
        account.page(0, page as u64, &states);
    }
    // I3
    let members = &account.members;
    for member in members {
        let pages = &member.pages;
        assert_eq!(
            pages.inherited,
            pages.shared + pages.copied + pages.last_owner
        );
    }
    let sums = &account.counts.sums;
    let copied: u64 = members.iter().map(|member| member.pages.copied).sum();
    assert_eq!(sums.frames - sums.unique, copied);
}

fn sums(account: &Account) -> (u64, u64, u64) {
    let sums = &account.counts.sums;
    (sums.unique, sums.frames, sums.new)
}

#[test]
fn a_written_page_is_a_frame_more_and_the_rest_is_one() {
    let mut account = late(2, false);
    let (parent, child) = ([PRESENT, PRESENT, OWN, 0], [PRESENT, PRESENT, OWN, OWN]);
    count(&mut account, &[&parent, &child]);
    // Two shared, one copied, and one that only the child has, at a place the parent has not.
    assert_eq!(sums(&account), (3, 4, 1));
    let pages = &account.members[1].pages;
    assert_eq!((pages.shared, pages.copied, pages.new), (2, 1, 1));
    assert_eq!(account.members[0].pages.last_owner, 1);
    assert_eq!(account.members[1].copied.iter().collect::<Vec<_>>(), [2]);
    assert_eq!(
        account.members[1].found_base.iter().collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

#[test]
fn the_parent_is_charged_when_it_was_the_one_that_wrote() {
    let mut account = late(3, false);
    count(&mut account, &[&[OWN], &[PRESENT], &[PRESENT]]);
    assert_eq!(sums(&account), (1, 2, 0));
    let copied = |number: usize| account.members[number].pages.copied;
    assert_eq!([copied(0), copied(1), copied(2)], [1, 0, 0]);
}

#[test]
fn frame_numbers_tell_two_shared_frames_apart() {
    // The parent and one child have frame 7; another child wrote and forked: both have frame 8.
    let table: [&[u64]; 4] = [
        &[PRESENT | 7],
        &[PRESENT | 7],
        &[PRESENT | 8],
        &[PRESENT | 8],
    ];
    let mut by_bits = late(4, false);
    count(&mut by_bits, &table);
    assert_eq!(sums(&by_bits), (1, 1, 0));
    let mut by_frame = late(4, true);
    by_frame.members[3].parent = Some(2);
    count(&mut by_frame, &table);
    assert_eq!(sums(&by_frame), (1, 2, 0));
    assert_eq!(by_frame.members[2].pages.copied, 1);
    assert_eq!(by_frame.members[3].pages.shared, 1);
}

#[test]
fn what_was_written_before_a_fork_is_known_without_frame_numbers() {
    let mut account = late(4, false);
    let mut written = PageSet::default();
    written.insert(0);
    let written = Arc::new(written);
    for number in [2, 3] {
        account.members[number].lineage = vec![(Arc::clone(&written), 42)];
    }
    let words: [&[u64]; 4] = [&[PRESENT, PRESENT]; 4];
    count(&mut account, &words);
    assert_eq!(sums(&account), (2, 3, 0));
    assert_eq!(account.members[2].pages.copied, 1);
}

#[test]
fn a_recorded_fork_tells_new_from_copied_at_the_same_address() {
    let mut account = late(2, false);
    let mut base = PageSet::default();
    base.insert(0);
    let base = Arc::new(base);
    account.members[0] = Member {
        base: Some(Arc::clone(&base)),
        ..Member::default()
    };
    account.members[1] = Member {
        base: Some(base),
        ..Member::default()
    };
    count(&mut account, &[&[OWN, OWN], &[OWN, OWN]]);
    assert_eq!(sums(&account), (1, 2, 2));
}

#[test]
fn a_family_of_one_has_inherited_nothing() {
    let mut account = late(1, false);
    count(&mut account, &[&[OWN, PRESENT]]);
    assert_eq!(sums(&account), (0, 0, 2));
}

#[test]
fn the_last_owner_has_copied_nothing() {
    let mut account = late(2, false);
    account.members[1].source = None;
    let mut base = PageSet::default();
    base.insert(0);
    account.members[0].base = Some(Arc::new(base));
    account.members[0].is_source = false;
    count(&mut account, &[&[OWN], &[0]]);
    assert_eq!(sums(&account), (1, 1, 0));
    assert_eq!(account.members[0].pages.last_owner, 1);
}

#[test]
fn private_copies_add_frames_and_no_distinct_page() {
    let mut account = late(2, false);
    let own = pagemap(&OWN.to_ne_bytes()[..]).unwrap()[0];
    account.private_copy(0, 3, &[(0, own), (1, own)]);
    let sums = &account.counts.sums;
    assert_eq!((sums.unique, sums.frames, sums.private_copies), (0, 2, 2));
}
