//! Makes the facts of one event, with their identities.

use waybill_types::TimestampMs;

use super::{Ordinals, Record};
use crate::model::time::When;
use crate::model::{
    Body, Classifier, Condition, ContentId, Fact, FactDraft, LinkAction, Located, Milestone, Relation,
    Subject,
};

/// One event while its facts are told.
#[derive(Debug)]
pub struct Teller {
    event: String,
    source: String,
    told: TimestampMs,
    append_time: bool,
    parties: Vec<String>,
    sampled: bool,
    seeds: bool,
    ordinals: Ordinals,
    facts: Vec<Fact>,
}

impl Teller {
    /// Begins event `event`, which `source` told by `record`; the record's timestamp is the record time.
    pub fn new(record: &Record, event: impl Into<String>, source: impl Into<String>) -> Self {
        Self {
            event: event.into(),
            source: source.into(),
            told: record.timestamp,
            append_time: record.append_time,
            parties: Vec::new(),
            sampled: false,
            seeds: false,
            ordinals: Ordinals::new(),
            facts: Vec::new(),
        }
    }

    /// Only these parties may see its facts.
    #[must_use]
    pub fn for_parties(mut self, parties: &[String]) -> Self {
        self.parties = parties.to_vec();
        self.parties.sort_unstable();
        self.parties.dedup();
        self
    }

    /// A sensor tells this all the time: of each minute the last is enough.
    #[must_use]
    pub const fn sampled(mut self) -> Self {
        self.sampled = true;
        self
    }

    /// Whether a sensor tells what is told from here on.
    pub const fn set_sampled(&mut self, sampled: bool) {
        self.sampled = sampled;
    }

    /// It was so before anyone listened.
    #[must_use]
    pub const fn seeds(mut self, seeds: bool) -> Self {
        self.seeds = seeds;
        self
    }

    /// The record itself says when it was told: neither its timestamp nor the log's append time counts.
    #[must_use]
    pub const fn told_at(mut self, told: TimestampMs) -> Self {
        self.told = told;
        self.append_time = false;
        self
    }

    /// Tells a fact, with a few words of the source.
    pub fn tell_with(
        &mut self,
        subject: &Subject,
        classifier: Classifier,
        happened: Option<When>,
        body: Body,
        note: Option<&str>,
    ) {
        let count = self.ordinals.entry((body.name(), subject.clone())).or_default();
        let ordinal = *count;
        *count = count.saturating_add(1);
        self.facts.push(Fact {
            id: ContentId::of(&self.event, body.name(), subject, ordinal),
            event: self.event.clone(),
            subject: subject.clone(),
            told: self.told,
            source: self.source.clone(),
            draft: FactDraft {
                classifier,
                happened,
                body,
                note: note.map(str::to_owned),
                parties: self.parties.clone(),
                append_time: self.append_time,
                sampled: self.sampled,
                seeds: self.seeds,
            },
        });
    }

    /// Tells a step in the life of a subject.
    pub fn milestone(
        &mut self,
        subject: &Subject,
        milestone: Milestone,
        classifier: Classifier,
        when: When,
        note: Option<&str>,
    ) {
        self.tell_with(subject, classifier, Some(when), Body::Milestone { milestone }, note);
    }

    /// Tells where a subject was.
    pub fn located(&mut self, subject: &Subject, when: When, located: Located) {
        self.tell_with(subject, Classifier::Act, Some(when), Body::Location(located), None);
    }

    /// Tells what holds a subject.
    pub fn link(
        &mut self,
        part: &Subject,
        holder: &Subject,
        relation: Relation,
        action: LinkAction,
        when: Option<When>,
    ) {
        let body = Body::Link { holder: holder.clone(), relation, action };
        self.tell_with(part, Classifier::Act, when, body, None);
    }

    /// Tells names and references; those without a value are left out, and nothing is told when none is left.
    pub fn attributes(&mut self, subject: &Subject, values: Vec<(&str, String)>) {
        let values: Vec<(String, String)> = values
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(label, value)| (label.to_owned(), value))
            .collect();
        if !values.is_empty() {
            self.tell_with(subject, Classifier::Act, None, Body::Attributes { values }, None);
        }
    }

    /// Tells a sensor's reading.
    pub fn condition(&mut self, subject: &Subject, when: When, reading: Condition) {
        self.tell_with(subject, Classifier::Act, Some(when), Body::Condition(reading), None);
    }

    /// The facts told.
    #[must_use]
    pub fn finish(self) -> Vec<Fact> {
        self.facts
    }
}
