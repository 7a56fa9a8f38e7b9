//! Which turn answers a request.

use crate::{ModelTurn, Scenario};

/// The turn that was picked, and how the request log names it.
#[derive(Debug)]
pub(crate) enum Picked {
    Turn(usize, Box<ModelTurn>),
    Side,
    Default(Option<Box<ModelTurn>>),
}

/// A scenario and what is left of its turns.
#[derive(Debug)]
pub(crate) struct Queue {
    scenario: Scenario,
    left: Vec<u64>,
}

impl Queue {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let left = scenario.turns.iter().map(|turn| turn.times.unwrap_or(1)).collect();
        Self { scenario, left }
    }

    /// Adds the turns of another scenario behind these.
    pub(crate) fn extend(&mut self, more: Scenario) {
        self.left.extend(more.turns.iter().map(|turn| turn.times.unwrap_or(1)));
        self.scenario.turns.extend(more.turns);
    }

    pub(crate) fn pick(&mut self, raw: &str, has_tools: bool) -> Picked {
        let side = !has_tools && !self.scenario.count_side;
        let turns = self.scenario.turns.iter().enumerate();
        let found =
            turns.into_iter().find(|(i, turn)| self.has_left(*i) && (!side || turn.side) && fits(turn, raw));
        match found {
            Some((index, turn)) => {
                let turn = Box::new(turn.clone());
                self.left[index] = self.left[index].saturating_sub(1);
                Picked::Turn(index, turn)
            }
            None if side => Picked::Side,
            None => Picked::Default(self.scenario.default.clone().map(Box::new)),
        }
    }

    fn has_left(&self, index: usize) -> bool {
        self.scenario.turns[index].repeat || self.left[index] > 0
    }
}

fn fits(turn: &ModelTurn, raw: &str) -> bool {
    turn.when.as_slice().iter().all(|text| raw.contains(text.as_str()))
        && !turn.unless.as_slice().iter().any(|text| raw.contains(text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(turns: Vec<ModelTurn>) -> Queue {
        let mut scenario = Scenario::new();
        scenario.turns = turns;
        Queue::new(scenario)
    }

    fn index(picked: Picked) -> Option<usize> {
        match picked {
            Picked::Turn(index, _) => Some(index),
            _ => None,
        }
    }

    #[test]
    fn turns_are_used_in_order_and_once() {
        let mut queue = queue(vec![ModelTurn::text("a"), ModelTurn::text("b")]);
        let taken: Vec<_> = (0..3).map(|_| index(queue.pick("x", true))).collect();
        assert_eq!(taken, [Some(0), Some(1), None]);
    }

    #[test]
    fn every_when_and_no_unless() {
        let turn = ModelTurn::text("a").when("one").when("two").unless("three").repeat();
        let mut queue = queue(vec![turn]);
        assert_eq!(index(queue.pick("one two", true)), Some(0));
        assert_eq!(index(queue.pick("one", true)), None);
        assert_eq!(index(queue.pick("one two three", true)), None);
        assert_eq!(index(queue.pick("two one", true)), Some(0));
    }

    #[test]
    fn times_counts() {
        let mut queue = queue(vec![ModelTurn::text("a").times(2), ModelTurn::text("b").repeat()]);
        let taken: Vec<_> = (0..4).filter_map(|_| index(queue.pick("x", true))).collect();
        assert_eq!(taken, [0, 0, 1, 1]);
    }

    #[test]
    fn side_calls_take_no_turn() {
        let mut queue = queue(vec![ModelTurn::text("a")]);
        assert!(matches!(queue.pick("x", false), Picked::Side));
        assert_eq!(index(queue.pick("x", true)), Some(0));
    }

    #[test]
    fn side_turns_and_counted_side_calls() {
        let mut side = ModelTurn::text("a");
        side.side = true;
        assert_eq!(index(queue(vec![side]).pick("x", false)), Some(0));
        let scenario = Scenario::new().turn(ModelTurn::text("a")).count_side();
        assert_eq!(index(Queue::new(scenario).pick("x", false)), Some(0));
    }
}
