//! `docs/configuration.md`, rendered from the flags and tables in code. `WAYBILL_WRITE_DOCS=1 cargo test -p waybill-cli`
//! writes it; without the variable the test fails when the page says something else.

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;
use waybill_control::configs::broker::{alterable, broker_configs};
use waybill_control::configs::topic::TOPIC_CONFIGS;
use waybill_control::configs::{ConfigDef, Treatment};

fn render() -> String {
    let mut page = String::from(
        "# Configuration\n\nRendered from code by the tests of `waybill-cli`; do not edit by hand.\n\nEvery flag can \
         also stand in the TOML file that `--config` names, under its name without the dashes, and in the variable \
         shown. Flags win over variables, variables over the file. Logs go to standard error by `WAYBILL_LOG` (as in \
         `info,waybill_broker=debug`).\n",
    );
    let mut program = crate::Cli::command();
    program.build();
    for name in ["serve", "visibility", "load", "mapping test", "track", "demo", "fsck"] {
        let found = name.split(' ').try_fold(&program, |command, word| command.find_subcommand(word));
        let command = found.expect("a known command");
        let _ = write!(
            page,
            "\n## `waybill {name}`\n\n| flag | variable | default | what it does |\n|---|---|---|---|\n"
        );
        for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
            let Some(long) = argument.get_long().filter(|long| *long != "help") else { continue };
            let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
            let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
            let default = defaults.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" ");
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(
                page,
                "| `--{long}` | {} | {default} | {} |",
                variable.unwrap_or_default(),
                cell(&help)
            );
        }
    }
    page.push_str(
        "\n## Topic settings\n\nWhat `kafka-configs` and `waybill topic configs` show, and what becomes of it.\n\n\
         | key | default | what becomes of it |\n|---|---|---|\n",
    );
    TOPIC_CONFIGS.iter().for_each(|def| row(&mut page, def));
    page.push_str(
        "\n## Kafka's broker settings that are honoured\n\nSet with `--override KEY=VALUE`. Every other key of Kafka \
         4.4 is taken and shown; DescribeConfigs says why nothing depends on it. What is altered at run time (KIP-226, on one broker or on \
         all) wins over what was set at start and outlives restarts; the rest is refused there.\n\n\
         | key | default | what becomes of it |\n|---|---|---|\n",
    );
    let honoured = broker_configs().iter().filter(|def| def.treatment == Treatment::Honoured);
    honoured.for_each(|def| {
        let when =
            if alterable(def.name).is_some() { "honoured, can be altered at run time" } else { "honoured" };
        keyed(&mut page, def, when);
    });
    page
}

fn row(page: &mut String, def: &ConfigDef) {
    let treatment = match def.treatment {
        Treatment::Honoured => "honoured".to_owned(),
        Treatment::Inert(why) => format!("taken and shown: {why}"),
        Treatment::Refused(why) => format!("only the default is taken: {why}"),
    };
    keyed(page, def, &treatment);
}

fn keyed(page: &mut String, def: &ConfigDef, treatment: &str) {
    let default = def.default.filter(|text| !text.is_empty()).map(|text| format!("`{text}`"));
    let _ = writeln!(page, "| `{}` | {} | {} |", def.name, default.unwrap_or_default(), cell(treatment));
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[test]
fn the_configuration_page_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = render();
    if std::env::var_os("WAYBILL_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the page can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/configuration.md is old: run WAYBILL_WRITE_DOCS=1 cargo test -p waybill-cli"
    );
}
