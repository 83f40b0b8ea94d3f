use super::*;
use crate::model::{Location, Progress};
use crate::time::When;

fn at() -> Stamp {
    Stamp(1_427_820_000_000) // 2015-03-31T16:40:00Z
}

fn answer(state: State) -> Answer {
    Answer {
        state,
        location: Some(Location {
            place: "Lusaka airport".into(),
            seen: Some(When::On(Day::from_civil(2015, 3, 24))),
            source: None,
        }),
        promised: Some(Day::from_civil(2015, 3, 11)),
        first_promised: None,
        estimated: None,
        delivered: None,
        delivered_told: None,
        days_late: None,
        progress: None,
        facts: 3,
        sources: 1,
        conflicts: 0,
    }
}

fn text(m: Markup) -> String {
    m.into_string().replace("<em>", "").replace("</em>", "").replace('\u{a0}', " ")
}

#[test]
fn delivered_answers_name_lateness_and_when_we_were_told() {
    let mut a = answer(State::Delivered);
    a.delivered = a.promised;
    a.days_late = Some(0);
    a.delivered_told = Some(at());
    assert_eq!(
        text(sentence(&a, "order", at(), false)),
        "Delivered on the promised day, 11 Mar. We were told 20 days later."
    );
    a.delivered = Some(Day::from_civil(2015, 3, 12));
    a.days_late = Some(1);
    a.delivered_told = None;
    assert_eq!(
        text(sentence(&a, "order", at(), false)),
        "Delivered 1 day late, on 12 Mar; promised for 11 Mar."
    );
    a.days_late = Some(20);
    assert_eq!(
        text(sentence(&a, "order", at(), false)),
        "Delivered by 12 Mar, the worst part 20 days late; promised for 11 Mar."
    );
    a.delivered = Some(Day::from_civil(2015, 3, 9));
    a.days_late = Some(-2);
    assert_eq!(
        text(sentence(&a, "order", at(), false)),
        "Delivered 2 days early, on 9 Mar; promised for 11 Mar."
    );
    a.promised = None;
    a.days_late = None;
    assert_eq!(text(sentence(&a, "order", at(), false)), "Delivered on 9 Mar; no promise is known.");
}

#[test]
fn open_answers_name_promise_place_and_estimate() {
    let mut a = answer(State::InTransit);
    assert_eq!(
        text(sentence(&a, "order", at(), false)),
        "Not known to be delivered, 20 days after the promise of 11 Mar. Last seen at Lusaka airport on 24 Mar."
    );
    a.estimated = Some(Day::from_civil(2015, 3, 26));
    a.progress = Some(Progress { done: 2, total: 3, noun: "shipment".into() });
    a.state = State::PartiallyDelivered;
    assert_eq!(
        text(sentence(&a, "order", at(), false)),
        "2 of 3 shipments delivered, 20 days after the promise of 11 Mar. Last seen at Lusaka airport on 24 Mar. \
         The last estimate, 26 Mar, has passed without news."
    );
    a.progress = None;
    a.state = State::InTransit;
    let early = Day::from_civil(2015, 3, 1).start();
    assert_eq!(
        text(sentence(&a, "order", early, true)),
        "On its way, and expected 15 days after the promise of 11 Mar. Last seen at Lusaka airport on 24 Mar. \
         The estimate was 26 Mar."
    );
    a.estimated = Some(Day::from_civil(2015, 3, 10));
    a.location = None;
    assert_eq!(text(sentence(&a, "order", early, true)), "Expected by 10 Mar, within the promise of 11 Mar.");
    a.promised = None;
    a.estimated = None;
    assert_eq!(text(sentence(&a, "order", early, true)), "On its way; no promise is known.");
}

#[test]
fn before_the_first_record_nothing_was_known() {
    let mut a = answer(State::Unknown);
    a.facts = 0;
    assert_eq!(
        text(sentence(&a, "order", at(), true)),
        "Nothing was known of this order then. Its first record came later."
    );
}
