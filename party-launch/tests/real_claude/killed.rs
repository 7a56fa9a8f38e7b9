//! The host is killed with -9, and another process goes on.

use crate::{
    host::Host,
    share::{SHARE, SHARED, SHOWN, heard, share, silent_bob},
    stage::{
        PERSONAS, QUESTION, Stage, called, cli_sessions, events, feed, opinions, said, tagged, turns_ended,
        until, whole_feed, with_slow_pair,
    },
    way::{Way, in_each_way},
};
use party_launch::core::{CloseReason, Event, ToolAnswered};
use rustix::process::{Pid, Signal, kill_process};
use test_support::{Gate, ModelTurn, Scenario};

in_each_way!(
    a201_killed_between_commit_and_reply_a_share_that_is_made_again_lands_once,
    a201_killed_between_commit_and_reply_a_share_that_is_not_made_again_has_landed,
    a201_killed_with_the_cli_between_commit_and_reply_a_share_lands_once,
    a201_killed_between_commit_and_reply_a_share_lands_once_where_the_transcript_is_lost,
    a201_killed_in_mid_turn_a_council_asks_again_only_who_had_not_finished,
);

/// So a later attempt begins, where the CLI has the message already.
const GO_ON: &str = "Your turn was interrupted before it ended.";

/// What the host tells of a call whose answer was lost.
const ANSWERED: &str = "was answered: shared as ";

/// A forum whose host was killed when Ada's share was committed and not answered.
///
/// The CLI is asked to end with its host. It does not call again by itself: resumed, 2.1.329 puts
/// `[Tool call interrupted: …]` where the result is missing, and 2.1.197 leaves out the call. Then it
/// answers itself "No response requested." before it takes the host's new message; nothing is called
/// unless the model calls it.
struct Killed {
    stage: Stage,
    host: Host,
}

impl Killed {
    async fn before_the_reply(way: Way) -> Self {
        let stage = Stage::on(way, Scenario::new().turn(share()).turn(silent_bob())).await;
        let mut host = Host::start(&stage, "forum").await;
        host.told("answered").await;
        // The CLI writes its transcript a moment late.
        until("the call is written", async || stage.transcripts().contains("toolu_")).await;
        Self { stage, host }
    }

    /// Kills the host only.
    async fn alone(mut self) -> Self {
        self.host.kill().await;
        until("the CLI ends with its host", async || self.stage.living().is_empty()).await;
        self
    }

