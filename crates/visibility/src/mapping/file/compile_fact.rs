//! One `[[fact]]` of a mapping file. Names are those of EPCIS (what, event_time, place, biz_step, disposition, action)
//! and DCSA (PLN, EST, ACT).

use super::compile::Compiler;
use super::reader::{Item, Keys};
use super::rule::{Rule, Says};
use super::template::Template;
use crate::model::{Classifier, Kind, LinkAction, Milestone, Relation};

/// What facts take from the file's head.
pub(super) struct Defaults {
    pub(super) event_time: Option<Template>,
}

/// What a fact may say, one of them.
const SAYS: [&str; 7] = ["milestone", "place", "parent", "sensor", "biz_step", "attributes", "withdraws"];

pub(super) fn fact(compiler: &mut Compiler<'_>, mut keys: Keys<'_, '_>, defaults: &Defaults) -> Option<Rule> {
    let (at, field) = (keys.at.clone(), keys.field.clone());
    let said: Vec<(&str, Item<'_, '_>)> =
        SAYS.into_iter().filter_map(|name| keys.get(name).map(|item| (name, item))).collect();
    let says = match said.as_slice() {
        [(name, item)] => says(compiler, &mut keys, name, item),
        other => {
            let names: Vec<&str> = other.iter().map(|(name, _)| *name).collect();
            let what = if names.is_empty() {
                "says nothing".to_owned()
            } else {
                format!("says {}", names.join(" and "))
            };
            compiler.reader.fault(
                at.clone(),
                field.clone(),
                what,
                format!("write one of {}", SAYS.join(", ")),
            );
            None
        }
    };
    let what = what(compiler, &mut keys, matches!(says, Some(Says::Withdraws(_))));
    let classifier = classifier(compiler, &mut keys);
    let event_time = match keys.get("event_time") {
        Some(item) => compiler.template(&item, "when it happened, as in \"{shipped_at}\""),
        None => defaults
            .event_time
            .clone()
            .filter(|_| !matches!(says, Some(Says::Attributes(_) | Says::Withdraws(_)))),
    };
    let needs_time = matches!(
        says,
        Some(Says::Milestone(_) | Says::Place { .. } | Says::Sensor { .. } | Says::Step { .. })
    );
    if event_time.is_none() && needs_time {
        compiler.reader.fault(
            at.clone(),
            format!("{field}.event_time"),
            "is missing",
            "write when it happened, here or once at the head of the file, as in event_time = \"{shipped_at}\"",
        );
    }
    let is_sampled = keys.get("sampled").and_then(|item| item.flag(&mut compiler.reader)).unwrap_or(false);
    let note = keys.get("note").and_then(|item| compiler.template(&item, "a few words, as in \"{reason?}\""));
    let each = keys.get("each").and_then(|item| {
        item.text(&mut compiler.reader, "the path of a list, as in \"lines\"").map(str::to_owned)
    });
    let only = compiler.guards(keys.get("only").as_ref());
    let rule = Rule {
        name: String::new(),
        each,
        only,
        what: what?,
        classifier,
        event_time,
        note,
        is_sampled,
        says: says?,
    };
    keys.finish(&mut compiler.reader);
    check_elements(compiler, &rule, at, &field);
    let name = said.first().map_or("", |(name, _)| *name);
    Some(Rule { name: format!("{field} ({name} of {})", rule.what.0.name()), ..rule })
}

