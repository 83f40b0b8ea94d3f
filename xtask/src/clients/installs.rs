//! What the client programs need, from each language's own registry client, at the versions of the lock files.
//!
//! Everything lands in the cache of this user under a name with the hash of its lock file, so that a changed lock
//! installs anew and an unchanged one costs nothing. What is built from the sources here lands in the target folder.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::programs::LOG4J;
use crate::paths;
use crate::run::{self, Ended};
use crate::test::ledger::Counts;

/// Written last into a finished installation.
const COMPLETE: &str = ".complete";

/// Where each language's programs and packages are; `None` where its runtime is not on this machine.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    /// The Python interpreter of the virtual environment.
    pub(crate) python: Option<PathBuf>,
    /// Folder with the Node programs beside their `node_modules`.
    pub(crate) node: Option<PathBuf>,
    /// Folder with the built Go programs.
    pub(crate) go: Option<PathBuf>,
    /// Jars and classes.
    pub(crate) java: Option<Java>,
    /// Runtimes that are not here, each with the reason.
    pub(crate) missing: Vec<String>,
}

/// What the Java programs run with.
#[derive(Debug)]
pub(crate) struct Java {
    /// Jars of the client.
    pub(crate) client: PathBuf,
    /// Jars of the command-line tools.
    pub(crate) tools: PathBuf,
    /// Jars of the broker, where it was asked for.
    pub(crate) broker: Option<PathBuf>,
    /// Classes compiled from the sources here, one folder per set of jars (`client`, `tools`).
    pub(crate) classes: PathBuf,
}

impl Installed {
    /// A runtime that is not here is a skip for a person and a failure in CI.
    pub(crate) fn counts(&self) -> Counts {
        let missing = self.missing.len() as u64;
        if paths::in_ci() {
            Counts { failed: missing, ..Counts::default() }
        } else {
            Counts { skipped: missing, ..Counts::default() }
        }
    }
}

struct Installer<'a> {
    sources: PathBuf,
    cache: PathBuf,
    built: PathBuf,
    log: &'a Path,
    limit: Duration,
}

/// Installs what is not there yet and builds the programs; the broker's jars only `with_broker`.
///
/// # Errors
/// When an installation or a build fails; a runtime that is not there is no error.
pub(crate) fn install(with_broker: bool, log: &Path, limit: Duration) -> Result<Installed> {
    let installer = Installer {
        sources: paths::workspace()?.join("tests").join("clients"),
        cache: paths::cache()?,
        built: paths::target()?.join("xtask"),
        log,
        limit,
    };
    let mut installed = Installed::default();
    let mut need = |program: &str, args: &[&str]| {
        let version = run::version(program, args);
        if version.is_none() {
            installed.missing.push(format!("{program} is not on this machine"));
        }
        version
    };
    let python = need("python3", &["--version"]);
    let node = need("node", &["--version"]);
    let go = need("go", &["version"]);
    let java = need("javac", &["-version"]).and(need("mvn", &["--version"]));
    for reason in &installed.missing {
        println!("  skipped: {reason}");
    }
    installed.python = python.map(|version| installer.python(&version)).transpose()?;
    installed.node = node.map(|version| installer.node(&version)).transpose()?;
    installed.go = go.map(|_| installer.go()).transpose()?;
    installed.java = java.map(|_| installer.java(with_broker)).transpose()?;
    Ok(installed)
}

