//! What the operating system knows: CPU time and memory of a process, and how busy the machine is.

use std::fs;

use anyhow::{Context, Result};

use crate::run;

/// The kernel counts CPU time in hundredths of a second for user space.
const TICKS: f64 = 100.0;

/// User and system time of a process since it started, in seconds.
///
/// # Errors
/// When the process is gone.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the broker's account")?;
    let fields = stat.rsplit_once(')').context("the broker's account")?.1;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

/// A line of a process's memory account (`VmHWM`, the peak, or `VmRSS`) in MiB.
///
/// # Errors
/// When the process is gone.
pub(crate) fn memory_mib(pid: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the broker's memory")?;
    let line = status.lines().find(|line| line.starts_with(name)).context("no such line of memory")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse().context("a number")?;
    Ok(kib / 1024.0)
}

/// CPU time that all processes have had, in seconds of one core, waiting for disks left out.
///
/// # Errors
/// When `/proc/stat` can not be read.
pub(crate) fn busy_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let fields: Vec<f64> =
        stat.lines().next().context("/proc/stat")?.split_whitespace().flat_map(str::parse).collect();
    let total: f64 = fields.iter().take(8).sum();
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    Ok((total - idle) / TICKS)
}

/// One line about the machine and the versions of what runs on it.
///
/// # Errors
/// When `/proc` can not be read.
pub(crate) fn machine() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown processor");
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let kib: f64 = memory.split_whitespace().nth(1).context("a number")?.parse().context("a number")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's version")?;
    let java = run::version("java", &["-version"]).unwrap_or_default();
    Ok(format!(
        "{model}, {cores} cores, {:.0} GiB, Linux {}, {java}",
        kib / f64::from(1 << 20),
        kernel.trim()
    ))
}
