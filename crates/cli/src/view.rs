//! `waybill view`: views built from the log beside the one that answers, compared, promoted, taken back; and checkpoints.
//! Speaks to the visibility service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::output::{Format, json as print_json, line};
use crate::service::{Service, ServiceUrl, number, text};
use crate::track::escape;

/// How often progress is asked for.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Differing answers that are printed; `--output json` prints all that the report holds.
const SHOWN: usize = 20;

/// What `waybill view` takes.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    #[command(flatten)]
    service: ServiceUrl,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists views and what was decided about them.
    List,
    /// Builds a view from the log, beside the one that answers, and compares the two.
    Rebuild(RebuildArgs),
    /// Runs other mappings beside those that answer, without an end.
    Shadow(RebuildArgs),
    /// Says what differs between a view and the one that answers, and why.
    Compare(CompareArgs),
    /// Lets a view answer in place of the one that does, which is kept to go back to.
    Promote(PromoteArgs),
    /// Decides that a view will not answer.
    Reject(DecideArgs),
    /// Lets the view answer again that did before.
    Rollback(DecideArgs),
    /// Sets how fast a view is built.
    Throttle(ThrottleArgs),
    /// Keeps where the view stands under a name for ever, or lists what was kept.
    Checkpoint {
        /// The name. Without it checkpoints are listed.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// What `waybill view rebuild` takes.
#[derive(Debug, Args)]
struct RebuildArgs {
    /// start, an offset of every partition, TOPIC/PARTITION:OFFSET (comma-separated), a time, checkpoint:NAME, or
    /// mapping:NAME@VERSION for where that mapping began to read. What lies below is kept as it was read.
    #[arg(long, value_name = "PLACE", default_value = "start")]
    from: String,

    /// A topic and the mapping that reads it in this view. Repeatable.
    #[arg(long = "topic", value_name = "NAME=MAPPING")]
    topics: Vec<String>,

    /// A mapping file that goes with the view; the service need not be started again. Repeatable.
    #[arg(long = "mapping", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Records a second at most; without it the view is built half of the time, so that readers come first.
    #[arg(long, value_name = "N")]
    rate: Option<u32>,

    /// Goes on where the log does not hold any more what the view would need.
    #[arg(long)]
    without_gone: bool,

    /// Returns at once; the view is built all the same.
    #[arg(long)]
    no_wait: bool,

    /// Why, for whoever reads what was decided.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

/// What `waybill view compare` takes.
#[derive(Debug, Args)]
struct CompareArgs {
    /// The view; the one that is being built when left out.
    #[arg(value_name = "VIEW")]
    view: Option<u64>,

    /// Compares now, though it was compared before.
    #[arg(long)]
    now: bool,
}

/// What `waybill view promote` takes.
#[derive(Debug, Args)]
struct PromoteArgs {
    /// The view; the one that is being built when left out.
    #[arg(value_name = "VIEW")]
    view: Option<u64>,

    /// Also where not everything holds that should.
    #[arg(long)]
    force: bool,

    /// Why, for whoever reads what was decided.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

/// What decisions about a view take.
#[derive(Debug, Args)]
struct DecideArgs {
    /// The view; the one that it can only be when left out.
    #[arg(value_name = "VIEW")]
    view: Option<u64>,

    /// Why, for whoever reads what was decided.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

/// What `waybill view throttle` takes.
#[derive(Debug, Args)]
struct ThrottleArgs {
    /// The view; the one that is being built when left out.
    #[arg(value_name = "VIEW")]
    view: Option<u64>,

    /// Records a second at most; 0 is half of the time.
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate: u32,
}

/// Runs a command about views.
///
/// # Errors
/// When the service does not answer, or refuses.
pub(crate) fn run(args: &ViewArgs, format: Format) -> anyhow::Result<()> {
    let service = Service::at(&args.service.url);
    match &args.command {
        Command::List => list(&service, format),
        Command::Rebuild(args) => rebuild(&service, args, false, format),
        Command::Shadow(args) => rebuild(&service, args, true, format),
        Command::Compare(args) => {
            let view = pick(&service, args.view, "building")?;
            let path = format!("/v1/views/{view}/compare");
            let report = if args.now { service.post(&path, &[], b"")? } else { service.get(&path, &[])? };
            tell(&report, format)
        }
        Command::Promote(args) => {
            let view = pick(&service, args.view, "building")?;
            let force = if args.force { "true" } else { "false" };
            decide(&service, view, "promote", &[("note", &args.note), ("force", force)], format)
        }
        Command::Reject(args) => {
            let view = pick(&service, args.view, "building")?;
            decide(&service, view, "reject", &[("note", &args.note)], format)
        }
        Command::Rollback(args) => {
            let view = pick(&service, args.view, "kept")?;
            decide(&service, view, "rollback", &[("note", &args.note)], format)
        }
        Command::Throttle(args) => {
            let view = pick(&service, args.view, "building")?;
            decide(&service, view, "throttle", &[("rate", &args.rate.to_string())], format)
        }
        Command::Checkpoint { name } => checkpoint(&service, name.as_deref(), format),
    }
}

/// The view that was named, else the newest one of that state.
fn pick(service: &Service<'_>, named: Option<u64>, state: &str) -> anyhow::Result<u64> {
    if let Some(named) = named {
        return Ok(named);
    }
    let views = service.get("/v1/views", &[])?;
    let of_state = |view: &&Value| text(view, "state") == state;
    let found = views.get("views").and_then(Value::as_array).and_then(|views| views.iter().find(of_state));
    let number = found.and_then(|view| view.get("number")).and_then(Value::as_u64);
    number.with_context(|| format!("no view is {state}; waybill view list says what there is"))
}

fn list(service: &Service<'_>, format: Format) -> anyhow::Result<()> {
    let body = service.get("/v1/views", &[])?;
    if matches!(format, Format::Json) {
        return print_json(&body);
    }
    for view in body.get("views").and_then(Value::as_array).into_iter().flatten() {
        line(view_line(view))?;
    }
    for each in body.get("decisions").and_then(Value::as_array).into_iter().flatten() {
        let (at, who, what) = (text(each, "at"), text(each, "who"), text(each, "what"));
        line(format_args!("{at} {who}: {what} view {}; {}", number(each, "view"), text(each, "note")))?;
    }
    Ok(())
}

fn view_line(view: &Value) -> String {
    let state = text(view, "state");
    let mut words = format!("view {}  {state}  from {}", number(view, "number"), text(view, "from"));
    let mappings = view.get("mappings").and_then(Value::as_array).into_iter().flatten();
    for mapping in mappings.filter_map(Value::as_str) {
        words.push_str(&format!("  {mapping}"));
    }
    if view.get("shadow") == Some(&Value::Bool(true)) {
        words.push_str("  shadow");
    }
    if state == "building" {
        words.push_str(&format!(
            "  {}, {} behind, {} a second",
            text(view, "stage"),
            number(view, "behind"),
            number(view, "rate")
        ));
    }
    words
}

fn rebuild(service: &Service<'_>, args: &RebuildArgs, shadow: bool, format: Format) -> anyhow::Result<()> {
    let mut mappings = BTreeMap::new();
    for topic in &args.topics {
        let (name, mapping) = topic
            .split_once('=')
            .with_context(|| format!("--topic {topic}: expected NAME=MAPPING, as in scans=epcis@1"))?;
        mappings.insert(name, mapping);
    }
    let files = args
        .files
        .iter()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display())));
    let files: Vec<String> = files.collect::<anyhow::Result<_>>()?;
    let body = json!({
        "from": args.from, "mappings": mappings, "files": files, "shadow": shadow, "rate": args.rate,
        "without_gone": args.without_gone, "note": args.note,
    });
    let view = service.post("/v1/rebuild", &[], body.to_string().as_bytes())?;
    let view_number = view.get("number").and_then(Value::as_u64).context("the service named no view")?;
    if args.no_wait {
        return match format {
            Format::Json => print_json(&view),
            Format::Text => line(view_line(&view)),
        };
    }
    let report = wait(service, view_number)?;
    tell(&report, format)?;
    if matches!(format, Format::Text) {
        line(format_args!(
            "waybill view promote {view_number} lets it answer; waybill view reject {view_number} gives it up"
        ))?;
    }
    Ok(())
}

/// Waits until a view has caught up and was compared, and shows how far it is.
fn wait(service: &Service<'_>, view: u64) -> anyhow::Result<Value> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("view {prefix}  {bar:30}  {pos}/{len} offsets  {msg}") {
        bar.set_style(style);
    }
    bar.set_prefix(view.to_string());
    loop {
        let body = service.get(&format!("/v1/views/{view}"), &[])?;
        let state = text(&body, "state");
        if state != "building" {
            bail!("view {view} is {state}: {}", text(&body, "changed_note"));
        }
        let get = |name: &str| body.get(name).and_then(Value::as_u64).unwrap_or(0);
        bar.set_length(get("next") + get("behind"));
        bar.set_position(get("next"));
        let left = body.get("seconds_left").and_then(Value::as_u64);
        let left = left.map(|left| format!(", {left} s left")).unwrap_or_default();
        bar.set_message(format!("{} a second{left}", get("rate")));
        if text(&body, "stage") == "caught_up"
            && let Ok(report) = service.get(&format!("/v1/views/{view}/compare"), &[])
        {
            bar.finish_and_clear();
            return Ok(report);
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// Says what a comparison found.
fn tell(report: &Value, format: Format) -> anyhow::Result<()> {
    if matches!(format, Format::Json) {
        return print_json(report);
    }
    let rows = |name: &str| report.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    line(format_args!("compared at {}, {} offsets", text(report, "at"), number(report, "records")))?;
    for side in ["blue", "green"] {
        let of = report.get(side).cloned().unwrap_or_default();
        line(format_args!("{side:<6} view {}  log hash {}", number(&of, "view"), text(&of, "log_hash")))?;
    }
    for row in rows("counts") {
        line(format_args!(
            "{:<12} {:>10} {:>10}",
            text(&row, "what"),
            number(&row, "blue"),
            number(&row, "green")
        ))?;
    }
    for row in rows("by_reason") {
        line(format_args!("{:>10} records differ: {}", number(&row, "count"), text(&row, "name")))?;
    }
    if let Some(first) = report.get("first").filter(|first| !first.is_null()) {
        line(format_args!(
            "first: {}/{}@{} told {}, of {}: {}",
            text(first, "topic"),
            number(first, "partition"),
            number(first, "offset"),
            text(first, "record_time"),
            text(first, "subject"),
            text(first, "reason")
        ))?;
    }
    let answers = rows("answers");
    for row in answers.iter().take(SHOWN) {
        line(format_args!(
            "{} {}: {} was {}, is {}",
            text(row, "kind"),
            text(row, "id"),
            text(row, "field"),
            text(row, "blue"),
            text(row, "green")
        ))?;
    }
    line(format_args!(
        "{} answers differ, {} records without a reason",
        number(report, "answers_differ"),
        number(report, "unexplained")
    ))
}

fn decide(
    service: &Service<'_>,
    view: u64,
    what: &str,
    query: &[(&str, &str)],
    format: Format,
) -> anyhow::Result<()> {
    let body = service.post(&format!("/v1/views/{view}/{what}"), query, b"")?;
    match format {
        Format::Json => print_json(&body),
        Format::Text => line(view_line(&body)),
    }
}

fn checkpoint(service: &Service<'_>, name: Option<&str>, format: Format) -> anyhow::Result<()> {
    let body = match name {
        Some(name) => service.put(&format!("/v1/checkpoints/{}", escape(name)))?,
        None => service.get("/v1/checkpoints", &[])?,
    };
    if matches!(format, Format::Json) {
        return print_json(&body);
    }
    let rows = body.as_array().cloned().unwrap_or_else(|| vec![body]);
    for row in &rows {
        let mappings = row.get("mappings").and_then(Value::as_array).into_iter().flatten();
        let mappings: Vec<&str> = mappings.filter_map(Value::as_str).collect();
        line(format_args!(
            "checkpoint:{}  {}  {}  log hash {}",
            text(row, "name"),
            text(row, "at"),
            mappings.join(", "),
            text(row, "log_hash")
        ))?;
    }
    Ok(())
}