impl Installer<'_> {
    fn python(&self, version: &str) -> Result<PathBuf> {
        let lock = self.sources.join("python").join("requirements.txt");
        let dir = self.place("python", &[&lock], version)?;
        let interpreter = dir.join("bin").join("python");
        if !complete(&dir) {
            self.fresh(&dir)?;
            self.run(Command::new("python3").args(["-m", "venv"]).arg(&dir))?;
            self.run(
                Command::new(&interpreter)
                    .args(["-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r"])
                    .arg(&lock),
            )?;
            finish(&dir)?;
        }
        Ok(interpreter)
    }

    fn node(&self, version: &str) -> Result<PathBuf> {
        let sources = self.sources.join("node");
        let lock = sources.join("package-lock.json");
        let dir = self.place("node", &[&lock], version)?;
        if !complete(&dir) {
            self.fresh(&dir)?;
            fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
            for name in ["package.json", "package-lock.json"] {
                fs::copy(sources.join(name), dir.join(name)).with_context(|| name.to_owned())?;
            }
            self.run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit"]).current_dir(&dir))?;
            finish(&dir)?;
        }
        // Node looks for packages beside the program, so the programs go beside a link to the packages.
        let programs = self.built.join("node");
        fs::create_dir_all(&programs).with_context(|| programs.display().to_string())?;
        for entry in fs::read_dir(&sources).with_context(|| sources.display().to_string())? {
            let path = entry.context("a file of the node programs")?.path();
            if let (Some("mjs"), Some(name)) =
                (path.extension().and_then(|one| one.to_str()), path.file_name())
            {
                fs::copy(&path, programs.join(name)).with_context(|| path.display().to_string())?;
            }
        }
        let link = programs.join("node_modules");
        if link.is_symlink() {
            fs::remove_file(&link).context("the old link to the packages")?;
        }
        std::os::unix::fs::symlink(dir.join("node_modules"), &link).context("a link to the packages")?;
        Ok(programs)
    }

    fn go(&self) -> Result<PathBuf> {
        let programs = self.built.join("go");
        fs::create_dir_all(&programs).with_context(|| programs.display().to_string())?;
        let mut command = Command::new("go");
        command.args(["build", "-mod=readonly", "-o"]).arg(&programs).args(["./franz", "./sarama"]);
        self.run(command.current_dir(self.sources.join("go")))?;
        Ok(programs)
    }

    fn java(&self, with_broker: bool) -> Result<Java> {
        let client = self.jars("client")?;
        let tools = self.jars("tools")?;
        let broker = with_broker.then(|| self.jars("broker")).transpose()?;
        let classes = self.built.join("java");
        self.compile("client", &client, &classes)?;
        self.compile("tools", &tools, &classes)?;
        Ok(Java { client, tools, broker, classes })
    }

    fn jars(&self, which: &str) -> Result<PathBuf> {
        let pom = self.sources.join("java").join(which).join("pom.xml");
        let dir = self.place(&format!("java-{which}"), &[&pom], "")?;
        if !complete(&dir) {
            self.fresh(&dir)?;
            let mut command = Command::new("mvn");
            command.args(["-q", "-B", "-f"]).arg(&pom).arg("dependency:copy-dependencies");
            command.arg(format!("-DoutputDirectory={}", dir.display())).arg("-DincludeScope=runtime");
            self.run(&mut command)?;
            finish(&dir)?;
        }
        Ok(dir)
    }

    /// Compiles the shared contract and the programs that belong to one set of jars.
    fn compile(&self, which: &str, jars: &Path, classes: &Path) -> Result<()> {
        let mut command = Command::new("javac");
        command.args(["-Xlint:all", "-Werror", "-proc:none", "-cp"]).arg(format!("{}/*", jars.display()));
        command.arg("-d").arg(classes.join(which));
        for folder in ["contract", which] {
            let folder = self.sources.join("java").join(folder);
            for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                let path = entry.context("a source of the java programs")?.path();
                if path.extension().is_some_and(|extension| extension == "java") {
                    command.arg(path);
                }
            }
        }
        self.run(&mut command)?;
        let settings = classes.join(which).join("log4j2.properties");
        fs::write(&settings, LOG4J).with_context(|| settings.display().to_string())
    }

    /// Where something with these lock files belongs.
    fn place(&self, name: &str, locks: &[&Path], version: &str) -> Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        hasher.write(version.as_bytes());
        for lock in locks {
            hasher.write(&fs::read(lock).with_context(|| lock.display().to_string())?);
        }
        Ok(self.cache.join(format!("{name}-{:016x}", hasher.finish())))
    }

    /// Removes what an interrupted installation left.
    fn fresh(&self, dir: &Path) -> Result<()> {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        fs::create_dir_all(&self.cache).with_context(|| self.cache.display().to_string())
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        match run::logged(command, self.log, self.limit)? {
            Ended::Well => Ok(()),
            Ended::Badly => bail!("{} failed", command.get_program().display()),
            Ended::TimedOut => bail!("{} took too long", command.get_program().display()),
        }
    }
}

fn complete(dir: &Path) -> bool {
    dir.join(COMPLETE).exists()
}

fn finish(dir: &Path) -> Result<()> {
    fs::write(dir.join(COMPLETE), "").with_context(|| dir.display().to_string())
}
