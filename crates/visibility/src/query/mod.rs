//! Questions and answers. Every question carries its scope, as of, at and frontier: there is no other way to ask.
//!
//! - [`token`]: frontiers as text.
//! - [`closure`]: which facts bear on a subject.
//! - [`track`]: where it is, what was promised, who said so.
//! - [`lists`]: search, exceptions, changes.

pub mod closure;
pub mod history;
pub mod lists;
pub mod token;
pub mod track;

use waybill_types::TimestampMs;

use crate::model::time::instant_text;
use crate::model::{Evidence, Frontier, Moment, Scope};
use crate::store::{Read, Reading, StoreError};
pub use token::Token;

/// As of when a question is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsOf {
    /// As of the moment of asking.
    Now,
    /// As of an instant.
    Time(TimestampMs),
    /// As of an earlier answer: its time and its offsets.
    Frontier(Token),
    /// As of a token kept under a name.
    Checkpoint(String),
}

/// What every question carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// On whose behalf.
    pub scope: Scope,
    /// As of when.
    pub as_of: AsOf,
    /// What was true then; `None` means at `as_of`.
    pub at: Option<TimestampMs>,
}

impl Question {
    /// What is known now, unscoped.
    #[must_use]
    pub const fn now() -> Self {
        Self { scope: Scope::All, as_of: AsOf::Now, at: None }
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Nothing with this id was told of, as of then.
    #[error("nothing called '{id}' is known as of {as_of}")]
    Unknown {
        /// What was asked for.
        id: String,
        /// As of when.
        as_of: String,
    },
    /// The moment can not be asked for.
    #[error("{0}")]
    BadMoment(String),
    /// The token is of a view that other mappings read.
    #[error("what lies below this frontier was read by other mappings, or other decisions counted: {0}")]
    OtherReading(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A question with its moment and frontier settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// On whose behalf.
    pub scope: Scope,
    /// As of when, and at.
    pub moment: Moment,
    /// Up to where in the log.
    pub frontier: Frontier,
    /// Pinned by a token: the answer repeats for ever and has no freshness.
    pub pinned: bool,
    /// Asked as of now.
    pub is_now: bool,
    /// How what lies below the frontier was read.
    pub reading: Reading,
}

impl Settled {
    /// The token that repeats the answer.
    #[must_use]
    pub fn token(&self) -> Token {
        Token { time: self.moment.as_of, frontier: self.frontier.clone(), reading: Some(self.reading) }
    }

    /// Whether every topic among `topics` has told something later than the moment.
    #[must_use]
    pub fn is_final(&self, topics: impl IntoIterator<Item = waybill_types::TopicId>) -> bool {
        topics.into_iter().all(|topic| {
            self.frontier.watermark(topic).is_some_and(|watermark| watermark > self.moment.as_of)
        })
    }

    /// The frontier below which facts count; `None` where the snapshot is the frontier.
    #[must_use]
    pub fn below(&self) -> Option<&Frontier> {
        self.pinned.then_some(&self.frontier)
    }

    /// Whether a record lies below the frontier.
    #[must_use]
    pub fn covers(&self, evidence: &Evidence) -> bool {
        // Without a token the snapshot is the frontier.
        !self.pinned || self.frontier.covers(evidence)
    }
}

/// Settles a question asked at `now`.
///
/// # Errors
/// A checkpoint or token that does not fit this view, or `at` later than `as_of`.
pub fn settle(read: &dyn Read, question: &Question, now: TimestampMs) -> Result<Settled, QueryError> {
    let live = read.frontier()?;
    let pinned = |token: Token| -> Result<(TimestampMs, Frontier, bool), QueryError> {
        let fits = token.frontier.positions.iter().all(|(partition, position)| {
            live.positions.get(partition).is_some_and(|here| here.next >= position.next)
        });
        if !fits {
            return Err(QueryError::BadMoment("the frontier lies beyond what this view has read".to_owned()));
        }
        let frontier = unbroken(read, token.frontier, token.reading)?;
        Ok((token.time, frontier, true))
    };
    let (as_of, frontier, pinned) = match &question.as_of {
        AsOf::Now => (now, live, false),
        AsOf::Time(time) => (*time, live, false),
        AsOf::Frontier(token) => pinned(token.clone())?,
        AsOf::Checkpoint(name) => {
            let token = read
                .checkpoint(name)?
                .ok_or_else(|| QueryError::BadMoment(format!("there is no checkpoint '{name}'")))?;
            let token = token
                .parse()
                .map_err(|_| QueryError::BadMoment(format!("checkpoint '{name}' holds no frontier")))?;
            pinned(token)?
        }
    };
    if let Some(at) = question.at
        && at > as_of
    {
        return Err(QueryError::BadMoment(format!(
            "at={} is later than as_of={}: what was true then was not known yet",
            instant_text(at),
            instant_text(as_of)
        )));
    }
    let reading = read.reading(&frontier)?;
    Ok(Settled {
        scope: question.scope.clone(),
        moment: Moment { as_of, at: question.at, by_minute: matches!(question.as_of, AsOf::Time(_)) },
        frontier,
        pinned,
        is_now: question.as_of == AsOf::Now,
        reading,
    })
}

/// The frontier of a token, with what decisions had brought in when it was given.
fn unbroken(
    read: &dyn Read,
    mut frontier: Frontier,
    reading: Option<Reading>,
) -> Result<Frontier, QueryError> {
    let Some(reading) = reading else { return Ok(frontier) };
    let other = |why: &str| Err(QueryError::OtherReading(why.to_owned()));
    match read.brought_at(reading.brought)? {
        Some(mark) => frontier.brought = mark,
        None => return other("records were driven again otherwise"),
    }
    if read.reading(&frontier)?.spans != reading.spans {
        return other("mappings differ");
    }
    Ok(frontier)
}
