//! A lab: the wiring, the daemons on the gateways and what is broken at the moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::binaries::Binaries;
use crate::cleanup;
use crate::clock;
use crate::config::Config;
use crate::conntrack;
use crate::conntrackd::{ConntrackdConfig, write_files};
use crate::control::Control;
use crate::error::{LabError, Result};
use crate::filter::Loss;
use crate::firewall::Firewall;
use crate::frr::{self, Frr, FrrConfig};
use crate::node::{Part, Running, part_of};
use crate::package::Packaged;
use crate::peer::{Keepalived, PeerConfig};
use crate::shell;
use crate::topology::{Gateway, Topology};

/// How long a daemon may take to end after a termination signal.
const STOP_LIMIT: Duration = Duration::from_secs(6);
/// How long killed processes may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// Time between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// What a lab is built with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the programs under test are; none to look in the usual places.
    pub bin_dir: Option<PathBuf>,
    /// How many gateways, 1 to [`crate::topology::MAX_GATEWAYS`].
    pub gateways: u8,
    /// Where to keep the logs of the nodes when the lab is removed; none to drop them.
    pub keep_logs: Option<PathBuf>,
    /// What the gateways filter and translate; none for plain routers.
    pub stateful: Option<Firewall>,
}

impl Default for Options {
    fn default() -> Self {
        Self { bin_dir: None, gateways: 2, keep_logs: None, stateful: None }
    }
}

/// What runs on a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Our daemon with this configuration.
    Evergate(Config),
    /// Our daemon with what is imported of this configuration of keepalived.
    Imported(PeerConfig),
    /// keepalived with this configuration.
    Keepalived(PeerConfig),
    /// FRR's vrrpd with this configuration.
    Frr(FrrConfig),
    /// keepalived, and conntrackd beside it.
    Conntrackd(PeerConfig, ConntrackdConfig),
}

/// A lab that is up; it is removed when this value is dropped.
pub struct Lab {
    /// The namespaces and their wiring.
    pub topology: Topology,
    /// The losses in force on the switches.
    pub(crate) losses: Vec<Loss>,
    directory: PathBuf,
    pub(crate) options: Options,
    nodes: BTreeMap<Gateway, Running>,
    subjects: BTreeMap<Gateway, Subject>,
    /// Where the process that was started has been killed on purpose.
    killed: BTreeSet<Gateway>,
    keepalived: Option<Keepalived>,
    /// What runs beside the daemon of a gateway.
    companions: BTreeMap<Gateway, Running>,
}

impl Lab {
    /// Builds a lab with no daemons yet; sweeps what labs that were killed have left.
    pub fn build(options: Options) -> Result<Self> {
        cleanup::sweep();
        let (prefix, directory) = (cleanup::own_prefix(), cleanup::own_directory());
        cleanup::register(&prefix, &directory)?;
        let build = || {
            fs::create_dir_all(&directory)
                .map_err(LabError::io(format!("make {}", directory.display())))?;
            let mut topology = Topology::build(&prefix, options.gateways)?;
            options.stateful.iter().try_for_each(|firewall| firewall.set_up(&mut topology))?;
            Ok(topology)
        };
        match build() {
            Ok(topology) => Ok(Self {
                topology,
                losses: Vec::new(),
                directory,
                options,
                nodes: BTreeMap::new(),
                subjects: BTreeMap::new(),
                killed: BTreeSet::new(),
                keepalived: None,
                companions: BTreeMap::new(),
            }),
            Err(error) => {
                cleanup::remove_own();
                Err(error)
            }
        }
    }

    /// The directory for configuration, sockets and logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the gateways filter and translate; none of plain routers.
    pub fn firewall(&self) -> Option<Firewall> {
        self.options.stateful
    }

    /// The gateways of this lab.
    pub fn gateways(&self) -> Vec<Gateway> {
        self.topology.gateways()
    }

    /// The files of one gateway.
    pub fn node_directory(&self, gateway: Gateway) -> PathBuf {
        self.directory.join(gateway.to_string())
    }

