//! Blocks of two programs in turn, so that a disk that changes its mind meets both of them.

use std::{
    fmt,
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::{Duration, Instant},
};

/// Syncs of one probe.
const SYNCS: usize = 24;
/// A disk whose syncs change by more than this within a run says nothing about anybody.
const UNSTEADY: f64 = 2.0;

/// How many pairs are taken, and what the disk does meanwhile.
#[derive(Debug)]
pub struct Pairs {
    count: usize,
    disk: Option<File>,
}

/// What came out of pairs.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Measured {
    /// The median of the ratios of each pair.
    pub ratio: f64,
    /// Their quartiles.
    pub quartiles: (f64, f64),
    /// The median of the differences of each pair, in the unit that the blocks gave.
    pub difference: f64,
    /// Their quartiles.
    pub difference_quartiles: (f64, f64),
    /// The medians of either side, in the unit that the blocks gave.
    pub sides: (f64, f64),
    /// How far the disk's syncs moved during the run, as a ratio; 1 where no disk takes part.
    pub disk_moved: f64,
    /// The median sync of the run, in microseconds; 0 where no disk takes part.
    pub sync_us: f64,
}

impl Measured {
    /// Whether the disk kept still enough for the ratio to mean something.
    pub fn is_steady(&self) -> bool {
        self.disk_moved <= UNSTEADY
    }
}

/// What belongs beside the ratio: its quartiles, and what a sync took meanwhile.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quartiles {:.2} to {:.2}", self.quartiles.0, self.quartiles.1)?;
        if self.sync_us > 0.0 { write!(f, ", a sync {:.0} us", self.sync_us) } else { Ok(()) }
    }
}

impl Pairs {
    /// Pairs of programs that only compute.
    pub const fn in_memory(count: usize) -> Self {
        Self { count, disk: None }
    }

    /// Pairs of programs that write below `folder`, each with a probe of its disk beside it.
    pub fn on_disk(count: usize, folder: &Path) -> Self {
        let disk = File::create(folder.join("probe")).expect("the folder takes files");
        Self { count, disk: Some(disk) }
    }

    /// Runs a block of each in turn; each gives what it measured. One unmeasured pair comes first.
    pub fn run(mut self, mut ours: impl FnMut() -> f64, mut theirs: impl FnMut() -> f64) -> Measured {
        let _warm = (ours(), theirs());
        let (mut left, mut right, mut probes) = (Vec::new(), Vec::new(), Vec::new());
        for pair in 0..self.count {
            if pair % 2 == 0 {
                left.push(ours());
                right.push(theirs());
            } else {
                right.push(theirs());
                left.push(ours());
            }
            probes.extend(self.disk.as_mut().map(probe));
        }
        let ratios: Vec<f64> = left.iter().zip(&right).map(|(ours, theirs)| ours / theirs).collect();
        let differences: Vec<f64> = left.iter().zip(&right).map(|(ours, theirs)| ours - theirs).collect();
        Measured {
            ratio: median(&ratios),
            quartiles: quartiles(&ratios),
            difference: median(&differences),
            difference_quartiles: quartiles(&differences),
            sides: (median(&left), median(&right)),
            disk_moved: if probes.is_empty() { 1.0 } else { quantile(&probes, 1.0) / quantile(&probes, 0.0) },
            sync_us: if probes.is_empty() { 0.0 } else { median(&probes) },
        }
    }
}

/// The median `fdatasync` of a page, in microseconds.
fn probe(file: &mut File) -> f64 {
    let mut sync = |_| {
        let begun = Instant::now();
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.write_all(&[7; 4096]))
            .expect("the disk takes a page");
        file.sync_data().expect("the disk syncs");
        micros(begun.elapsed())
    };
    median(&(0..SYNCS).map(&mut sync).collect::<Vec<_>>())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The middle of `values`.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

fn quartiles(values: &[f64]) -> (f64, f64) {
    (quantile(values, 0.25), quantile(values, 0.75))
}

/// The value below which `part` of `values` lie.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * (sorted.len().saturating_sub(1)) as f64;
    sorted.get(place.round() as usize).copied().unwrap_or(f64::NAN)
}
