//! The session's money: what is spent, what is set aside. Reservations never exceed the cap.

use party_core::{TurnId, Usd};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a session has spent and set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Purse {
    spent: Usd,
    turns: BTreeMap<TurnId, Usd>,
    roles: BTreeMap<String, Usd>,
}

impl Purse {
    /// What nobody has spent or set aside.
    pub(super) fn room(&self, cap: Usd) -> Usd {
        cap.saturating_sub(self.committed())
    }

    /// What is spent or set aside.
    pub(super) fn committed(&self) -> Usd {
        let turns: Usd = self.turns.values().copied().sum();
        let roles: Usd = self.roles.values().copied().sum();
        self.spent.saturating_add(turns).saturating_add(roles)
    }

    /// What is spent.
    pub(super) const fn spent(&self) -> Usd {
        self.spent
    }

    /// Whether money is set aside for a role.
    pub(super) fn holds_for(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// Sets money aside for a role.
    pub(super) fn hold(&mut self, role: &str, amount: Usd) {
        self.roles.insert(role.to_owned(), amount);
    }

    /// What a seat of `role` can set aside: of the role's money first, then of the room.
    pub(super) fn fits(&self, role: &str, amount: Usd, cap: Usd) -> bool {
        let held = self.roles.get(role).copied().unwrap_or_default();
        amount <= self.room(cap).saturating_add(held)
    }

    /// Sets money aside for a turn, out of its role's money as far as that goes.
    pub(super) fn reserve(&mut self, turn: TurnId, role: &str, amount: Usd) {
        if let Some(held) = self.roles.get_mut(role) {
            *held = held.saturating_sub(amount);
            if *held == Usd::ZERO {
                self.roles.remove(role);
            }
        }
        self.turns.insert(turn, amount);
    }

    /// An attempt ended and its turn goes on. A known cost comes out of what the turn has set aside;
    /// an unknown one counts as all of that, beside what the next attempt may spend.
    pub(super) fn charge(&mut self, turn: TurnId, cost: Option<Usd>) {
        let reserved = self.turns.get(&turn).copied();
        self.spent = self.spent.saturating_add(cost.or(reserved).unwrap_or_default());
        if let (Some(cost), Some(reserved)) = (cost, self.turns.get_mut(&turn)) {
            *reserved = reserved.saturating_sub(cost);
        }
    }

    /// A turn ended. Where the cost of its last attempt is unknown, what it still had set aside
    /// counts as spent.
    pub(super) fn settle(&mut self, turn: TurnId, cost: Option<Usd>) {
        let reserved = self.turns.remove(&turn).unwrap_or_default();
        self.spent = self.spent.saturating_add(cost.unwrap_or(reserved));
    }
}