    /// Kills the CLI first, as if the machine had died.
    async fn with_the_cli(mut self) -> Self {
        for pid in self.stage.living().into_iter().filter_map(Pid::from_raw) {
            // Bob's may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
        self.host.kill().await;
        self
    }

    /// Goes on in this process; Ada's model says what `resumed` says. Returns how her calls were
    /// answered, and what her model was told at first.
    async fn resumed(self, resumed: Scenario) -> (Vec<ToolAnswered>, Vec<(String, String)>) {
        let (stage, session) = (self.stage, self.host.session);
        stage.set(
            resumed.turn(ModelTurn::text("Done.").when(called("Ada")).when(ANSWERED)).turn(silent_bob()),
        );
        let bus = stage.bus().await;
        let party = stage.builder(bus.clone()).resume(session).await.unwrap();
        party.at_rest().await.unwrap();
        party.shutdown().await.unwrap();
        assert_eq!(stage.living().len(), 0);

        let expected = [format!("you: {QUESTION}"), format!("Ada: {SHARED}")];
        assert_eq!(feed(bus.as_ref(), session).await, expected, "the share once");
        let bob = said(stage.asked("Bob").last().unwrap());
        assert_eq!(heard(&bob, SHOWN), 1, "{bob:?}");
        let events = events(bus.as_ref(), session).await;
        let delivered = events.iter().filter(|event| matches!(event, Event::Delivered(d) if d.by.is_some()));
        assert_eq!(delivered.count(), 1);
        let answers = events.into_iter().filter_map(|event| match event {
            Event::ToolAnswered(answer) => Some(answer),
            _ => None,
        });
        (answers.collect(), said(&stage.asked("Ada")[0]))
    }
}

/// Whether the continuation tells of the call that was answered.
fn is_told(told: &[(String, String)], answer: &ToolAnswered) -> bool {
    let last = &told.last().unwrap().1;
    last.starts_with(GO_ON) && last.contains(&format!("was answered: {}", answer.text))
}

async fn a201_killed_between_commit_and_reply_a_share_that_is_made_again_lands_once(way: Way) {
    let killed = Killed::before_the_reply(way).await.alone().await;
    let (answers, told) = killed.resumed(Scenario::new().turn(share().when(ANSWERED))).await;
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(!answers[0].repeated && answers[1].repeated && answers[1].attempt == 2, "{answers:?}");
    assert_eq!(answers[0].text, answers[1].text, "the stored answer, once more");
    assert!(is_told(&told, &answers[0]), "{told:?}");
}

async fn a201_killed_between_commit_and_reply_a_share_that_is_not_made_again_has_landed(way: Way) {
    let killed = Killed::before_the_reply(way).await.alone().await;
    let (answers, told) = killed.resumed(Scenario::new()).await;
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(is_told(&told, &answers[0]), "{told:?}");
}

async fn a201_killed_with_the_cli_between_commit_and_reply_a_share_lands_once(way: Way) {
    let killed = Killed::before_the_reply(way).await.with_the_cli().await;
    let (answers, told) = killed.resumed(Scenario::new().turn(share().when(ANSWERED))).await;
    assert_eq!(answers.iter().map(|answer| answer.repeated).collect::<Vec<_>>(), [false, true]);
    let mended = told.iter().any(|(_, text)| text.starts_with("[[Tool call interrupted"));
    let called = told.iter().any(|(_, text)| text.starts_with(SHARE));
    let expected = if way.is_older() { (false, false) } else { (true, true) };
    assert_eq!((mended, called), expected, "{told:?}");
    assert!(is_told(&told, &answers[0]), "{told:?}");
}

async fn a201_killed_between_commit_and_reply_a_share_lands_once_where_the_transcript_is_lost(way: Way) {
    let killed = Killed::before_the_reply(way).await.with_the_cli().await;
    killed.stage.lose_transcripts();
    let (answers, told) = killed.resumed(Scenario::new().turn(share().when(ANSWERED))).await;
    assert_eq!(answers.iter().map(|answer| answer.repeated).collect::<Vec<_>>(), [false, true]);
    let [(_, whole)] = &told[..] else { panic!("a fresh session: {told:?}") };
    assert!(whole.contains(QUESTION) && whole.contains(&answers[0].text), "{whole}");
}

async fn a201_killed_in_mid_turn_a_council_asks_again_only_who_had_not_finished(way: Way) {
    let slow = Gate::new();
    let stage = Stage::on(way, with_slow_pair(2, &slow)).await;
    let mut host = Host::start(&stage, "council").await;
    let (session, bus) = (host.session, stage.bus().await);
    slow.arrived().await;
    slow.arrived().await;
    until("the others have finished", async || turns_ended(bus.as_ref(), session).await == 6).await;
    host.kill().await;
    until("the CLI ends with its host", async || stage.living().is_empty()).await;
    assert!(PERSONAS.iter().all(|name| stage.asked(name).len() == 2));

    stage.set(opinions(2..=2));
    let party = stage.builder(bus.clone()).resume(session).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    party.shutdown().await.unwrap();
    assert_eq!(stage.living().len(), 0);
    assert_eq!(feed(bus.as_ref(), session).await, whole_feed(2));
    assert_eq!(PERSONAS.map(|name| stage.asked(name).len()), [0, 0, 1, 1]);
    assert_eq!(stage.asked("Maat").len(), 1);
    let sessions = cli_sessions(bus.as_ref(), session).await;
    assert!(sessions.values().all(|ids| ids.len() == 1), "each is resumed: {sessions:?}");
    for name in ["Winston", "James"] {
        // The CLI has the message, unanswered, and is sent it again: no runtime need be trusted to have
        // written it in time. 2.1.329 takes it again; 2.1.197 says that it has it, and is told to go on.
        let told = said(&stage.asked(name)[0]);
        let again = told.last().unwrap().1.clone();
        let all: String = told.into_iter().map(|(_, text)| text).collect();
        assert_eq!(again.contains(GO_ON), way.is_older(), "{again}");
        for other in PERSONAS.into_iter().filter(|other| *other != name) {
            let text = if way.is_older() { &all } else { &again };
            assert!(text.contains(&tagged(other, 1)), "{text}");
        }
    }
}
