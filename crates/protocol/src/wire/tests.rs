//! Tests of the primitives.

use bytes::Bytes;

use super::*;

fn reader(bytes: &[u8]) -> Reader {
    Reader::new(Bytes::copy_from_slice(bytes))
}

#[test]
fn varints_match_known_bytes_and_come_back() {
    for (value, bytes) in [
        (0u32, &[0x00][..]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (300, &[0xac, 0x02]),
        (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let mut out = Vec::new();
        put_unsigned_varint(&mut out, value);
        assert_eq!(out, bytes);
        assert_eq!(unsigned_varint_len(value), bytes.len());
        assert_eq!(reader(bytes).unsigned_varint("x").unwrap(), value);
    }
    for value in [0, -1, 1, i64::from(i32::MIN), i64::MAX, i64::MIN] {
        let mut out = Vec::new();
        put_varlong(&mut out, value);
        assert_eq!(out.len(), varlong_len(value));
        assert_eq!(reader(&out).varlong("x").unwrap(), value);
    }
}

#[test]
fn varints_that_do_not_fit_are_refused() {
    let kind = |bytes: &[u8]| reader(bytes).unsigned_varint("x").unwrap_err().kind();
    assert_eq!(kind(&[0xff, 0xff, 0xff, 0xff, 0x1f]), DecodeErrorKind::VarintOutOfRange);
    assert_eq!(kind(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), DecodeErrorKind::VarintOutOfRange);
    assert_eq!(kind(&[0xff]), DecodeErrorKind::Truncated { needed: 1, remaining: 0 });
    let eleven = [0xff; 11];
    assert_eq!(reader(&eleven).varlong("x").unwrap_err().kind(), DecodeErrorKind::VarintOutOfRange);
}

#[test]
fn uuid_text_is_kafkas() {
    // The metadata topic's id and the first id after the reserved ones, as Kafka prints them.
    let metadata = Uuid(1u128.to_be_bytes());
    assert_eq!(metadata.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!("AAAAAAAAAAAAAAAAAAAAAQ".parse(), Ok(metadata));
    let all = Uuid([0xff; 16]);
    assert_eq!(all.to_string(), "_____________________w");
    assert_eq!(all.to_string().parse(), Ok(all));
    assert!("short".parse::<Uuid>().is_err());
}

#[test]
fn a_forged_count_is_refused_before_anything_is_reserved() {
    let error = reader(&[0x7f, 0xff, 0xff, 0xff]).array_len("topics", false, 2, 100).unwrap_err();
    let claimed = 0x7fff_ffff;
    assert_eq!(error.kind(), DecodeErrorKind::CountTooLarge { claimed, possible: 0 });
    assert_eq!(error.path(), "topics");
}

#[test]
fn the_memory_limit_counts_arrays_and_strings() {
    let bytes = [0, 0, 0, 2, 0, 1, b'a', 0, 1, b'b'];
    let read = |limit: usize| {
        let mut reader = reader(&bytes).with_memory_limit(limit);
        let count = reader.array_len("names", false, 2, size_of::<KString>())?;
        reader.strings("names", count, false)
    };
    assert_eq!(read(66).unwrap(), ["a", "b"]);
    let error = read(65).unwrap_err();
    assert_eq!(error.kind(), DecodeErrorKind::MemoryLimit { limit: 65 });
    assert_eq!(error.path(), "names[1]");
}

#[test]
fn strings_follow_kafka() {
    assert_eq!(reader(&[0, 2, 0xc3, 0xa9]).string("s", false).unwrap(), "é");
    assert_eq!(reader(&[0, 1, 0xff]).string("s", false).unwrap(), "\u{fffd}");
    assert_eq!(reader(&[0xff, 0xff]).opt_string("s", false, true).unwrap(), None);
    let null = reader(&[0]).string("s", true).unwrap_err();
    assert_eq!(null.kind(), DecodeErrorKind::UnexpectedNull);
    let mut long = vec![0x81, 0x80, 0x02];
    long.resize(40_000, b'x');
    assert_eq!(reader(&long).string("s", true).unwrap_err().kind(), DecodeErrorKind::StringTooLong(32_768));
    let error = Writer::new().string("s", true, &"x".repeat(32_768)).unwrap_err();
    assert_eq!(error.kind(), EncodeErrorKind::TooLong(32_768));
}

#[test]
fn large_records_are_not_copied() {
    let small = Bytes::from_static(&[1; 10]);
    let large = Bytes::from(vec![2; 4096]);
    let mut writer = Writer::framed();
    writer.i32(7);
    writer.opt_records("records", true, true, Some(&Records::from(vec![small, large.clone()]))).unwrap();
    writer.unknown_tags(true, 0, &UnknownTaggedFields::default()).unwrap();
    let total = writer.len();
    let segments = writer.into_segments().unwrap();
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[1].as_ptr(), large.as_ptr());
    let joined = segments.concat();
    assert_eq!(joined.len(), total);
    let mut reader = Reader::new(Bytes::from(joined));
    assert_eq!(reader.i32("size").unwrap() as usize, total - 4);
    assert_eq!(reader.i32("seven").unwrap(), 7);
    assert_eq!(reader.records("records", true).unwrap().len(), 4106);
    assert_eq!(reader.take_rest(), [0][..]);
}

#[test]
fn tagged_fields_are_kept_in_order_and_bounded() {
    // Tags 5 and 2, out of order, then 5 again: the later one stays.
    let bytes = [3, 5, 1, 0xaa, 2, 2, 0xbb, 0xcc, 5, 1, 0xdd];
    let mut source = reader(&bytes);
    let fields = source.unknown_tags(true).unwrap();
    assert_eq!(source.remaining(), 0);
    let kept: Vec<(u32, &[u8])> = fields.as_slice().iter().map(|f| (f.tag, &f.data[..])).collect();
    assert_eq!(kept, [(2, &[0xbb, 0xcc][..]), (5, &[0xdd])]);

    let mut writer = Writer::new();
    writer.tag_count(true, 0, 1, &fields).unwrap();
    let mut from = 0;
    let start = writer.begin_tag(3, &mut from, &fields).unwrap();
    writer.i16(0x0102);
    writer.end_tag(start);
    writer.raw_tags(&fields, from, u32::MAX).unwrap();
    assert_eq!(writer.into_bytes().unwrap()[..], [3, 2, 2, 0xbb, 0xcc, 3, 2, 1, 2, 5, 1, 0xdd]);

    let taken = Writer::new().begin_tag(5, &mut 0, &fields).unwrap_err();
    assert_eq!(taken.kind(), EncodeErrorKind::TagTaken(5));
    let old = Writer::new().unknown_tags(false, 1, &fields).unwrap_err();
    assert_eq!(old.kind(), EncodeErrorKind::TagsNotSupported(1));
}

#[test]
fn a_tagged_field_can_not_reach_beyond_its_size() {
    let mut source = reader(&[0, 2, 1, 2, 3, 4]);
    let scope = source.begin_tag().unwrap();
    assert_eq!(source.i32("x").unwrap_err().kind(), DecodeErrorKind::Truncated { needed: 4, remaining: 2 });
    assert_eq!(source.i8("x").unwrap(), 1);
    assert_eq!(source.end_tag(scope).unwrap_err().kind(), DecodeErrorKind::TagSizeMismatch(1));
}