    /// Starts a daemon on a gateway.
    pub fn start(&mut self, gateway: Gateway, subject: &Subject) -> Result<()> {
        if self.killed.remove(&gateway) && self.daemon_processes(gateway)?.is_empty() {
            self.nodes.remove(&gateway).iter_mut().for_each(Running::wait);
        }
        if self.nodes.contains_key(&gateway) {
            return Err(LabError::Usage(format!("{gateway} runs a daemon already")));
        }
        let directory = self.node_directory(gateway);
        fs::create_dir_all(&directory).map_err(LabError::io("make a node's directory"))?;
        let running = match subject {
            Subject::Evergate(config) => {
                let file = self.write_config(gateway, config)?;
                self.start_evergated(gateway, &file)?
            }
            Subject::Imported(config) => {
                let file = self.write_imported(gateway, config)?;
                self.start_evergated(gateway, &file)?
            }
            Subject::Keepalived(config) => self.start_keepalived(gateway, config)?,
            Subject::Frr(config) => {
                let namespace = self.topology.gateway(gateway);
                let (zebra, vrrpd) = Frr::find()?.start(namespace, gateway, config, &directory)?;
                self.companions.insert(gateway, zebra);
                vrrpd
            }
            Subject::Conntrackd(config, conntrackd) => {
                let program = Packaged::find("conntrackd")?;
                let (file, script) = write_files(&program, conntrackd, gateway, &directory)?;
                let namespace = self.topology.gateway(gateway);
                let companion = Running::conntrackd(namespace, &program, &file, &directory)?;
                self.companions.insert(gateway, companion);
                let config = PeerConfig { notify: Some(script), ..config.clone() };
                self.start_keepalived(gateway, &config)?
            }
        };
        self.nodes.insert(gateway, running);
        self.subjects.insert(gateway, subject.clone());
        Ok(())
    }

    fn start_evergated(&self, gateway: Gateway, file: &Path) -> Result<Running> {
        let binaries = Binaries::find(self.options.bin_dir.as_deref())?;
        let (namespace, directory) = (self.topology.gateway(gateway), self.node_directory(gateway));
        Running::evergated(namespace, &gateway.to_string(), &binaries, file, &directory)
    }

    fn start_keepalived(&mut self, gateway: Gateway, config: &PeerConfig) -> Result<Running> {
        let keepalived = match self.keepalived.take() {
            Some(known) => known,
            None => Keepalived::find()?,
        };
        let (namespace, directory) = (self.topology.gateway(gateway), self.node_directory(gateway));
        let running = Running::keepalived(namespace, gateway, &keepalived, config, &directory);
        self.keepalived = Some(keepalived);
        running
    }

    /// Starts our daemon on a gateway under the name of another node and with a key of its own, as somebody without the key would.
    pub fn start_impostor(&mut self, gateway: Gateway, node: &str, config: &Config) -> Result<()> {
        let binaries = Binaries::find(self.options.bin_dir.as_deref())?;
        let file = self.write_config(gateway, config)?;
        let directory = self.node_directory(gateway);
        let line = shell::run(&binaries.evergate.to_string_lossy(), &["key"])?;
        write_private(&directory.join("cluster.key"), &line)?;
        let namespace = self.topology.gateway(gateway);
        let running = Running::evergated(namespace, node, &binaries, &file, &directory)?;
        self.nodes.insert(gateway, running);
        Ok(())
    }

    /// Gives the daemon of a gateway another configuration while it runs.
    pub fn reload(&mut self, gateway: Gateway, subject: &Subject) -> Result<()> {
        match subject {
            Subject::Evergate(config) => {
                self.write_config(gateway, config)?;
                self.reload_evergated(gateway)?;
            }
            Subject::Imported(config) => {
                self.write_imported(gateway, config)?;
                self.reload_evergated(gateway)?;
            }
            Subject::Frr(_) => {
                return Err(LabError::Usage("vrrpd reads no file while it runs".to_owned()));
            }
            Subject::Keepalived(config) | Subject::Conntrackd(config, _) => {
                config.write(gateway, &self.node_directory(gateway))?;
                if let Some(running) = self.nodes.get(&gateway) {
                    running.hang_up();
                }
            }
        }
        self.subjects.insert(gateway, subject.clone());
        Ok(())
    }

    fn reload_evergated(&self, gateway: Gateway) -> Result<()> {
        let answer = self.control(gateway)?.ask(&["reload"])?;
        if answer.code > 1 {
            let text = format!("{}{}", answer.text, answer.errors);
            return Err(LabError::Answer { question: "evergate reload".to_owned(), text });
        }
        Ok(())
    }

