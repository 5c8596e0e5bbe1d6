//! The worlds that are searched, and which of them shows what a rule is for.

use crate::rules::Rule;
use crate::world::{Old, World};

const A: u8 = 1;
const B: u8 = 2;
const C: u8 = 4;

/// A point that is there when the run begins.
fn kept(wants: u8, packs: &[u8]) -> Old {
    let packs = packs.to_vec();
    Old { wants, packs, is_forgotten: false, is_condemned: false, is_lost: false }
}

fn forgotten(wants: u8, packs: &[u8]) -> Old {
    Old { is_forgotten: true, ..kept(wants, packs) }
}

fn condemned(wants: u8, packs: &[u8]) -> Old {
    Old { is_condemned: true, ..forgotten(wants, packs) }
}

fn world(name: &'static str, old: &[Old], writers: &[u8]) -> World {
    World {
        name,
        old: old.to_vec(),
        writers: writers.to_vec(),
        attempts: 1,
        prunes: 1,
        plans: 1,
        readers: 0,
        forgettable: 0,
        least_percent: 60,
        is_network_bad: false,
        is_plan_free: false,
        without: Vec::new(),
    }
}

/// Every world that is searched whole.
pub(crate) fn small() -> Vec<World> {
    let mut worlds =
        vec![back(), fresh(), damaged(), lists(), copies(), two_writers(), returning(), pins()];
    worlds.extend([half_a_pack(), half_a_segment(), late(), two_prunes(), rivals()]);
    worlds.extend([two_repacks(), any_plan()]);
    worlds
}

/// The world that shows what a rule is for.
pub(crate) fn showing(rule: Rule) -> World {
    match rule {
        Rule::EveryList => lists(),
        Rule::ListedPacks => damaged(),
        Rule::CondemnedIsNoHome => copies(),
        Rule::IndexedHome => two_writers(),
        Rule::EndedSessionsOnly => fresh(),
        Rule::EveryCopyStays => late(),
        Rule::OwnList => rivals(),
        Rule::OwnPacksOfThisSession => two_prunes(),
        Rule::ForgetStays => returning(),
        Rule::ForgottenBeforePins
        | Rule::PinsCount
        | Rule::PinnedOutcomeStays
        | Rule::LookAfterPin => pins(),
        _ => back(),
    }
}

// What nobody needed any more is written again while a prune is about to delete it.
fn back() -> World {
    World {
        attempts: 2,
        plans: 2,
        is_network_bad: true,
        ..world("a dead chunk is written again", &[forgotten(A, &[A])], &[A])
    }
}

fn fresh() -> World {
    World { plans: 2, ..world("a new chunk", &[forgotten(A, &[A])], &[B]) }
}

fn damaged() -> World {
    let lost = Old { is_lost: true, ..forgotten(A, &[A]) };
    world("a pack was lost", &[lost], &[A])
}

fn lists() -> World {
    let old = [condemned(A, &[A]), kept(B, &[B])];
    World { forgettable: 0b10, ..world("two condemned lists", &old, &[A]) }
}

fn copies() -> World {
    let old = [forgotten(A | B, &[A, A, B]), kept(B, &[])];
    World { least_percent: 30, ..world("two copies", &old, &[A]) }
}

fn two_writers() -> World {
    World { plans: 2, ..world("two writers", &[forgotten(A, &[A])], &[A, A]) }
}

fn returning() -> World {
    World { readers: 0, name: "a forgotten point returns", ..pins() }
}

fn pins() -> World {
    World {
        readers: 1,
        forgettable: 0b11,
        is_network_bad: true,
        ..world("a reader pins", &[kept(A, &[A])], &[A])
    }
}

fn half_a_pack() -> World {
    let old = [forgotten(A | B, &[A | B]), kept(A, &[])];
    World { plans: 2, forgettable: 0b10, ..world("half a pack is dead", &old, &[B]) }
}

fn half_a_segment() -> World {
    let old = [forgotten(A | B, &[A, B]), kept(B, &[])];
    World { readers: 1, forgettable: 0b10, ..world("half a segment is dead", &old, &[A]) }
}

// A prune that carries out an older list, and one that condemns the other copy.
fn late() -> World {
    let old = [condemned(A, &[A]), kept(A, &[A])];
    World { prunes: 2, forgettable: 0b10, ..world("a late deletion", &old, &[A]) }
}

fn two_prunes() -> World {
    World { prunes: 2, name: "two prunes", ..back() }
}

fn rivals() -> World {
    let old = [forgotten(A, &[A]), kept(B, &[B])];
    World { prunes: 2, forgettable: 0b10, ..world("two prunes with two plans", &old, &[B]) }
}

fn two_repacks() -> World {
    World { prunes: 2, forgettable: 0, name: "two prunes that repack", ..half_a_pack() }
}

fn any_plan() -> World {
    let old = [forgotten(A, &[A]), kept(A, &[A])];
    World { prunes: 2, is_plan_free: true, ..world("two prunes with any plans", &old, &[A]) }
}

/// What a prune that is alone has to put in order.
pub(crate) fn untidy() -> World {
    let fenced = kept(0, &[A, C]);
    let rescued = Old { is_forgotten: false, ..condemned(A, &[A]) };
    let half = forgotten(B | C, &[B | C, C]);
    World { prunes: 2, ..world("untidy", &[rescued, half, kept(A | B, &[]), fenced], &[]) }
}

/// Worlds that take minutes.
pub(crate) fn large() -> Vec<World> {
    let old = [forgotten(A | B, &[A | B]), kept(A, &[])];
    let crowd = World { readers: 1, forgettable: 0b10, ..world("a crowd", &old, &[B | C, B]) };
    let old = [forgotten(A, &[A]), kept(B, &[B])];
    let busy = World {
        prunes: 2,
        readers: 1,
        forgettable: 0b10,
        is_network_bad: true,
        ..world("everything at once", &old, &[A | B])
    };
    let pairs = World { prunes: 2, ..world("two of each", &[forgotten(A, &[A])], &[A, A]) };
    vec![crowd, busy, pairs]
}
