//! The view of `/`: search, due list, changes, figures.

use waybill_types::TimestampMs;
use waybill_ui::model::Searched;
use waybill_ui::pages::search as ui;

use super::convert::{day, evidence, frame, stamp, state, subject};
use crate::api::{Asked, Names, Problem};
use crate::model::time::{Day, When};
use crate::model::{Answer, State, Subject};
use crate::query::{QueryError, lists};
use crate::store::{Derived, Listing, Read};

/// Hits shown.
const HITS: usize = 50;

/// Lines of the due list and of changes.
const LINES: usize = 12;

/// Quarantined records looked through for words.
const QUARANTINE: usize = 1_000;

pub(super) fn view(
    read: &dyn Read,
    names: &Names,
    asked: &Asked,
    query: Option<&str>,
    since: Option<&str>,
    now: TimestampMs,
) -> Result<ui::SearchView, Problem> {
    let as_of = asked.settled.moment.as_of;
    let query = query.map(str::trim).filter(|words| !words.is_empty());
    let mut results = match query {
        Some(words) => lists::search(read, &asked.question, words, HITS + 1, now)?.1,
        None => Vec::new(),
    };
    let more = results.len() > HITS;
    results.truncate(HITS);
    let rows: Vec<Derived> = read
        .list(Listing::OpenOrders { as_of })
        .map_err(QueryError::from)?
        .into_iter()
        .filter(|row| row.state != State::Cancelled)
        .collect();
    let mut due = Vec::new();
    for row in rows.iter().filter(|row| row.promised.is_some()) {
        if due.len() >= LINES {
            break;
        }
        let answer = lists::answer_of(read, &asked.settled, &row.subject).map_err(QueryError::from)?;
        due.extend(answer.map(|(answer, _)| due_row(&answer)));
    }
    // Least slack first, by what is expected now.
    due.sort_by_key(|row| {
        row.promised.zip(row.estimated).map_or(i64::MAX, |(promised, estimated)| promised.0 - estimated.0)
    });
    let since = match since {
        None | Some("") => None,
        Some(text) => Some(
            When::parse(text)
                .ok_or_else(|| {
                    Problem::new(400, format!("since='{text}' is not a moment"))
                        .hint("for example 2015-03-31")
                })?
                .start(),
        ),
    };
    let from = since.unwrap_or(TimestampMs(i64::MIN));
    let (_, changes) = lists::changes(read, &asked.question, from, LINES, now)?;
    let mut examples: Vec<Subject> = rows.iter().take(2).map(|row| row.subject.clone()).collect();
    for change in &changes {
        if examples.len() < 4 && !examples.contains(&change.subject) {
            examples.push(change.subject.clone());
        }
    }
    Ok(ui::SearchView {
        frame: frame(names, now, asked.settled.pinned),
        query: query.map(str::to_owned),
        results: results.iter().map(hit).collect(),
        more,
        searched: searched(read, names, query.unwrap_or_default(), as_of)?,
        examples: examples.iter().map(subject).collect(),
        figures: figures(read, &rows, as_of)?,
        due,
        due_total: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        changes: changes.iter().filter_map(|change| change_row(change, names)).collect(),
        changes_since: since.map(stamp),
    })
}

fn hit(hit: &lists::Hit) -> ui::Hit {
    ui::Hit {
        subject: subject(&hit.answer.subject),
        state: state(hit.answer.state),
        matched: hit.matched.clone(),
        promised: hit.answer.promised.map(day),
        delivered: hit.answer.delivered.map(day),
        days_late: hit.answer.days_late,
    }
}

fn due_row(answer: &Answer) -> ui::DueRow {
    let get = |label: &str| {
        answer.attributes.iter().find(|(known, _)| known == label).map(|(_, value)| value.clone())
    };
    let first_line = answer.lines.first();
    let quantity = first_line
        .and_then(|line| line.attributes.iter().find(|(label, _)| label == "quantity"))
        .map(|(_, value)| value.clone());
    ui::DueRow {
        id: answer.subject.id.clone(),
        part: first_line.and_then(|line| line.shipments.first().cloned()),
        what: get("product"),
        what_more: quantity.or_else(|| get("supplier")).or_else(|| get("vendor")),
        place: get("destination"),
        place_more: get("mode").or_else(|| get("customer")),
        promised: answer.promised.map(day),
        estimated: answer.estimated.map(day),
    }
}

fn change_row(change: &crate::model::change::Change, names: &Names) -> Option<ui::Change> {
    let what = match change.what {
        "promised" => "promise",
        "estimated" => "estimate",
        "delivered" => "delivery",
        other => other,
    };
    Some(ui::Change {
        record_time: stamp(change.told),
        subject: subject(&change.subject),
        what: what.to_owned(),
        old: change.old.clone(),
        new: change.new.clone(),
        evidence: evidence(names, change.evidence.as_ref()?),
    })
}

fn figures(read: &dyn Read, open: &[Derived], as_of: TimestampMs) -> Result<ui::Figures, Problem> {
    let today = Day::of(as_of);
    let count = |fits: &dyn Fn(&Derived) -> bool| {
        Some(u64::try_from(open.iter().filter(|row| fits(row)).count()).unwrap_or(u64::MAX))
    };
    let past = |row: &Derived| row.promised.is_some_and(|promised| promised < today);
    let expected_late = |row: &Derived| {
        row.promised.zip(row.estimated).is_some_and(|(promised, estimated)| estimated > promised)
    };
    let delivered = read.delivered_orders(as_of).map_err(QueryError::from)?;
    let counts = read.counts().map_err(QueryError::from)?;
    Ok(ui::Figures {
        open: count(&|_| true),
        past_promise: count(&past),
        expected_late: count(&|row| !past(row) && expected_late(row)),
        delivered: Some(delivered),
        quarantined: Some(counts.iter().map(|counts| counts.quarantined).sum()),
    })
}

/// What was looked in, for a page that found nothing.
pub(super) fn searched(
    read: &dyn Read,
    names: &Names,
    words: &str,
    as_of: TimestampMs,
) -> Result<Searched, Problem> {
    let counts = read.census(as_of).map_err(QueryError::from)?;
    let mut near = Vec::new();
    let mut quarantined = 0;
    if !words.is_empty() {
        let mentions = |value: &[u8]| value.windows(words.len()).any(|window| window == words.as_bytes());
        let rows = read.quarantine(QUARANTINE).map_err(QueryError::from)?;
        quarantined = rows.iter().filter(|row| row.value.as_deref().is_some_and(mentions)).count();
        // Ids that begin like it: drop letters from its end until some do.
        let mut prefix = words;
        for _ in 0..4 {
            let Some((at, _)) = prefix.char_indices().next_back() else { break };
            prefix = prefix.get(..at).unwrap_or_default();
            near = read.search(prefix, 5).map_err(QueryError::from)?;
            if !near.is_empty() || prefix.is_empty() {
                break;
            }
        }
    }
    let up_to = names.health().iter().filter_map(|source| source.last_record_time).min();
    Ok(Searched {
        counts,
        up_to: up_to.map(stamp),
        quarantined: u64::try_from(quarantined).unwrap_or(u64::MAX),
        near: near.iter().map(|candidate| subject(&candidate.subject)).collect(),
    })
}
