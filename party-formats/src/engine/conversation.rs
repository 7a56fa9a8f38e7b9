//! Deciding on inputs and shares: who gets an item, and who is called by it.

use super::{
    Engine,
    state::{Asked, Opened, Share},
};
use crate::{Audience, Coalesce};
use party_core::{
    BudgetReserved, CloseReason, Delivered, How, Interrupted, Item, ItemId, NewRecord, Op, Queued,
    QueuedInvocation, Refused, SeatId, ThreadId, Usd,
};

impl Engine {
    /// The oldest input that no decision has acted on.
    pub(super) fn take_input(&self, opened: &Opened) -> Vec<NewRecord> {
        let Some(input) = self.inbox.front() else { return Vec::new() };
        let refuse = |why: &str| vec![self.record(Refused { input: input.offset, why: why.to_owned() })];
        match &input.what {
            Asked::Nonsense(why) => refuse(why),
            Asked::Message { empty: true, .. } => refuse("the message is empty"),
            Asked::Message { item, empty: false } => self.deliver_message(opened, *item),
            Asked::Close if self.running.is_empty() && !self.wave.active => {
                vec![self.close(CloseReason::Closed)]
            }
            // A stop and an answer are acted on wherever they stand, by rules of their own.
            Asked::Close | Asked::Stop | Asked::Answer { .. } => Vec::new(),
        }
    }

    fn deliver_message(&self, opened: &Opened, item: ItemId) -> Vec<NewRecord> {
        let mut threads = vec![opened.feed];
        threads.extend(audience(opened, &opened.format.human, None));
        let add = Op::Add { threads, item, how: How::Delivered { from: None } };
        let mut records = vec![self.record(Delivered { item, by: None, turn: None }).with_op(add)];
        records.extend(self.reservations(opened));
        let called = opened.seats().filter_map(|(id, seat)| {
            let role = opened.format.roles.get(&seat.role)?;
            role.fanout.then(|| invocation(id, &role.intent, item, false))
        });
        records.extend(self.queue_all(called.collect()));
        records
    }

    /// Money for roles that speak after the others, where it is not set aside yet.
    fn reservations(&self, opened: &Opened) -> Vec<NewRecord> {
        let Some(terms) = opened.budget else { return Vec::new() };
        let mut room = self.purse.room(terms.cap);
        let mut records = Vec::new();
        for (name, _) in
            opened.format.roles.iter().filter(|(name, role)| role.reserved && !self.purse.holds_for(name))
        {
            let amount: Usd = opened.seats_of(name).map(|_| opened.per_turn).sum();
            if amount > Usd::ZERO && amount <= room {
                room = room.saturating_sub(amount);
                records.push(self.record(BudgetReserved { role: name.clone(), amount }));
            }
        }
        records
    }

    /// A stop is acted on before anything that waits in front of it.
    pub(super) fn stop_turns(&self, _: &Opened) -> Vec<NewRecord> {
        if self.inbox.iter().any(|input| input.what == Asked::Stop) {
            return vec![self.record(Interrupted { turns: self.running.keys().copied().collect() })];
        }
        if self.stopping && self.running.is_empty() {
            return vec![self.close(CloseReason::Aborted)];
        }
        Vec::new()
    }

    /// The oldest share that is to be delivered at once.
    pub(super) fn deliver_share(&self, opened: &Opened) -> Vec<NewRecord> {
        self.wave.fresh.first().map(|share| self.deliver(opened, share, None)).unwrap_or_default()
    }

    /// Brings a share to the feed and its audience, and calls those who react. `said` is the item
    /// itself where no record has brought it yet.
    pub(super) fn deliver(&self, opened: &Opened, share: &Share, said: Option<Item>) -> Vec<NewRecord> {
        let Some(seat) = self.seat(share.seat) else { return Vec::new() };
        let Some(role) = opened.format.roles.get(&seat.role) else { return Vec::new() };
        let mut threads = vec![opened.feed];
        threads.extend(audience(opened, &role.to, Some(share.seat)));
        let mut record =
            self.record(Delivered { item: share.item, by: Some(share.seat), turn: Some(share.turn) });
        if let Some(item) = said {
            record = record.with_item(item).with_op(Op::Add {
                threads: vec![seat.thread],
                item: share.item,
                how: How::Said,
            });
        }
        let how = How::Delivered { from: Some(seat.thread) };
        let mut records =
            vec![record.with_op(Op::Add { threads, item: share.item, how }).in_turn(share.turn)];
        records.extend(self.queue_all(self.reactions(opened, share)));
        records
    }

    fn reactions(&self, opened: &Opened, share: &Share) -> Vec<QueuedInvocation> {
        let limit = opened.format.limits.reactions.unwrap_or(0);
        let may_react = |seat: SeatId, intent: &str| {
            let used = self.wave.reactions.get(&seat).copied().unwrap_or(0);
            let waits = self.queue.iter().any(|waiting| waiting.seat == seat && waiting.intent == intent);
            let merges =
                opened.format.intents.get(intent).is_some_and(|intent| intent.coalesce != Coalesce::Keep);
            used < limit || (waits && merges)
        };
        let others = opened.seats().filter(|(id, _)| *id != share.seat && !self.stopping);
        others
            .filter_map(|(id, seat)| {
                let role = opened.format.roles.get(&seat.role)?;
                let intent = role.reacts.as_ref().filter(|intent| may_react(id, intent))?;
                Some(invocation(id, intent, share.item, true))
            })
            .collect()
    }

    pub(super) fn queue_all(&self, invocations: Vec<QueuedInvocation>) -> Option<NewRecord> {
        (!invocations.is_empty()).then(|| self.record(Queued { invocations }))
    }
}

pub(super) fn invocation(seat: SeatId, intent: &str, item: ItemId, reaction: bool) -> QueuedInvocation {
    QueuedInvocation { seat, intent: intent.to_owned(), because: vec![item], reaction, nudge: 0 }
}

/// The private threads of an audience in roster order, without the speaker's own.
fn audience(opened: &Opened, audience: &Audience, speaker: Option<SeatId>) -> Vec<ThreadId> {
    let hears = |role: &String| match audience {
        Audience::All => true,
        Audience::Nobody => false,
        Audience::Roles(roles) => roles.contains(role),
    };
    let others = opened.seats().filter(|(id, seat)| Some(*id) != speaker && hears(&seat.role));
    others.map(|(_, seat)| seat.thread).collect()
}
