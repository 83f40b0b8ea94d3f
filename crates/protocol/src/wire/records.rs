//! The bytes of a `records` field.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// Record batches as they stand on the wire, in one piece or several.
///
/// Decoding borrows from the frame (one piece). A fetch response lists the pieces that the caches hold; the writer
/// passes each on without copying it. Equality compares bytes, not pieces.
#[derive(Clone, Default)]
pub struct Records(Pieces);

#[derive(Clone)]
enum Pieces {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Default for Pieces {
    fn default() -> Self {
        Self::One(Bytes::new())
    }
}

impl Records {
    /// No records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes in all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces().iter().all(Bytes::is_empty)
    }

    /// The pieces in order.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Many(pieces) => pieces,
        }
    }

    /// All bytes in one piece; copies only when there are several.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match &self.0 {
            Pieces::One(piece) => piece.clone(),
            Pieces::Many(pieces) => {
                let mut joined = BytesMut::with_capacity(self.len());
                for piece in pieces {
                    joined.extend_from_slice(piece);
                }
                joined.freeze()
            }
        }
    }

    fn iter_bytes(&self) -> impl Iterator<Item = u8> {
        self.pieces().iter().flat_map(|piece| piece.iter().copied())
    }
}

impl From<Bytes> for Records {
    fn from(piece: Bytes) -> Self {
        Self(Pieces::One(piece))
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(mut pieces: Vec<Bytes>) -> Self {
        if pieces.len() == 1
            && let Some(piece) = pieces.pop()
        {
            return Self(Pieces::One(piece));
        }
        Self(Pieces::Many(pieces))
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Pieces::One(a), Pieces::One(b)) => a == b,
            _ => self.len() == other.len() && self.iter_bytes().eq(other.iter_bytes()),
        }
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} bytes)", self.len())
    }
}
