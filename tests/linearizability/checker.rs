//! Wing and Gong's search for an order of all calls that fits their times and is right for one caller alone, with Lowe's
//! memory of what has been tried.

use crate::history::{Lane, Part};
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

/// No call that is still to come had ended before this one began; and one without outcome does not follow a call that began
/// when it could no longer take effect.
fn may_be_next(lanes: &[Lane], places: &[usize], lane: usize) -> bool {
    let event = &lanes[lane][places[lane]];
    let coming = lanes.iter().zip(places).filter_map(|(lane, place)| lane.get(*place));
    let earlier = coming
        .filter(|other| other.outcome.is_some())
        .any(|other| other.end < event.start);
    let mut last = lanes
        .iter()
        .zip(places)
        .filter_map(|(lane, place)| lane.get(place.checked_sub(1)?));
    let too_late = event.outcome.is_none() && last.any(|done| done.start > event.end);
    !earlier && !too_late
}

fn describe(lanes: &[Lane], places: &[usize], model: &Model) -> String {
    let count: usize = places.iter().sum();
    let coming = lanes.iter().zip(places).filter_map(|(lane, place)| lane.get(*place));
    let coming: Vec<String> = coming.map(|event| format!("\n  {event:?}")).collect();
    format!("{count} calls, at {model:?}; next are{}", coming.concat())
}
