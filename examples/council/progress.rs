//! Live progress on standard error: a line per seat.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use party_core::{Cost, Event, Outcome, Record, SeatId, TurnId};
use party_examples::{note, printable};
use std::{collections::BTreeMap, env, ffi::OsStr, io::IsTerminal, time::Duration};

/// What each seat does. On a terminal a line per seat that changes in place; elsewhere a line per
/// change.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    seats: Vec<Seat>,
    turns: BTreeMap<TurnId, (SeatId, i64)>,
    quiet: bool,
}

struct Seat {
    name: String,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let term = env::var_os("TERM");
        let bars = (!quiet && changes_in_place(std::io::stderr().is_terminal(), term.as_deref()))
            .then(MultiProgress::new);
        Self { bars, seats: Vec::new(), turns: BTreeMap::new(), quiet }
    }

    pub(crate) fn take(&mut self, record: &Record) {
        match record.event() {
            Ok(Event::SessionOpened(event)) => self.open(event.seats.iter().map(|seat| seat.name.as_str())),
            Ok(Event::TurnStarted(event)) => {
                self.turns.insert(TurnId(record.offset), (event.seat, record.at.as_micros()));
                self.tell(event.seat, &format!("thinks (round {})", event.round), false);
            }
            Ok(Event::AttemptEnded(event)) => {
                if let Some((seat, _)) = self.turns.get(&event.turn) {
                    self.tell(*seat, "is asked again, its driver went away", false);
                }
            }
            Ok(Event::TurnEnded(event)) => {
                if let Some((seat, started)) = self.turns.remove(&event.turn) {
                    let seconds =
                        Duration::from_micros(record.at.as_micros().abs_diff(started)).as_secs_f64();
                    let state = state(event.outcome, event.reason.as_deref());
                    self.tell(seat, &format!("{state} · {seconds:.1} s · {}", cost(event.cost)), true);
                }
            }
            _ => {}
        }
    }

    /// Prints above the lines that change in place.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }

    fn open<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let names: Vec<String> = names.map(printable).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let style = ProgressStyle::with_template("{spinner} {prefix} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        for name in names {
            let bar = self.bars.as_ref().map(|bars| {
                let bar = bars.add(ProgressBar::new_spinner()).with_style(style.clone());
                bar.set_prefix(format!("{name:width$}"));
                bar.set_message("waits");
                bar
            });
            self.seats.push(Seat { name, bar });
        }
    }

    fn tell(&self, seat: SeatId, what: &str, done: bool) {
        let Some(seat) = self.seats.get(usize::from(seat.0)) else { return };
        let what = printable(what);
        match &seat.bar {
            Some(bar) if done => bar.finish_with_message(what),
            Some(bar) => {
                bar.reset();
                bar.enable_steady_tick(Duration::from_millis(100));
                bar.set_message(what);
            }
            None if self.quiet => {}
            None => note(&format!("{}: {what}", seat.name)),
        }
    }
}

/// Whether lines can change in place: a dumb terminal cannot move its cursor.
fn changes_in_place(terminal: bool, term: Option<&OsStr>) -> bool {
    terminal && term.is_none_or(|term| term != "dumb")
}

fn state(outcome: Outcome, reason: Option<&str>) -> String {
    let state = match outcome {
        Outcome::Completed => return "done".to_owned(),
        Outcome::Empty => "said nothing",
        Outcome::Failed | Outcome::Lost => "failed",
        Outcome::TimedOut => "took too long",
        Outcome::Cancelled => "was stopped",
    };
    // The whole reason is on the log; a line of progress holds its beginning.
    match reason.and_then(|reason| reason.lines().next()) {
        Some(reason) => format!("{state} ({})", reason.chars().take(120).collect::<String>()),
        None => state.to_owned(),
    }
}

fn cost(cost: Cost) -> String {
    cost.amount().map_or_else(|| "cost unknown".to_owned(), |amount| format!("{amount} USD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_dumb_terminal_lines_do_not_change_in_place() {
        let on = |terminal, term: &str| changes_in_place(terminal, Some(OsStr::new(term)));
        assert_eq!((on(true, "xterm"), on(true, "dumb"), on(false, "xterm")), (true, false, false));
    }
}