    /// Starts the same on every gateway.
    pub fn start_all(&mut self, subject: &Subject) -> Result<()> {
        self.gateways().into_iter().try_for_each(|gateway| self.start(gateway, subject))
    }

    /// Starts on a gateway what ran there last.
    pub fn start_again(&mut self, gateway: Gateway) -> Result<()> {
        let subject = self.subjects.get(&gateway).cloned();
        let text = format!("nothing has run on {gateway} yet");
        self.start(gateway, &subject.ok_or(LabError::Usage(text))?)
    }

    /// Ends all daemons.
    pub fn stop_all(&mut self) -> Result<()> {
        self.gateways().into_iter().try_for_each(|gateway| self.stop(gateway))
    }

    /// Does our daemon run on this gateway?
    pub fn is_ours(&self, gateway: Gateway) -> bool {
        self.nodes.contains_key(&gateway)
            && matches!(
                self.subjects.get(&gateway),
                Some(Subject::Evergate(_) | Subject::Imported(_))
            )
    }

    /// Writes the configuration of a gateway, and the lab's key beside it; gives the path of the file.
    pub fn write_config(&self, gateway: Gateway, config: &Config) -> Result<PathBuf> {
        let directory = self.node_directory(gateway);
        fs::create_dir_all(&directory).map_err(LabError::io("make a node's directory"))?;
        if config.needs_key() {
            let shared = self.directory.join("cluster.key");
            if !shared.exists() {
                let binaries = Binaries::find(self.options.bin_dir.as_deref())?;
                let line = shell::run(&binaries.evergate.to_string_lossy(), &["key"])?;
                write_private(&shared, &line)?;
            }
            let key = fs::read_to_string(&shared).map_err(LabError::io("read the key"))?;
            write_private(&directory.join("cluster.key"), &key)?;
        }
        for (name, content) in &config.secrets {
            write_private(&directory.join(name), content)?;
        }
        let path = directory.join("evergate.toml");
        fs::write(&path, config.to_toml()).map_err(LabError::io("write a configuration"))?;
        Ok(path)
    }

    /// Ends the daemon of a gateway as an administrator would; killed if it does not end in time.
    pub fn stop(&mut self, gateway: Gateway) -> Result<()> {
        let Some(mut running) = self.nodes.remove(&gateway) else { return Ok(()) };
        running.terminate();
        let mut companion = self.companions.remove(&gateway);
        companion.iter().for_each(Running::terminate);
        let ended = clock::wait_for("the daemon to end", STOP_LIMIT, LOOK, || {
            running.reap();
            if let Some(one) = &mut companion {
                one.reap();
            }
            Ok(self.daemon_processes(gateway)?.is_empty().then_some(()))
        });
        if let Err(error) = ended {
            self.kill_all(gateway)?;
            running.wait();
            companion.iter_mut().for_each(Running::wait);
            return Err(error);
        }
        if let Some(Subject::Frr(_)) = self.subjects.get(&gateway) {
            frr::tear_down(self.topology.gateway(gateway));
        }
        Ok(())
    }

    /// Kills every process of a gateway and takes away what its kernel held, as if it had lost power.
    pub fn destroy(&mut self, gateway: Gateway) -> Result<()> {
        self.kill_all(gateway)?;
        for mut running in
            [self.nodes.remove(&gateway), self.companions.remove(&gateway)].into_iter().flatten()
        {
            running.wait();
        }
        // A machine without power holds no addresses; its own are put back by the next boot, here at once.
        self.topology.reset_addresses(gateway)?;
        match self.options.stateful {
            Some(_) => conntrack::flush(self.topology.gateway(gateway)),
            None => Ok(()),
        }
    }

