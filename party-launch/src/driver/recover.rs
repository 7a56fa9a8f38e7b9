//! Taking over a session whose driver is gone.

use crate::{
    Result,
    log::{Log, now},
    seat::SeatRuntime,
};
use party_core::{AttemptEnded, Cost, LeaseTaken, NewRecord, Outcome, Usd};
use party_formats::Effect;
use party_harness::{Recovery, ToolCall, ToolPort, ToolReply, TurnKey, async_trait};
use std::sync::Arc;

/// Records the takeover, and ends the attempts that the last driver left; each gets another.
pub(crate) async fn recover(log: &mut Log, seats: &[Arc<SeatRuntime>], owner: String) -> Result<()> {
    let taken = LeaseTaken { owner, fencing_token: log.fencing_token() };
    let mut records = vec![NewRecord::new(now(), &taken.into())];
    for effect in log.engine.pending_effects() {
        if let Effect::Run { turn, attempt } = effect {
            let key = TurnKey { session: log.session(), turn, attempt };
            let seat = log.engine.turn(turn).and_then(|turn| seats.get(usize::from(turn.seat.0)));
            let cost = lost_attempt(seat, key).await;
            let reason = Some("the driver went away".to_owned());
            let event = AttemptEnded { turn, attempt, outcome: Outcome::Lost, cost, reason };
            records.push(NewRecord::new(now(), &event.into()).in_turn(turn));
        }
    }
    log.commit(records).await?;
    Ok(())
}

/// What an attempt cost that nobody reported. The runtime is asked, and ends what it left running.
async fn lost_attempt(seat: Option<&Arc<SeatRuntime>>, key: TurnKey) -> Cost {
    let Some(seat) = seat else { return Cost::Unknown };
    let Ok(runtime) = seat.open(Arc::new(NoTools)).await else { return Cost::Unknown };
    let recovered = runtime.recover(key).await;
    // The next turn opens it with the driver's own tools.
    seat.reopen().await;
    match recovered {
        Ok(Recovery::NotSeen) => Cost::Reported(Usd::ZERO),
        Ok(_) | Err(_) => Cost::Unknown,
    }
}

/// While an attempt is looked into, nobody runs and nobody calls.
#[derive(Debug)]
struct NoTools;

#[async_trait]
impl ToolPort for NoTools {
    async fn call(&self, _: ToolCall) -> ToolReply {
        ToolReply::error("the turn has ended")
    }
}
