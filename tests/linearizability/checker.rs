//! Wing and Gong's search for an order of all calls that fits their times and is right for one caller alone, with Lowe's
//! memory of what has been tried.

use crate::history::{Event, Lane, Part};
use crate::model::Model;
use std::collections::{BTreeMap, HashSet};

/// Checks a history part by part; the part for which there is no order, and the longest order found.
pub fn check(history: &[Lane]) -> Result<(), String> {
    let mut parts: BTreeMap<Part, Vec<Lane>> = BTreeMap::new();
    for lane in history {
        let mut of_lane: BTreeMap<Part, Lane> = BTreeMap::new();
        for event in lane {
            of_lane.entry(event.op.part()).or_default().push(event.clone());
        }
        for (part, events) in of_lane {
            parts.entry(part).or_default().push(events);
        }
    }
    parts.iter().try_for_each(|(part, lanes)| {
        linearize(lanes).map_err(|order| format!("{part:?} has no order; stuck after {order}"))
    })
}

/// How far each lane has come.
type Places = Vec<usize>;

struct Step {
    places: Places,
    model: Model,
    /// Next lane to be tried.
    lane: usize,
}

fn linearize(lanes: &[Lane]) -> Result<(), String> {
    let mut tried: HashSet<(Places, Model)> = HashSet::new();
    let mut steps = vec![Step {
        places: vec![0; lanes.len()],
        model: Model::default(),
        lane: 0,
    }];
    let mut best = (0, String::new());
    while let Some(step) = steps.last_mut() {
        if complete(lanes, &step.places) {
            return Ok(());
        }
        if step.lane == lanes.len() {
            steps.pop();
            continue;
        }
        let lane = step.lane;
        step.lane += 1;
        let Some(event) = lanes[lane]
            .get(step.places[lane])
            .filter(|_| may_be_next(lanes, &step.places, lane))
        else {
            continue;
        };
        let Some(model) = step.model.step(&event.op, event.outcome.as_ref()) else {
            continue;
        };
        let mut places = step.places.clone();
        places[lane] += 1;
        leave_out_late(lanes, &mut places);
        if tried.insert((places.clone(), model.clone())) {
            if steps.len() > best.0 {
                best = (steps.len(), describe(lanes, &places, &model));
            }
            steps.push(Step { places, model, lane: 0 });
        }
    }
    Err(best.1)
}

/// Calls without outcome may be left out.
fn complete(lanes: &[Lane], places: &[usize]) -> bool {
    let mut rest = lanes.iter().zip(places).flat_map(|(lane, place)| &lane[*place..]);
    rest.all(|event| event.outcome.is_none())
}

/// Passes calls without outcome that can no longer take effect. So orders in which they did and did not, which have come to the
/// same, count as one.
fn leave_out_late(lanes: &[Lane], places: &mut Places) {
    for at in 0..lanes.len() {
        if lanes[at]
            .get(places[at])
            .is_some_and(|event| is_too_late(lanes, places, event))
        {
            places[at] += 1;
        }
    }
}

/// A call without outcome, behind one that began when it could no longer take effect.
fn is_too_late(lanes: &[Lane], places: &[usize], event: &Event) -> bool {
    let last = |(lane, place): (&Lane, &usize)| lane.get(place.checked_sub(1)?).map(|done| done.start);
    event.outcome.is_none() && lanes.iter().zip(places).filter_map(last).any(|start| start > event.end)
}

/// No call that is still to come had ended before this one began, and this one can still take effect.
fn may_be_next(lanes: &[Lane], places: &[usize], lane: usize) -> bool {
    let event = &lanes[lane][places[lane]];
    let coming = lanes.iter().zip(places).filter_map(|(lane, place)| lane.get(*place));
    let earlier = coming
        .filter(|other| other.outcome.is_some())
        .any(|other| other.end < event.start);
    !earlier && !is_too_late(lanes, places, event)
}

fn describe(lanes: &[Lane], places: &[usize], model: &Model) -> String {
    let count: usize = places.iter().sum();
    let coming = lanes.iter().zip(places).filter_map(|(lane, place)| lane.get(*place));
    let coming: Vec<String> = coming.map(|event| format!("\n  {event:?}")).collect();
    format!("{count} calls, at {model:?}; next are{}", coming.concat())
}
