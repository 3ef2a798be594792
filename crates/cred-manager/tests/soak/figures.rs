//! The resources of the process, and whether they grow.

use std::fmt;
use std::fs;
use std::time::Duration;

/// Memory, files and tasks between two lives, when nothing is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    resident_kib: u64,
    files: u64,
    tasks: u64,
}

impl Figures {
    /// Measures, after the tasks of the last life had time to end.
    pub(crate) async fn now() -> Self {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let metrics = tokio::runtime::Handle::current().metrics();
        Self {
            resident_kib: resident_kib(),
            files: files(),
            tasks: metrics.num_alive_tasks().try_into().unwrap(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident_kib, files, tasks } = self;
        write!(f, "{:.1} MiB resident, {files} files, {tasks} tasks", *resident_kib as f64 / 1024.0)
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux: it is measured there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// One of them is the listing itself, each time.
fn files() -> u64 {
    fs::read_dir("/proc/self/fd").expect("Linux: it is measured there").count().try_into().unwrap()
}

/// All figures so far.
#[derive(Debug, Default)]
pub(crate) struct Growth(Vec<Figures>);

/// The least number of lives to judge growth by: about two minutes.
const FEWEST: usize = 24;

impl Growth {
    pub(crate) fn add(&mut self, figures: Figures) {
        self.0.push(figures);
    }

    pub(crate) fn latest(&self) -> Figures {
        *self.0.last().unwrap()
    }

    /// Compares the last quarter with the one after the warm-up, by their medians: an allocator
    /// returns memory late.
    ///
    /// # Panics
    /// If something grows.
    pub(crate) fn judge(&self) {
        if self.0.len() < FEWEST {
            println!("soak: {} lives are too few to judge growth by", self.0.len());
            return;
        }
        let quarter = self.0.len() / 4; // the first is the warm-up
        let (early, late) =
            (median(&self.0[quarter..2 * quarter]), median(&self.0[self.0.len() - quarter..]));
        println!("soak: after the warm-up {early}; at the end {late}");
        // A page for each of a thousand writes exceeds this within minutes; the noise of an
        // allocator does not.
        let allowed = early.resident_kib + (early.resident_kib / 10).max(4 * 1024);
        assert!(late.resident_kib <= allowed, "memory grows: {early}, then {late}");
        assert!(late.files <= early.files, "open files grow: {early}, then {late}");
        assert!(late.tasks <= early.tasks, "tasks grow: {early}, then {late}");
    }
}

/// Of each figure by itself.
fn median(figures: &[Figures]) -> Figures {
    let middle = |of: fn(&Figures) -> u64| {
        let mut values: Vec<_> = figures.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    Figures {
        resident_kib: middle(|figures| figures.resident_kib),
        files: middle(|figures| figures.files),
        tasks: middle(|figures| figures.tasks),
    }
}
