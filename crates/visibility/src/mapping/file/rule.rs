//! The rules of a mapping file at work: a row in, facts out.

use serde_json::Value;

use super::input::{Input, find};
use super::template::Template;
use super::times::TimeRule;
use crate::mapping::{Refusal, Teller};
use crate::model::time::When;
use crate::model::{Body, Classifier, Condition, Kind, LinkAction, Located, Milestone, Relation, Subject};

/// A condition on a field: it has one of these texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) path: String,
    pub(super) texts: Vec<String>,
}

impl Guard {
    pub(super) fn holds(&self, input: &Input<'_>) -> bool {
        let found = match self.path.strip_prefix('.') {
            Some(path) => input.element_field(path),
            None => input.field(&self.path),
        };
        let text = match found {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            _ => return false,
        };
        self.texts.contains(&text)
    }
}

/// One `[[fact]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// In words, for refusals: `fact[2] (milestone of order)`.
    pub(super) name: String,
    pub(super) each: Option<String>,
    pub(super) only: Vec<Guard>,
    pub(super) what: (Kind, Template),
    pub(super) classifier: Classifier,
    pub(super) event_time: Option<Template>,
    pub(super) note: Option<Template>,
    pub(super) is_sampled: bool,
    pub(super) says: Says,
}

/// What a fact says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    Milestone(Milestone),
    Place {
        id: Template,
        name: Option<Template>,
        country: Option<Template>,
    },
    Parent {
        kind: Kind,
        id: Template,
        relation: Relation,
        action: LinkAction,
    },
    Sensor {
        measure: Template,
        value: Template,
        unit: Template,
        low: Option<Template>,
        high: Option<Template>,
    },
    Step {
        step: Template,
        disposition: Option<Template>,
    },
    Attributes(Vec<(String, Template)>),
    Withdraws(Template),
}

/// Whether anything of a rule fitted a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fit {
    /// Its conditions held.
    pub(super) fitted: bool,
    /// It told a fact.
    pub(super) told: bool,
}

impl Rule {
    /// Tells what the rule finds in a row, under event ids that begin with `source`.
    pub(super) fn tell(
        &self,
        teller: &mut Teller,
        input: &Input<'_>,
        times: &TimeRule,
        source: &str,
    ) -> Result<Fit, Refusal> {
        let mut fit = Fit::default();
        let Some(path) = &self.each else {
            self.tell_one(teller, input, times, source, &mut fit)?;
            return Ok(fit);
        };
        let elements = match find(input.row, path) {
            None | Some(Value::Null) => return Ok(fit),
            Some(Value::Array(elements)) => elements,
            Some(_) => return Err(Refusal::new("invalid", format!("{}: {path} is not a list", self.name))),
        };
        for (at, element) in elements.iter().enumerate() {
            let input = Input { element: Some((element, at + 1)), ..*input };
            self.tell_one(teller, &input, times, source, &mut fit)
                .map_err(|refusal| Refusal::new(refusal.code, format!("{path}[{at}]: {}", refusal.detail)))?;
        }
        Ok(fit)
    }

    fn tell_one(
        &self,
        teller: &mut Teller,
        input: &Input<'_>,
        times: &TimeRule,
        source: &str,
        fit: &mut Fit,
    ) -> Result<(), Refusal> {
        if !self.only.iter().all(|guard| guard.holds(input)) {
            return Ok(());
        }
        fit.fitted = true;
        let said = self.say(input, times, source);
        let said =
            said.map_err(|refusal| Refusal::new(refusal.code, format!("{}: {}", self.name, refusal.detail)))?;
        if let Some(Said { subject, happened, body, note }) = said {
            teller.set_sampled(self.is_sampled);
            teller.tell_with(&subject, self.classifier, happened, body, note.as_deref());
            fit.told = true;
        }
        Ok(())
    }

    /// `None` where something that may be missing is.
    fn say(&self, input: &Input<'_>, times: &TimeRule, source: &str) -> Result<Option<Said>, Refusal> {
        let Some(body) = self.body(input, source)? else { return Ok(None) };
        let subject = match &body {
            Body::Correction { withdraws, .. } => Subject::new(Kind::Event, withdraws.clone()),
            _ => match named(&self.what.1, self.what.0, input)? {
                Some(subject) => subject,
                None => return Ok(None),
            },
        };
        let happened = match &self.event_time {
            None => None,
            Some(template) => match template.text(input)? {
                None => return Ok(None),
                Some(text) => Some(when(times, &text, "event_time")?),
            },
        };
        let note = optional(self.note.as_ref(), input)?;
        Ok(Some(Said { subject, happened, body, note }))
    }

    fn body(&self, input: &Input<'_>, source: &str) -> Result<Option<Body>, Refusal> {
        Ok(match &self.says {
            Says::Milestone(milestone) => Some(Body::Milestone { milestone: *milestone }),
            Says::Place { id, name, country } => match id.text(input)? {
                None => None,
                Some(place) => {
                    let (name, country) =
                        (optional(name.as_ref(), input)?, optional(country.as_ref(), input)?);
                    Some(Body::Location(Located { place, name, country }))
                }
            },
            Says::Parent { kind, id, relation, action } => named(id, *kind, input)?
                .map(|holder| Body::Link { holder, relation: *relation, action: *action }),
            Says::Sensor { measure, value, unit, low, high } => {
                let Some(value) = number(Some(value), input)? else { return Ok(None) };
                let (Some(measure), Some(unit)) = (measure.text(input)?, unit.text(input)?) else {
                    return Ok(None);
                };
                let (low, high) = (number(low.as_ref(), input)?, number(high.as_ref(), input)?);
                Some(Body::Condition(Condition { measure, value, unit, low, high }))
            }
            Says::Step { step, disposition } => match step.text(input)? {
                None => None,
                Some(step) => Some(Body::Step { step, disposition: optional(disposition.as_ref(), input)? }),
            },
            Says::Attributes(templates) => {
                let mut values = Vec::new();
                for (label, template) in templates {
                    if let Some(value) = template.text(input)? {
                        values.push((label.clone(), value));
                    }
                }
                (!values.is_empty()).then_some(Body::Attributes { values })
            }
            Says::Withdraws(template) => template
                .text(input)?
                .map(|event| Body::Correction { withdraws: format!("{source}:{event}"), bound: None }),
        })
    }
}

struct Said {
    subject: Subject,
    happened: Option<When>,
    body: Body,
    note: Option<String>,
}

fn optional(template: Option<&Template>, input: &Input<'_>) -> Result<Option<String>, Refusal> {
    template.map_or(Ok(None), |template| template.text(input))
}

fn named(template: &Template, kind: Kind, input: &Input<'_>) -> Result<Option<Subject>, Refusal> {
    match template.text(input)? {
        None => Ok(None),
        Some(id) if id.trim().is_empty() => {
            Err(Refusal::new("invalid", format!("the {} has no id", kind.name())))
        }
        Some(id) => Ok(Some(Subject::new(kind, id))),
    }
}

fn number(template: Option<&Template>, input: &Input<'_>) -> Result<Option<f64>, Refusal> {
    let Some(text) = optional(template, input)? else { return Ok(None) };
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(Refusal::new("invalid", format!("'{text}' is not a number"))),
    }
}

/// A time of the feed.
pub(super) fn when(times: &TimeRule, text: &str, field: &str) -> Result<When, Refusal> {
    times.when(text).ok_or_else(|| {
        Refusal::new("invalid", format!("{field} '{text}' is a time in none of the forms of [time]"))
    })
}
