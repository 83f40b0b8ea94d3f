//! Breadth-first search.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::steps::Step;
use crate::world::{Bounds, World};

/// What a search found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    /// The rule that was broken, and the shortest way there.
    pub(crate) violation: Option<(String, Vec<Step>)>,
}

fn digest(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// Visits every state within the bounds, or all up to the first violation.
pub(crate) fn search(bounds: &Bounds) -> Outcome {
    let start = World::new(bounds);
    let mut seen = HashSet::from([digest(&start)]);
    // How each state was reached: the one before, and the step.
    let mut ways: Vec<(usize, Step)> = vec![(0, Step::Submit)];
    let mut level = vec![(start, 0_usize)];
    let mut depth = 0;
    while !level.is_empty() {
        depth += 1;
        let mut next = Vec::new();
        for (world, way) in level {
            for step in world.steps(bounds) {
                let mut after = world.clone();
                after.take(step, bounds);
                if !seen.insert(digest(&after)) {
                    continue;
                }
                ways.push((way, step));
                if let Some(what) = after.violation() {
                    let trace = trace(&ways, ways.len() - 1);
                    return Outcome { states: seen.len(), depth, violation: Some((what, trace)) };
                }
                next.push((after, ways.len() - 1));
            }
        }
        level = next;
    }
    Outcome { states: seen.len(), depth, violation: None }
}

fn trace(ways: &[(usize, Step)], mut at: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    while at > 0 {
        steps.push(ways[at].1);
        at = ways[at].0;
    }
    steps.reverse();
    steps
}