/// `{.field}` needs `each`.
fn check_elements(compiler: &mut Compiler<'_>, rule: &Rule, at: std::ops::Range<usize>, field: &str) {
    let mut templates = vec![&rule.what.1];
    templates.extend(rule.event_time.iter().chain(&rule.note));
    match &rule.says {
        Says::Milestone(_) => {}
        Says::Place { id, name, country } => {
            templates.push(id);
            templates.extend(name.iter().chain(country));
        }
        Says::Parent { id, .. } => templates.push(id),
        Says::Sensor { measure, value, unit, low, high } => {
            templates.extend([measure, value, unit]);
            templates.extend(low.iter().chain(high));
        }
        Says::Step { step, disposition } => {
            templates.push(step);
            templates.extend(disposition);
        }
        Says::Attributes(values) => templates.extend(values.iter().map(|(_, template)| template)),
        Says::Withdraws(event) => templates.push(event),
    }
    if rule.each.is_none() && templates.into_iter().any(Template::is_of_element) {
        compiler.reader.fault(
            at,
            field,
            "refers to an element ({.field} or {@index}) without a list",
            "add each = \"PATH\", or leave the dot out",
        );
    }
}

/// A table with one key, a kind, and the id as its value.
fn named(compiler: &mut Compiler<'_>, item: &Item<'_, '_>) -> Option<(Kind, Template)> {
    let kinds: Vec<&str> =
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Event).map(Kind::name).collect();
    let wanted =
        format!("a kind and its id, as in {{ order = \"{{OrderID}}\" }}; kinds are {}", kinds.join(", "));
    let keys = item.table(&mut compiler.reader, &wanted)?;
    let all = keys.all();
    let [entry] = all.as_slice() else {
        item.fault(&mut compiler.reader, format!("names {} things", all.len()), format!("write {wanted}"));
        return None;
    };
    let name = keys.key(entry);
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name && *kind != Kind::Event);
    let Some(kind) = kind else {
        entry.fault(
            &mut compiler.reader,
            format!("'{name}' is no kind of thing"),
            format!("kinds are {}", kinds.join(", ")),
        );
        return None;
    };
    compiler.template(entry, "its id, as in \"{OrderID}\"").map(|id| (kind, id))
}

fn what(
    compiler: &mut Compiler<'_>,
    keys: &mut Keys<'_, '_>,
    is_withdrawal: bool,
) -> Option<(Kind, Template)> {
    if is_withdrawal {
        if let Some(item) = keys.get("what") {
            item.fault(&mut compiler.reader, "is not needed: a withdrawal is about an event", "leave it out");
        }
        return Some((Kind::Event, Template::plain("")));
    }
    let remedy = "say what the fact is about, as in what = { order = \"{OrderID}\" }";
    let item = keys.need(&mut compiler.reader, "what", remedy)?;
    named(compiler, &item)
}

/// A word from a list, with what to write else.
fn word<T: Copy>(compiler: &mut Compiler<'_>, item: &Item<'_, '_>, words: &[(&str, T)]) -> Option<T> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let wanted = format!("one of {}", names.join(", "));
    let text = item.text(&mut compiler.reader, &wanted)?;
    let found = words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if found.is_none() {
        item.fault(&mut compiler.reader, format!("'{text}' is not known here"), format!("write {wanted}"));
    }
    found
}

fn classifier(compiler: &mut Compiler<'_>, keys: &mut Keys<'_, '_>) -> Classifier {
    let words = [("PLN", Classifier::Pln), ("EST", Classifier::Est), ("ACT", Classifier::Act)];
    keys.get("classifier").and_then(|item| word(compiler, &item, &words)).unwrap_or(Classifier::Act)
}