    /// Sends a signal to parts of a gateway's daemon at once; gives the time just before.
    pub fn signal(&mut self, gateway: Gateway, part: Part, signal: Signal) -> Result<Instant> {
        let mut chosen = self.daemon_processes(gateway)?;
        chosen.retain(|(_, own)| part.includes(*own));
        if chosen.is_empty() {
            let text = format!("there is no {part} to send {signal} to");
            return Err(LabError::Node { node: gateway.to_string(), text });
        }
        if signal == Signal::SIGKILL && part != Part::Core && part != Part::Runner {
            self.killed.insert(gateway);
        }
        let start = clock::now();
        if signal == Signal::SIGKILL && part == Part::All {
            // Nobody may start another meanwhile: the guardian rests, and goes after the runner. The end
            // of a guardian wakes a runner that rests: its process group is an orphan then.
            let guardians = chosen.iter().filter(|(_, own)| *own == Part::Guardian);
            guardians.clone().try_for_each(|(pid, _)| send(*pid, Signal::SIGSTOP))?;
            chosen.sort_by_key(|(_, own)| *own == Part::Guardian);
        }
        chosen.iter().try_for_each(|(pid, _)| send(*pid, signal))?;
        Ok(start)
    }

    /// The processes of a gateway's daemon: process id and part.
    pub fn daemon_processes(&self, gateway: Gateway) -> Result<Vec<(i32, Part)>> {
        let processes = self.topology.gateway(gateway).processes()?;
        let part = |process: &crate::netns::Process| Some((process.pid, part_of(process)?));
        Ok(processes.iter().filter_map(part).collect())
    }

    /// The command's view of a gateway's daemon.
    pub fn control(&self, gateway: Gateway) -> Result<Control> {
        let binaries = Binaries::find(self.options.bin_dir.as_deref())?;
        let socket = self.node_directory(gateway).join("evergate.sock");
        Ok(Control::new(gateway, binaries.evergate, socket))
    }

    /// Says so if a daemon that was started has ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        let expected = self.nodes.iter_mut().filter(|(gateway, _)| !self.killed.contains(gateway));
        for (gateway, running) in expected {
            if let Some(status) = running.reap() {
                let text = format!("its daemon ended with {status}\n{}", running.log_tail());
                return Err(LabError::Node { node: gateway.to_string(), text });
            }
        }
        Ok(())
    }

    /// The gateways whose kernel holds an address now.
    pub fn holders(&self, address: &str) -> Result<Vec<Gateway>> {
        let mut holders = Vec::new();
        for gateway in self.gateways() {
            let name = self.topology.gateway(gateway).name();
            let found = shell::run("ip", &["-o", "-n", name, "address", "show", "to", address])?;
            let mut interfaces = found.lines().filter_map(|line| line.split_whitespace().nth(1));
            let held = interfaces.try_fold(false, |held, interface| {
                // FRR's interfaces always have them, and are held down.
                let frr = interface.starts_with(frr::INTERFACE_PREFIX);
                let link = ["-o", "-n", name, "link", "show", interface];
                let up = || Ok(!frr || shell::run("ip", &link)?.contains("LOWER_UP"));
                up().map(|up| held || up)
            });
            if held? {
                holders.push(gateway);
            }
        }
        Ok(holders)
    }

    /// The ends of the logs of all nodes, to print beside a failure.
    pub fn log_tails(&self) -> String {
        let log = |gateway: &Gateway| {
            let tail = crate::node::tail(&self.node_directory(*gateway).join("log"));
            format!("--- {gateway}\n{tail}\n")
        };
        self.gateways().iter().map(log).collect()
    }

    fn kill_all(&self, gateway: Gateway) -> Result<()> {
        clock::wait_for("killed processes to be gone", KILL_LIMIT, Duration::from_millis(1), || {
            let processes = self.daemon_processes(gateway)?;
            for (pid, _) in &processes {
                // One may have ended since; that is what is wanted.
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            Ok(processes.is_empty().then_some(()))
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(keep) = &self.options.keep_logs {
            for gateway in self.gateways() {
                let kept = fs::create_dir_all(keep).and_then(|()| {
                    let log = self.node_directory(gateway).join("log");
                    fs::copy(log, keep.join(format!("{gateway}.log")))
                });
                if let Err(error) = kept {
                    eprintln!("could not keep the log of {gateway}: {error}");
                }
            }
        }
        cleanup::remove_own();
        self.nodes.values_mut().for_each(Running::wait);
        self.companions.values_mut().for_each(Running::wait);
    }
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let doing = format!("write {}", path.display());
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .map_err(LabError::io(doing))
}

fn send(pid: i32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(pid), signal)
        .map_err(|errno| LabError::io(format!("send {signal} to {pid}"))(errno.into()))
}
