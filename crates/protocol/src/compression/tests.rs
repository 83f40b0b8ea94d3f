use super::*;
use proptest::prelude::*;

const LIMIT: usize = 1 << 20;

/// Repetitive enough to compress, random enough to have literals.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(any::<u8>(), 0..600), 0usize..300).prop_map(|(seed, repeats)| {
        let mut out = Vec::new();
        for round in 0..=repeats {
            out.extend_from_slice(&seed);
            out.push(round as u8);
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_compressed_comes_back(bytes in plain()) {
        for codec in Compression::ALL {
            let packed = codec.compress(&bytes, None).unwrap();
            prop_assert_eq!(&codec.decompress(&packed, LIMIT).unwrap(), &bytes, "{}", codec);
        }
    }

    #[test]
    fn the_limit_is_exact(bytes in plain()) {
        for codec in Compression::ALL {
            let packed = codec.compress(&bytes, None).unwrap();
            prop_assert!(codec.decompress(&packed, bytes.len()).is_ok(), "{}", codec);
            let limit = bytes.len() - 1;
            prop_assert_eq!(codec.decompress(&packed, limit), Err(CompressionError::TooLarge { limit }), "{}", codec);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for codec in Compression::ALL {
            let _ = codec.decompress(&bytes, 4096);
        }
    }

    #[test]
    fn flipped_bits_do_no_harm(bytes in plain(), at in any::<proptest::sample::Index>(), bit in 0u32..8) {
        for codec in Compression::ALL {
            let mut packed = codec.compress(&bytes, None).unwrap();
            let at = at.index(packed.len());
            packed[at] ^= 1 << bit;
            if let Ok(out) = codec.decompress(&packed, 100_000) {
                prop_assert!(out.len() <= 100_000);
            }
        }
    }
}

#[test]
fn every_prefix_is_refused_or_shorter() {
    let bytes: Vec<u8> = (0..5000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let packed = codec.compress(&bytes, None).unwrap();
        for cut in 0..packed.len() {
            // Snappy's framing has no end mark, so a cut between blocks is a shorter whole.
            if let Ok(out) = codec.decompress(&packed[..cut], LIMIT) {
                assert!(codec == Compression::Snappy && out.len() < bytes.len(), "{codec} cut at {cut}");
            }
        }
    }
}

#[test]
fn bombs_are_stopped_at_the_limit() {
    let zeros = vec![0; 64 << 20];
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let bomb = codec.compress(&zeros, None).unwrap();
        let error = codec.decompress(&bomb, LIMIT).unwrap_err();
        assert_eq!(error, CompressionError::TooLarge { limit: LIMIT }, "{codec}");
    }
}

#[test]
fn raw_snappy_is_read() {
    let raw = snap::raw::Encoder::new().compress_vec(b"a raw block without framing").unwrap();
    assert_eq!(Compression::Snappy.decompress(&raw, LIMIT).unwrap(), b"a raw block without framing");
    // A declared length of 2^32-1 reserves nothing.
    let forged = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, b'x'];
    assert_eq!(
        Compression::Snappy.decompress(&forged, LIMIT),
        Err(CompressionError::TooLarge { limit: LIMIT })
    );
}

#[test]
fn snappy_framings_may_follow_each_other() {
    let mut twice = Compression::Snappy.compress(b"first ", None).unwrap();
    twice.extend(Compression::Snappy.compress(b"second", None).unwrap());
    assert_eq!(Compression::Snappy.decompress(&twice, LIMIT).unwrap(), b"first second");
}

#[test]
fn zstd_windows_larger_than_the_stream_takes_are_decoded_at_once() {
    use std::io::Write;
    let bytes: Vec<u8> = (0..300_000u32).flat_map(|n| (n % 1000).to_le_bytes()).collect();
    let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&bytes).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(Compression::Zstd.decompress(&packed, 4 << 20).unwrap() == bytes);
    let limit = bytes.len() - 1;
    assert_eq!(Compression::Zstd.decompress(&packed, limit), Err(CompressionError::TooLarge { limit }));
}

#[test]
fn lz4_descriptors_of_other_kinds() {
    let good = Compression::Lz4.compress(b"hello hello hello", None).unwrap();
    // Dependent blocks are refused, as Kafka's reader does, also under a right checksum.
    let mut dependent = good.clone();
    dependent[4] &= !0b0010_0000;
    dependent[6] = (super::xxh32::xxh32(&dependent[4..6]) >> 8) as u8;
    assert!(matches!(
        Compression::Lz4.decompress(&dependent, LIMIT),
        Err(CompressionError::Malformed { what: "blocks that depend on each other", .. })
    ));
    let mut checksum = good;
    checksum[6] ^= 1;
    assert!(matches!(
        Compression::Lz4.decompress(&checksum, LIMIT),
        Err(CompressionError::Malformed { what: "frame descriptor checksum", .. })
    ));
}

#[test]
fn lz4_frames_of_another_writer_with_every_checksum() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write;
    let bytes: Vec<u8> = (0..100_000u32).flat_map(|n| (n % 251).to_le_bytes()).collect();
    for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        let info = FrameInfo::new()
            .block_mode(BlockMode::Independent)
            .block_size(size)
            .block_checksums(true)
            .content_checksum(true)
            .content_size(Some(bytes.len() as u64));
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&bytes).unwrap();
        let mut packed = encoder.finish().unwrap();
        assert!(Compression::Lz4.decompress(&packed, LIMIT).unwrap() == bytes);
        let middle = packed.len() / 2;
        packed[middle] ^= 1;
        assert!(Compression::Lz4.decompress(&packed, LIMIT).is_err());
    }
}
