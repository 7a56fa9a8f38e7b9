//! The rules against a model that copies whole lists wherever the real thing shares.

use super::*;
use crate::{ThreadKind, ThreadState};
use proptest::{collection::vec, prelude::*};

fn thread(n: u8) -> ThreadId {
    ThreadId::derive(&[&[n]])
}

fn item(n: u8) -> ItemId {
    ItemId::derive(&[&[n]])
}

/// Numbers stand for threads and items, so that the model needs no ids.
#[derive(Debug, Clone)]
enum Act {
    Open(u8),
    Add(Vec<u8>, u8),
    Branch(u8, u8, u64),
    Compact(u8, u64, u64, u8),
    Tangent(u8, u8, u64),
    Resolve(u8, Vec<u8>),
    Abandon(u8),
    Close(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let (thread, item, place) = (0..6u8, 0..9u8, 0..14u64);
    prop_oneof![
        2 => thread.clone().prop_map(Act::Open),
        12 => (vec(thread.clone(), 1..4), item.clone()).prop_map(|(threads, item)| Act::Add(threads, item)),
        3 => (thread.clone(), thread.clone(), place.clone()).prop_map(|(new, from, after)| Act::Branch(new, from, after)),
        4 => (thread.clone(), place.clone(), 0..6u64, item.clone())
            .prop_map(|(thread, first, more, item)| Act::Compact(thread, first, first + more, item)),
        2 => (thread.clone(), thread.clone(), place).prop_map(|(new, parent, anchor)| Act::Tangent(new, parent, anchor)),
        1 => (thread.clone(), vec(item, 0..3)).prop_map(|(thread, items)| Act::Resolve(thread, items)),
        1 => thread.clone().prop_map(Act::Abandon),
        1 => thread.prop_map(Act::Close),
    ]
}

impl Act {
    fn op(&self) -> Op {
        match self {
            Self::Open(n) => Op::Open { thread: thread(*n), kind: ThreadKind::Private },
            Self::Add(threads, n) => Op::Add {
                threads: threads.iter().copied().map(thread).collect(),
                item: item(*n),
                how: How::Said,
            },
            Self::Branch(new, from, after) => Op::Branch {
                thread: thread(*new),
                kind: ThreadKind::Private,
                from: thread(*from),
                after: *after,
            },
            Self::Compact(n, first, last, summary) => {
                Op::Compact { thread: thread(*n), first: *first, last: *last, item: item(*summary) }
            }
            Self::Tangent(new, parent, anchor) => {
                Op::Tangent { thread: thread(*new), parent: thread(*parent), anchor: *anchor }
            }
            Self::Resolve(n, items) => {
                Op::Resolve { thread: thread(*n), items: items.iter().copied().map(item).collect() }
            }
            Self::Abandon(n) => Op::Abandon { thread: thread(*n) },
            Self::Close(n) => Op::Close { thread: thread(*n) },
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Naive {
    archive: Vec<(u8, How)>,
    compactions: Vec<(u64, u64, u8)>,
    /// The parent and the anchor of a tangent.
    tangent: Option<(u8, u64)>,
    ended: bool,
}

impl Naive {
    fn until(&self, after: u64) -> Option<Self> {
        let archive = self.archive.get(..usize::try_from(after).ok()?)?.to_vec();
        let compactions = self.compactions.iter().copied().filter(|(_, last, _)| *last <= after).collect();
        Some(Self { archive, compactions, ..Self::default() })
    }

    fn covering(&self, position: u64) -> Option<(u64, u64, u8)> {
        let is_over = |(first, last, _): &(u64, u64, u8)| (*first..=*last).contains(&position);
        // A later one contains the earlier ones.
        self.compactions.iter().copied().rfind(is_over)
    }

    fn shown(&self) -> Vec<(u64, u8, How)> {
        let positions =
            (1..).zip(&self.archive).filter_map(|(position, (item, how))| match self.covering(position) {
                None => Some((position, *item, how.clone())),
                Some((first, last, summary)) if position == last => {
                    Some((last, summary, How::Summary { first, last }))
                }
                Some(_) => None,
            });
        positions.collect()
    }
}

type Model = BTreeMap<u8, Naive>;

/// The same record on copies; `None` where it does not fit.
fn on_copies(model: &Model, acts: &[Act]) -> Option<Model> {
    let mut model = model.clone();
    for act in acts {
        match act {
            Act::Open(n) => open(&mut model, *n, Naive::default())?,
            Act::Branch(n, from, after) => {
                let branch = model.get(from)?.until(*after)?;
                open(&mut model, *n, branch)?;
            }
            Act::Tangent(n, parent, anchor) => {
                let from = model.get(parent).filter(|from| !from.ended && *anchor > 0)?;
                let tangent = Naive { tangent: Some((*parent, *anchor)), ..from.until(*anchor)? };
                open(&mut model, *n, tangent)?;
            }
            Act::Add(threads, item) => {
                for n in threads {
                    let thread = model.get_mut(n).filter(|thread| !thread.ended)?;
                    thread.archive.push((*item, How::Said));
                }
            }
            Act::Compact(n, first, last, item) => {
                let thread = model.get_mut(n)?;
                let fits = |(a, b, _): (u64, u64, u8)| *first <= a && b <= *last;
                let ends = [thread.covering(*first), thread.covering(*last)];
                let known = 1..=thread.archive.len() as u64;
                if !known.contains(first) || !known.contains(last) || !ends.into_iter().flatten().all(fits) {
                    return None;
                }
                thread.compactions.push((*first, *last, *item));
            }
            Act::Resolve(n, items) => {
                let tangent = model.get_mut(n).filter(|thread| !thread.ended && !items.is_empty())?;
                let (parent, anchor) = tangent.tangent?;
                tangent.ended = true;
                let how = How::Resolved { tangent: thread(*n), anchor };
                let parent = model.get_mut(&parent).filter(|parent| !parent.ended)?;
                parent.archive.extend(items.iter().map(|item| (*item, how.clone())));
            }
            Act::Abandon(n) => model.get_mut(n).filter(|it| !it.ended && it.tangent.is_some())?.ended = true,
            Act::Close(n) => model.get_mut(n).filter(|it| !it.ended && it.tangent.is_none())?.ended = true,
        }
    }
    Some(model)
}

fn open(model: &mut Model, n: u8, thread: Naive) -> Option<()> {
    (!model.contains_key(&n)).then(|| drop(model.insert(n, thread)))
}

fn window(shown: &[(u64, ItemId, How)], side: Side, limit: usize) -> Vec<(u64, ItemId, How)> {
    match side {
        Side::After(position) => {
            shown.iter().filter(|(at, ..)| *at > position).take(limit).cloned().collect()
        }
        Side::Last | Side::Before(_) => {
            let before = |at: u64| if let Side::Before(position) = side { at < position } else { true };
            let mut last: Vec<_> =
                shown.iter().rev().filter(|(at, ..)| before(*at)).take(limit).cloned().collect();
            last.reverse();
            last
        }
    }
}

fn flat(view: Vec<(u64, Reference)>) -> Vec<(u64, ItemId, How)> {
    view.into_iter().map(|(at, reference)| (at, reference.item, reference.how)).collect()
}

/// All of a thread, a page at a time.
fn paged(topology: &Topology, n: u8, layer: Layer, forward: bool, limit: u32) -> Vec<(u64, ItemId, How)> {
    let (mut side, mut pages) = (if forward { Side::After(0) } else { Side::Last }, Vec::new());
    loop {
        let (page, walked) = topology.view(thread(n), layer, side, limit).unwrap();
        pages.push(flat(page));
        if !walked.more {
            break;
        }
        side = if forward { Side::After(walked.scanned_to) } else { Side::Before(walked.scanned_to) };
    }
    if !forward {
        pages.reverse();
    }
    pages.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn threads_that_share_show_what_copies_would(
        records in vec(vec(act(), 1..4), 0..40),
        looks in vec((0..16u64, 0..5u32), 4),
    ) {
        let (mut topology, mut model) = (Topology::default(), Model::new());
        for (offset, acts) in (1..).zip(&records) {
            let ops: Vec<Op> = acts.iter().map(Act::op).collect();
            let before = topology.clone();
            let applied = topology.apply(Offset(offset), &ops);
            match on_copies(&model, acts) {
                Some(after) => {
                    let mut undone = topology.clone();
                    undone.undo(&applied.expect("it fits the model"));
                    prop_assert_eq!(&undone, &before);
                    model = after;
                }
                None => {
                    prop_assert!(applied.is_err(), "{:?}", ops);
                    prop_assert_eq!(&topology, &before);
                }
            }
        }
        for (n, naive) in &model {
            let named = |(at, number, how): (u64, u8, How)| (at, item(number), how);
            let shown: Vec<_> = naive.shown().into_iter().map(named).collect();
            let archive = (1..).zip(&naive.archive).map(|(at, (number, how))| (at, item(*number), how.clone()));
            let archive: Vec<_> = archive.collect();
            for (layer, all) in [(Layer::Shown, &shown), (Layer::Archive, &archive)] {
                for (place, limit) in &looks {
                    for side in [Side::Last, Side::Before(*place), Side::After(*place)] {
                        let (view, _) = topology.view(thread(*n), layer, side, *limit).unwrap();
                        prop_assert_eq!(flat(view), window(all, side, *limit as usize), "{:?} {}", side, limit);
                    }
                    for forward in [true, false] {
                        prop_assert_eq!(&paged(&topology, *n, layer, forward, limit + 1), all);
                    }
                }
            }
            let ended = topology.outline().thread(thread(*n)).unwrap().state != ThreadState::Open;
            prop_assert_eq!(ended, naive.ended);
        }
    }
}

fn built(acts: &[Act]) -> Topology {
    let mut topology = Topology::default();
    for (offset, act) in (1..).zip(acts) {
        topology.apply(Offset(offset), &[act.op()]).unwrap();
    }
    topology
}

fn said(n: u8, count: u8) -> impl Iterator<Item = Act> {
    (1..=count).map(move |number| Act::Add(vec![n], number))
}

fn positions(topology: &Topology, n: u8) -> Vec<u64> {
    let (view, _) = topology.view(thread(n), Layer::Shown, Side::Last, 100).unwrap();
    view.into_iter().map(|(at, _)| at).collect()
}

#[test]
fn a041_a_branch_of_a_branch_of_a_branch_shows_the_right_prefix() {
    let mut acts = vec![Act::Open(0)];
    acts.extend(said(0, 3));
    acts.extend([Act::Branch(1, 0, 2), Act::Add(vec![1], 11), Act::Branch(2, 1, 3), Act::Add(vec![2], 12)]);
    acts.extend([Act::Branch(3, 2, 1), Act::Add(vec![3], 13)]);
    let topology = built(&acts);
    let items = |n| flat(topology.view(thread(n), Layer::Shown, Side::Last, 9).unwrap().0);
    let ids = |n: u8| items(n).into_iter().map(|(_, id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(2), [1, 2, 11, 12].map(item));
    assert_eq!(ids(3), [1, 13].map(item));
    assert_eq!(ids(0), [1, 2, 3].map(item));
    let outline = topology.outline();
    assert_eq!(outline.common_ancestor(thread(3), thread(0)), Some((thread(0), 1)));
    assert_eq!(outline.common_ancestor(thread(2), thread(1)), Some((thread(1), 3)));
    assert_eq!(outline.common_ancestor(thread(2), thread(2)), Some((thread(2), 4)));
}

#[test]
fn a042_compacting_one_branch_changes_no_other_and_a_branch_keeps_what_it_inherited() {
    let mut acts = vec![Act::Open(0)];
    acts.extend(said(0, 6));
    acts.extend([Act::Compact(0, 1, 2, 90), Act::Branch(1, 0, 5), Act::Compact(0, 1, 4, 91)]);
    acts.extend([Act::Branch(2, 0, 3), Act::Compact(1, 2, 2, 92)]);
    let mut topology = built(&acts[..acts.len() - 1]);
    assert_eq!(positions(&topology, 0), [4, 5, 6]);
    assert_eq!(positions(&topology, 1), [2, 3, 4, 5]);
    // The larger range ends behind this branch, so the smaller one is what it inherits.
    assert_eq!(positions(&topology, 2), [2, 3]);
    let within = Span { first: 1, last: 2 };
    let cut = TopologyError::Cut { thread: thread(1), range: Span { first: 2, last: 2 }, within };
    assert_eq!(topology.apply(Offset(99), &[acts[acts.len() - 1].op()]), Err(cut));
    topology.apply(Offset(99), &[Act::Compact(1, 1, 3, 93).op()]).unwrap();
    assert_eq!(positions(&topology, 1), [3, 4, 5]);
    assert_eq!(positions(&topology, 0), [4, 5, 6]);
}

#[test]
fn a191_an_inner_tangent_resolves_into_the_outer_one_only_and_an_ended_one_takes_nothing() {
    let mut acts = vec![Act::Open(0)];
    acts.extend(said(0, 2));
    acts.extend([
        Act::Tangent(1, 0, 1),
        Act::Add(vec![1], 5),
        Act::Tangent(2, 1, 2),
        Act::Resolve(2, vec![7, 8]),
    ]);
    let mut topology = built(&acts);
    assert_eq!(positions(&topology, 0), [1, 2]);
    let (view, _) = topology.view(thread(1), Layer::Shown, Side::Last, 2).unwrap();
    let how = How::Resolved { tangent: thread(2), anchor: 2 };
    assert_eq!(flat(view), [(3, item(7), how.clone()), (4, item(8), how)]);
    let ended = |thread, state| Err(TopologyError::Ended { thread, state });
    assert_eq!(
        topology.apply(Offset(50), &[Act::Resolve(2, vec![1]).op()]),
        ended(thread(2), ThreadState::Resolved)
    );
    topology.apply(Offset(51), &[Act::Abandon(1).op()]).unwrap();
    assert_eq!(positions(&topology, 0), [1, 2]);
    for act in [Act::Resolve(1, vec![1]), Act::Abandon(1), Act::Add(vec![0, 1], 1), Act::Tangent(3, 1, 1)] {
        assert_eq!(
            topology.apply(Offset(52), &[act.op()]),
            ended(thread(1), ThreadState::Abandoned),
            "{act:?}"
        );
    }
}

#[test]
fn branches_of_branches_have_a_limit() {
    let mut topology = built(&[Act::Open(0)]);
    let id = |n: u16| ThreadId::derive(&[b"deep", &n.to_be_bytes()]);
    let branch = |n: u16| {
        let from = if n == 1 { thread(0) } else { id(n - 1) };
        Op::Branch { thread: id(n), kind: ThreadKind::Private, from, after: 0 }
    };
    for n in 1..=MOST_LEVELS {
        topology.apply(Offset(n.into()), &[branch(n)]).unwrap();
    }
    let refused = topology.apply(Offset(9_999), &[branch(MOST_LEVELS + 1)]);
    assert_eq!(refused, Err(TopologyError::TooDeep(id(MOST_LEVELS + 1))));
}

#[test]
fn a_place_packs_into_one_number_in_the_same_order() {
    let places = [(0, 0), (1, 0), (1, 7), (2, 0), (9_000_000_000, Place::MOST_PAIRS - 1)];
    let places = places.map(|(offset, index)| Place { offset: Offset(offset), index });
    assert!(places.map(Place::packed).is_sorted());
    assert_eq!(places.map(|place| Place::unpacked(place.packed())), places);
}