fn says(
    compiler: &mut Compiler<'_>,
    keys: &mut Keys<'_, '_>,
    name: &str,
    item: &Item<'_, '_>,
) -> Option<Says> {
    match name {
        "milestone" => {
            let words = [
                ("order", Milestone::Order),
                ("depart", Milestone::Depart),
                ("arrive", Milestone::Arrive),
                ("deliver", Milestone::Deliver),
                ("cancel", Milestone::Cancel),
            ];
            word(compiler, item, &words).map(Says::Milestone)
        }
        "place" => place(compiler, item),
        "parent" => parent(compiler, keys, item),
        "sensor" => sensor(compiler, item),
        "biz_step" => {
            let step = compiler.template(item, "a step, as in \"receiving\"");
            let disposition = keys
                .get("disposition")
                .and_then(|item| compiler.template(&item, "a disposition, as in \"in_transit\""));
            Some(Says::Step { step: step?, disposition })
        }
        "attributes" => {
            let table =
                item.table(&mut compiler.reader, "labels and values, as in { customer = \"{CustomerID}\" }")?;
            let mut values = Vec::new();
            for entry in table.all() {
                let label = table.key(&entry).to_owned();
                values.push((label, compiler.template(&entry, "a value, as in \"{CustomerID}\"")?));
            }
            if values.is_empty() {
                item.fault(
                    &mut compiler.reader,
                    "holds no label",
                    "write labels and values, as in { customer = \"{CustomerID}\" }",
                );
                return None;
            }
            Some(Says::Attributes(values))
        }
        _ => compiler.template(item, "the event_id of the event taken back").map(Says::Withdraws),
    }
}

fn place(compiler: &mut Compiler<'_>, item: &Item<'_, '_>) -> Option<Says> {
    let mut keys =
        item.table(&mut compiler.reader, "a place, as in { id = \"{site}\", name = \"{site_name?}\" }")?;
    let id = keys
        .need(
            &mut compiler.reader,
            "id",
            "write the place's id: a GLN, UN/LOCODE, geo: URI or the feed's own",
        )
        .and_then(|item| compiler.template(&item, "the place's id"));
    let name = keys.get("name").and_then(|item| compiler.template(&item, "the place's name"));
    let country = keys.get("country").and_then(|item| compiler.template(&item, "the place's country"));
    keys.finish(&mut compiler.reader);
    Some(Says::Place { id: id?, name, country })
}

fn parent(compiler: &mut Compiler<'_>, keys: &mut Keys<'_, '_>, item: &Item<'_, '_>) -> Option<Says> {
    let holder = named(compiler, item);
    let relations = [("part_of", Relation::PartOf), ("in", Relation::In), ("named", Relation::Named)];
    let relation = match keys.get("relation") {
        Some(item) => word(compiler, &item, &relations),
        // A line in an order is part of it; all else lies in what holds it.
        None => holder.as_ref().map(|(kind, _)| match kind {
            Kind::Order => Relation::PartOf,
            Kind::Document => Relation::Named,
            _ => Relation::In,
        }),
    };
    let actions = [("ADD", LinkAction::Add), ("OBSERVE", LinkAction::Seen), ("DELETE", LinkAction::Remove)];
    let action = match keys.get("action") {
        Some(item) => word(compiler, &item, &actions),
        None => Some(LinkAction::Add),
    };
    let (kind, id) = holder?;
    Some(Says::Parent { kind, id, relation: relation?, action: action? })
}

fn sensor(compiler: &mut Compiler<'_>, item: &Item<'_, '_>) -> Option<Says> {
    let wanted =
        "a reading, as in { measure = \"temperature\", value = \"{temp}\", uom = \"°C\", low = 2, high = 8 }";
    let mut keys = item.table(&mut compiler.reader, wanted)?;
    let mut need = |compiler: &mut Compiler<'_>, key: &'static str, remedy: &str| {
        let item = keys.need(&mut compiler.reader, key, remedy)?;
        compiler.template(&item, remedy)
    };
    let measure = need(compiler, "measure", "say what was measured, as in \"temperature\"");
    let value = need(compiler, "value", "say where the value stands, as in \"{temp}\"");
    let unit = need(compiler, "uom", "say in which unit, as in \"°C\"");
    let low = keys.get("low").and_then(|item| compiler.template(&item, "the lowest value agreed"));
    let high = keys.get("high").and_then(|item| compiler.template(&item, "the highest value agreed"));
    keys.finish(&mut compiler.reader);
    Some(Says::Sensor { measure: measure?, value: value?, unit: unit?, low, high })
}
