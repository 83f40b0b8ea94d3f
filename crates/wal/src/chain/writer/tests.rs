use super::*;

fn writer(depth: u32) -> Writer {
    Writer::new(depth, Sabotage::None)
}

#[test]
fn acks_wait_for_all_before() {
    let mut writer = writer(2);
    assert_eq!(writer.on(WriterEvent::Submit), [WriterAction::Put { slot: 1, tries: 0 }]);
    assert_eq!(writer.on(WriterEvent::Submit), [WriterAction::Put { slot: 2, tries: 0 }]);
    assert!(!writer.may_submit());
    assert_eq!(writer.on(WriterEvent::Submit), []);
    assert_eq!(writer.on(WriterEvent::Answered(2, PutAnswer::Created)), []);
    assert!(!writer.may_submit(), "the window is from the lowest slot that is not durable");
    assert_eq!(writer.on(WriterEvent::Answered(1, PutAnswer::Created)), [WriterAction::Durable(3)]);
    assert_eq!((writer.next(), writer.durable(), writer.in_flight()), (3, 3, 0));
}

#[test]
fn whatever_is_not_success_is_read_back() {
    for answer in [PutAnswer::Exists, PutAnswer::Unknown] {
        let mut writer = writer(1);
        writer.on(WriterEvent::Submit);
        assert_eq!(writer.on(WriterEvent::Answered(1, answer)), [WriterAction::Read { slot: 1, tries: 0 }]);
        assert_eq!(
            writer.on(WriterEvent::Read(1, Found::Failed)),
            [WriterAction::Read { slot: 1, tries: 1 }]
        );
        assert_eq!(writer.on(WriterEvent::Read(1, Found::Absent)), [WriterAction::Put { slot: 1, tries: 2 }]);
        writer.on(WriterEvent::Answered(1, PutAnswer::Exists));
        assert_eq!(writer.on(WriterEvent::Read(1, Found::Ours)), [WriterAction::Durable(2)]);
    }
}

#[test]
fn what_a_read_back_finds_ends_the_chain() {
    let cases = [
        (Found::Seal, Ending::Sealed(1)),
        (Found::Data, Ending::Taken(1)),
        (Found::Differs, Ending::Alarm(1)),
        (Found::Damaged, Ending::Alarm(1)),
    ];
    for (found, ending) in cases {
        let mut writer = writer(2);
        writer.on(WriterEvent::Submit);
        writer.on(WriterEvent::Submit);
        writer.on(WriterEvent::Answered(1, PutAnswer::Exists));
        assert_eq!(writer.on(WriterEvent::Read(1, found)), [WriterAction::End(ending)]);
        // Nothing is acked afterwards, whatever comes home.
        assert_eq!(writer.on(WriterEvent::Answered(2, PutAnswer::Created)), []);
        assert_eq!(writer.on(WriterEvent::Read(1, Found::Ours)), []);
        assert_eq!((writer.durable(), writer.ending()), (1, Some(ending)));
    }
}

#[test]
fn a_hedge_is_sent_once_and_its_refusal_is_read_back() {
    let mut writer = writer(2);
    writer.on(WriterEvent::Submit);
    assert_eq!(writer.on(WriterEvent::Hedge(1)), [WriterAction::Put { slot: 1, tries: 0 }]);
    assert_eq!(writer.on(WriterEvent::Hedge(1)), []);
    // The first one landed, so the hedge is told that the name is taken.
    assert_eq!(
        writer.on(WriterEvent::Answered(1, PutAnswer::Exists)),
        [WriterAction::Read { slot: 1, tries: 0 }]
    );
    assert_eq!(writer.on(WriterEvent::Read(1, Found::Ours)), [WriterAction::Durable(2)]);
    assert_eq!(writer.on(WriterEvent::Answered(1, PutAnswer::Created)), []);
    assert_eq!(writer.on(WriterEvent::Expired(1)), []);
}

#[test]
fn absence_with_a_create_on_its_way_waits_for_that() {
    let mut writer = writer(1);
    writer.on(WriterEvent::Submit);
    writer.on(WriterEvent::Hedge(1));
    writer.on(WriterEvent::Answered(1, PutAnswer::Unknown));
    assert_eq!(writer.on(WriterEvent::Read(1, Found::Absent)), []);
    assert_eq!(
        writer.on(WriterEvent::Answered(1, PutAnswer::Unknown)),
        [WriterAction::Read { slot: 1, tries: 0 }]
    );
}

#[test]
fn a_slot_that_is_not_durable_in_its_time_ends_the_chain() {
    let mut writer = writer(3);
    for _ in 0..3 {
        writer.on(WriterEvent::Submit);
    }
    writer.on(WriterEvent::Answered(2, PutAnswer::Created));
    assert_eq!(writer.on(WriterEvent::Expired(2)), []);
    assert_eq!(writer.on(WriterEvent::Expired(1)), [WriterAction::End(Ending::Expired(1))]);
    assert_eq!(writer.on(WriterEvent::Answered(1, PutAnswer::Created)), []);
    assert!(!writer.may_submit());
}
