//! What is out of order for a while: nodes that are down or stand still, faults from their beginning to their end.

use std::collections::BTreeMap;

use serde::Serialize;

use squall_core::{
    event::{FaultEvent, Life, What},
    time::VirtualTime,
};
use squall_engine::storm::FaultReport;

use super::Source;

/// A node does not run.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Outage {
    pub lane: usize,
    pub from: VirtualTime,
    pub to: VirtualTime,
    /// `down`, `paused`.
    pub how: &'static str,
    /// What happened: `crashes`, `loses power`.
    pub why: Life,
    /// The event that begins it.
    pub event: usize,
}

/// A fault of the storm.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Band {
    /// The fault in words.
    pub text: String,
    /// Its kind.
    pub kind: String,
    /// The nodes concerned.
    pub lanes: Vec<usize>,
    /// None: it never began.
    pub from: Option<VirtualTime>,
    /// The same as `from` for a fault that is over at once.
    pub to: Option<VirtualTime>,
    pub effective: bool,
    /// The event that begins it.
    pub event: Option<usize>,
}

/// When nodes are down or paused.
pub fn outages<'t>(source: &Source<'t>) -> Vec<Outage> {
    let mut outages = Vec::<Outage>::new();
    let mut open = BTreeMap::<usize, usize>::new();
    for (place, event) in source.events.iter().enumerate() {
        let What::Node { event: turn, .. } = &event.what else {
            continue;
        };
        if turn.is_of_old() {
            continue;
        }
        let lane = source.lanes[event.node.as_str()];
        if let Some(begun) = open.remove(&lane) {
            outages[begun].to = event.at;
        }
        let how = match *turn {
            Life::Boots | Life::Resumes => continue,
            Life::Pauses => "paused",
            _ => "down",
        };
        open.insert(lane, outages.len());
        outages.push(Outage {
            lane,
            from: event.at,
            to: source.ended,
            how,
            why: *turn,
            event: place,
        });
    }
    outages
}

/// Every fault of the storm, in the order of the plan.
pub fn faults(source: &Source<'_>, reports: &[FaultReport]) -> Vec<Band> {
    let mut bands: Vec<Band> = reports
        .iter()
        .map(|report| planned(source, report))
        .collect();
    for (place, event) in source.events.iter().enumerate() {
        let What::Fault {
            event: turn, index, ..
        } = &event.what
        else {
            continue;
        };
        let Some(band) = bands.get_mut(*index) else {
            continue;
        };
        match *turn {
            FaultEvent::Begins if band.event.is_none() => {
                band.event = Some(place);
                (band.from, band.to) = (Some(event.at), Some(event.at));
            }
            FaultEvent::Ends => band.to = Some(event.at),
            _ => {}
        }
    }
    bands
}

fn planned(source: &Source<'_>, report: &FaultReport) -> Band {
    let action = &report.fault.action;
    let at_site = report.site.as_ref().map(|site| site.node.as_str());
    let mut named = action.nodes();
    if named.is_empty() {
        named.extend(at_site);
    }
    let mut lanes: Vec<usize> = named.into_iter().filter_map(|n| source.lane(n)).collect();
    lanes.sort_unstable();
    lanes.dedup();
    Band {
        text: action.to_string(),
        kind: action.counted_as().to_owned(),
        lanes,
        from: report.fired,
        to: report.fired,
        effective: report.effective,
        event: None,
    }
}
