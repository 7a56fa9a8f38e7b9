//! Taking over a session whose driver is gone.

use super::turns::report;
use crate::{
    Result,
    log::{Log, now},
    seat::SeatRuntime,
};
use party_core::{AttemptEnded, Cost, LeaseTaken, NewRecord, Outcome, Usd};
use party_formats::Effect;
use party_harness::{Close, Recovery, ToolPort, Turn, TurnEnd, TurnKey};
use std::{collections::BTreeMap, sync::Arc};

/// What became of an attempt of the last driver.
enum Found {
    /// It ended, and this is how.
    Ended(TurnEnd),
    /// It still runs, and goes on here.
    Running(Turn),
    /// It is lost; another one follows. This is what it cost.
    Lost(Cost),
}

/// Records the takeover. An attempt that ended meanwhile is reported, one that still runs is given
/// back, and the others are ended; each of those gets another.
pub(crate) async fn recover(
    log: &mut Log,
    seats: &[Arc<SeatRuntime>],
    port: &Arc<dyn ToolPort>,
    owner: String,
) -> Result<BTreeMap<TurnKey, Turn>> {
    let taken = LeaseTaken { owner, fencing_token: log.fencing_token() };
    let mut records = vec![NewRecord::new(now(), &taken.into())];
    let (mut ended, mut running) = (Vec::new(), BTreeMap::new());
    for effect in log.engine.pending_effects() {
        let Effect::Run { turn, attempt } = effect else { continue };
        let key = TurnKey { session: log.session(), turn, attempt };
        let seat = log.engine.turn(turn).and_then(|turn| seats.get(usize::from(turn.seat.0)));
        match look_into(seat, key, port).await {
            Found::Ended(end) => ended.push((key, end)),
            Found::Running(turn) => drop(running.insert(key, turn)),
            Found::Lost(cost) => {
                let reason = Some("the driver went away".to_owned());
                let event = AttemptEnded { turn, attempt, outcome: Outcome::Lost, cost, reason };
                records.push(NewRecord::new(now(), &event.into()).in_turn(turn));
            }
        }
    }
    log.commit(records).await?;
    for (key, end) in ended {
        log.commit(report(&log.engine, key, end)).await?;
    }
    Ok(running)
}

/// Asks the runtime what became of an attempt that nobody reported. A runtime that cannot hand it
/// over ends what it left running.
async fn look_into(seat: Option<&Arc<SeatRuntime>>, key: TurnKey, port: &Arc<dyn ToolPort>) -> Found {
    let Some(seat) = seat else { return Found::Lost(Cost::Unknown) };
    // A turn that goes on calls its tools: they wait in the driver's channel until it runs.
    let Ok(runtime) = seat.open(Arc::clone(port)).await else { return Found::Lost(Cost::Unknown) };
    let found = match runtime.recover(key).await {
        Ok(Recovery::Running(turn)) => return Found::Running(turn),
        Ok(Recovery::Ended(end)) => {
            if let Some(old) = seat.bind(end.token.clone()).await {
                drop(old.close(Close::Orderly).await);
            }
            Found::Ended(end)
        }
        Ok(Recovery::NotSeen) => Found::Lost(Cost::Reported(Usd::ZERO)),
        Ok(_) | Err(_) => Found::Lost(Cost::Unknown),
    };
    seat.reopen().await;
    found
}
