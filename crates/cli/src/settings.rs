//! The configuration file: TOML whose keys are the flags' names, under flags and environment.
//!
//! `--config FILE` (or `WAYBILL_CONFIG`) names it. A key counts only where neither the flag nor its variable is
//! given. Tables become repeated flags: `[override]` with `"log.retention.ms" = 1000` is `--override
//! log.retention.ms=1000`. Because a file's keys become flags, an unknown key is an error, as an unknown flag is.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, bail};
use figment::Figment;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};

/// Adds what the configuration file says to the program's arguments.
///
/// # Errors
/// When the file can not be read, or a value has no form that a flag could take.
pub(crate) fn merge(mut arguments: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    if !takes_file(&arguments) {
        return Ok(arguments);
    }
    let Some(path) = config_path(&arguments) else { return Ok(arguments) };
    let given = given_flags(&arguments);
    let file = read(Path::new(&path))?;
    for (key, value) in file {
        let flag = format!("--{}", key.replace('_', "-"));
        let variable = format!("WAYBILL_{}", key.replace('-', "_").to_uppercase());
        if given.contains(&flag) || std::env::var_os(&variable).is_some() {
            continue;
        }
        arguments.extend(flags(&flag, &value)?.into_iter().map(OsString::from));
    }
    Ok(arguments)
}

fn read(path: &Path) -> anyhow::Result<Dict> {
    if !path.is_file() {
        bail!("there is no configuration file {}; mend --config", path.display());
    }
    let file: Dict = Figment::from(Toml::file_exact(path))
        .extract()
        .with_context(|| format!("reading the configuration file {}", path.display()))?;
    Ok(file)
}

/// The flags that a key of the file stands for.
fn flags(flag: &str, value: &Value) -> anyhow::Result<Vec<String>> {
    Ok(match value {
        Value::Bool(_, true) => vec![flag.to_owned()],
        Value::Bool(_, false) => Vec::new(),
        Value::Array(_, items) => {
            let mut all = Vec::new();
            for item in items {
                all.push(format!("{flag}={}", text(flag, item)?));
            }
            all
        }
        Value::Dict(_, table) => {
            let mut all = Vec::new();
            for (key, item) in flatten("", table) {
                all.push(format!("{flag}={key}={}", text(flag, item)?));
            }
            all
        }
        single => vec![format!("{flag}={}", text(flag, single)?)],
    })
}

/// TOML reads `a.b = 1` as a table in a table; as a setting's name it is one.
fn flatten<'a>(prefix: &str, table: &'a Dict) -> Vec<(String, &'a Value)> {
    let mut all = Vec::new();
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Dict(_, inner) => all.extend(flatten(&name, inner)),
            other => all.push((name, other)),
        }
    }
    all
}

fn text(flag: &str, value: &Value) -> anyhow::Result<String> {
    Ok(match value {
        Value::String(_, text) => text.clone(),
        Value::Char(_, one) => one.to_string(),
        Value::Bool(_, yes) => yes.to_string(),
        Value::Num(_, number) => match (number.to_i128(), number.to_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(fraction)) => fraction.to_string(),
            (None, None) => bail!("{flag} in the configuration file is not a number that fits"),
        },
        _ => bail!("{flag} in the configuration file takes a text, a number or a list of these"),
    })
}

/// Whether the command is one that a file configures; others share none of its keys.
fn takes_file(arguments: &[OsString]) -> bool {
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        match argument.to_str() {
            Some("--output") => drop(rest.next()),
            Some(flag) if flag.starts_with('-') => {}
            command => return matches!(command, Some("serve" | "visibility")),
        }
    }
    false
}

fn config_path(arguments: &[OsString]) -> Option<OsString> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            return rest.next().cloned();
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    std::env::var_os("WAYBILL_CONFIG")
}

fn given_flags(arguments: &[OsString]) -> Vec<String> {
    let flags = arguments.iter().filter_map(|argument| argument.to_str());
    let flags = flags.filter(|text| text.starts_with("--"));
    flags.map(|text| text.split('=').next().unwrap_or(text).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(file: &str, flags: &[&str]) -> anyhow::Result<Vec<String>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("waybill.toml");
        std::fs::write(&path, file)?;
        let mut arguments: Vec<OsString> =
            vec!["waybill".into(), "serve".into(), "--config".into(), path.into()];
        arguments.extend(flags.iter().map(OsString::from));
        let merged = merge(arguments)?;
        Ok(merged.into_iter().skip(4).map(|argument| argument.into_string().unwrap()).collect())
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = "node-id = 7\nhttp = \"127.0.0.1:0\"\nlisten = [\"A=127.0.0.1:1\", \"B=127.0.0.1:2\"]\n";
        let all = merged(file, &["--http=127.0.0.1:9"]).unwrap();
        assert_eq!(
            all,
            ["--http=127.0.0.1:9", "--listen=A=127.0.0.1:1", "--listen=B=127.0.0.1:2", "--node-id=7"]
        );
    }

    #[test]
    fn kafka_settings_are_a_table_with_dotted_or_quoted_names() {
        let file = "[override]\nlog.retention.ms = 1000\n\"num.partitions\" = 3\nauto.create.topics.enable = false\n";
        let mut all = merged(file, &[]).unwrap();
        all.sort();
        assert_eq!(
            all,
            [
                "--override=auto.create.topics.enable=false",
                "--override=log.retention.ms=1000",
                "--override=num.partitions=3",
            ]
        );
    }

    #[test]
    fn commands_without_a_file_are_left_alone() {
        let plain = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for line in
            ["waybill topic create serve --config=/does/not/exist", "waybill --output json group list"]
        {
            assert_eq!(merge(plain(line)).unwrap(), plain(line));
        }
        assert!(merge(plain("waybill --output json serve --config=/does/not/exist")).is_err());
    }

    #[test]
    fn a_missing_or_broken_file_says_so() {
        let missing = merge(vec!["waybill".into(), "serve".into(), "--config=/does/not/exist.toml".into()])
            .unwrap_err();
        assert!(missing.to_string().contains("/does/not/exist.toml"), "{missing}");
        assert!(merged("node-id = ", &[]).is_err());
    }
}
