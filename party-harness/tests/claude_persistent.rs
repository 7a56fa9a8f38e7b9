//! What a persistent process may do to its host, with shell scripts for a binary.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod claude;

use claude::{Bench, end_of, events_of};
use futures::StreamExt as _;
use party_core::{Cost, Failure, Outcome, Sent};
use party_harness::{
    Answer, Close, ErrorKind, Recovery, Steered, ToolCall, ToolPort, ToolReply, ToolSpec, TurnEvent,
    TurnRequest, async_trait,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the scripts are written in. `take` reads a message of the host into `$line` and `$uuid`, and
/// ends the script with the host's last one.
const WORDS: &str = r#"
say() { printf '%s\n' "$1"; }
take() { read -r line || exit 0; uuid=${line##*\"uuid\":\"}; uuid=${uuid%%\"*}; say "$line" >>"$HOME/heard"; }
answer() { say '{"type":"control_response","response":{"subtype":"success","request_id":"party-initialize","response":{}}}'; }
begin() { say '{"type":"system","subtype":"init","session_id":"s-1","tools":["mcp__party__share","mcp__party__hang","Bash"],"mcp_servers":[{"name":"party","status":"connected"}],"claude_code_version":"2.1.329"}'; }
again() { say "{\"type\":\"user\",\"isReplay\":true,\"uuid\":\"$uuid\",\"session_id\":\"s-1\",\"message\":{\"role\":\"user\",\"content\":[]}}"; }
text() { n=$((n + 1)); say "{\"type\":\"assistant\",\"session_id\":\"s-1\",\"message\":{\"id\":\"m$n\",\"content\":[{\"type\":\"text\",\"text\":\"$1\"}]}}"; }
end() { say "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1,\"result\":\"$1\",\"session_id\":\"s-1\",\"total_cost_usd\":0.002,\"model_usage_since_last_result\":{\"m\":{\"costUSD\":0.002}}}"; }
run() { begin; again; text "$1"; end "$1"; }
call() { say "{\"type\":\"control_request\",\"request_id\":\"$1\",\"request\":{\"subtype\":\"mcp_message\",\"server_name\":\"party\",\"message\":{\"jsonrpc\":\"2.0\",\"id\":$2,\"method\":\"tools/call\",\"params\":{\"name\":\"$3\",\"arguments\":{},\"_meta\":{\"claudecode/toolUseId\":\"toolu_$2\"}}}}}"; }
ask() { say "{\"type\":\"control_request\",\"request_id\":\"$1\",\"request\":{\"subtype\":\"can_use_tool\",\"tool_name\":\"Bash\",\"input\":${2:-{\"command\":\"ls\"\}}}}"; }
say "$*" >>"$HOME/args"
"#;

fn bench(script: &str) -> Bench {
    Bench::script(&format!("{WORDS}\n{script}")).persistent()
}

/// The lines that the process was told, over all processes.
fn heard(bench: &Bench) -> Vec<Value> {
    let text = fs::read_to_string(bench.home().join("heard")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The answer to a question of the process.
fn answered(bench: &Bench, id: &str) -> Value {
    let lines = heard(bench);
    let found: Vec<_> = lines.iter().filter(|line| line["response"]["request_id"] == id).collect();
    assert_eq!(found.len(), 1, "{lines:?}");
    found[0]["response"].clone()
}

fn launches(bench: &Bench) -> Vec<String> {
    let text = fs::read_to_string(bench.home().join("args")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[derive(Debug, Default)]
struct Tools(Mutex<Vec<ToolCall>>);

#[async_trait]
impl ToolPort for Tools {
    async fn call(&self, call: ToolCall) -> ToolReply {
        let hangs = call.name == "hang";
        self.0.lock().unwrap().push(call);
        if hangs {
            std::future::pending::<()>().await;
        }
        ToolReply::text("shared")
    }
}

/// Tools that never answer, and say by files when they are called and when nobody hears them any more.
#[derive(Debug)]
struct Files(PathBuf);

struct Endless(PathBuf);

impl Drop for Endless {
    fn drop(&mut self) {
        fs::write(self.0.join("dropped"), "").unwrap();
    }
}

#[async_trait]
impl ToolPort for Files {
    async fn call(&self, _call: ToolCall) -> ToolReply {
        let _endless = Endless(self.0.clone());
        fs::write(self.0.join("called"), "").unwrap();
        std::future::pending().await
    }
}

fn with_tools(mut request: TurnRequest) -> TurnRequest {
    let tool = |name: &str| ToolSpec::new(name, "", json!({}));
    request.tools = vec![tool("share"), tool("hang")];
    request
}

fn with_questions(mut request: TurnRequest) -> TurnRequest {
    (request.own_tools, request.ask) = (vec!["Bash".into()], true);
    request
}

#[tokio::test]
async fn a_process_that_dies_in_a_turn_fails_it_and_the_next_turn_resumes_the_session() {
    let bench = bench(
        "take; answer; take; case \"$*\" in *--resume=s-1*) run 'Back.'; take;; esac\nbegin; again; echo 'out of luck' >&2; exit 3",
    );
    let session = bench.open(None).await;
    let end = end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
    assert_eq!((end.outcome, end.cost), (Outcome::Failed, Cost::Unknown));
    let reason = end.reason.unwrap();
    assert!(reason.contains("exited with code 3") && reason.contains("out of luck"), "{reason}");
    assert_eq!(bench.alive(), 0);
    let end = end_of(session.turn(bench.request(2, 1, "two", "never")).await.unwrap()).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Back."), Sent::Delta), "{:?}", end.reason);
    assert_eq!(launches(&bench).len(), 2);
}

#[tokio::test]
async fn lines_that_nobody_knows_disturb_nothing() {
    let noise = "say 'no json'; say '{\"type\":\"newer\"}'; say '[1]'; say ''; say '{\"type\":\"control_response\"}'; say '{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":\"nobodys\"}}'; say '{\"type\":\"control_cancel_request\",\"request_id\":\"nobodys\"}'";
    let bench = bench(&format!(
        "take; answer; take; {noise}; begin; {noise}; again; text Hm; {noise}; end Hm; {noise}; take; run Well; take"
    ));
    let session = bench.open(None).await;
    let events = events_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
    assert!(events.iter().filter(|event| matches!(event, TurnEvent::Raw { .. })).count() >= 6, "{events:?}");
    let Some(TurnEvent::Ended(end)) = events.last() else { panic!() };
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Hm")));
    let end = end_of(session.turn(bench.request(2, 1, "two", "")).await.unwrap()).await;
    assert_eq!((end.text.as_deref(), launches(&bench).len()), (Some("Well"), 1), "{end:?}");
}

#[tokio::test]
async fn a171_a_process_that_ignores_every_word_and_signal_is_killed_with_its_children() {
    let bench = bench(
        "trap '' INT TERM\ntake; answer; take; begin; again; (setsid sleep 1000 &)\nwhile :; do sleep 1000; done",
    );
    let session = bench.open(None).await;
    let mut turn = session.turn(bench.request(1, 1, "", "one")).await.unwrap();
    turn.events.next().await.unwrap();
    bench.until("the grandchild runs", || bench.alive() >= 3).await;
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    assert_eq!((end.outcome, end.cost), (Outcome::Cancelled, Cost::Unknown));
    assert!(end.token.is_some());
    assert_eq!((bench.alive(), bench.locks().len()), (0, 0));
}

/// As in a process per turn.
#[tokio::test]
async fn what_turns_with_tools_left_in_the_background_ends_with_their_process() {
    let quiet = "setsid sleep 1000 </dev/null >/dev/null 2>&1 &";
    for idles in [true, false] {
        let bench = bench(&format!("take; answer; take; {quiet}\nrun Well; take"));
        let bench = if idles { bench.idle(Duration::from_millis(50)) } else { bench };
        let session = bench.open(None).await;
        let end = end_of(session.turn(with_questions(bench.request(1, 1, "", "one"))).await.unwrap()).await;
        assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
        if idles {
            bench.until("nothing is left", || bench.alive() == 0 && bench.locks().is_empty()).await;
        }
        session.close(Close::Orderly).await.unwrap();
        assert_eq!((bench.alive(), bench.locks().len()), (0, 0), "idles: {idles}");
    }
}

#[tokio::test]
async fn who_still_holds_the_pipes_of_a_process_that_ended_in_order_is_ended() {
    let bench = bench("take; answer; take; (setsid sleep 1000 &)\nrun Well; take");
    let session = bench.open(None).await;
    end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
    session.close(Close::Orderly).await.unwrap();
    assert_eq!((bench.alive(), bench.locks().len()), (0, 0));
}

/// What holds its output is out of reach, and goes on with it.
#[tokio::test]
async fn who_writes_on_to_the_pipes_of_a_process_that_is_gone_does_not_keep_its_turn_open() {
    let others = "setsid env -i /bin/sh -c 'i=0; while [ $i -lt 150 ]; do echo \"[$i]\"; sleep 0.2; i=$((i + 1)); done' 2>/dev/null &";
    let bench = bench(&format!("take; answer; take; begin; again; {others}\nexit 3"));
    let session = bench.open(None).await;
    let turn = session.turn(bench.request(1, 1, "", "one")).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(15), end_of(turn)).await.unwrap();
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(end.reason.as_deref().unwrap().contains("exited with code 3"), "{end:?}");
}

#[tokio::test]
async fn what_a_process_said_before_its_exit_waits_for_a_slow_reader() {
    let flood = "i=0; while [ $i -lt 300 ]; do text \"$i\"; i=$((i + 1)); done";
    let bench = bench(&format!("take; answer; take; begin; again; (setsid sleep 1000 &)\n{flood}; exit 3"));
    let session = bench.open(None).await;
    let turn = session.turn(bench.request(1, 1, "", "one")).await.unwrap();
    // Who holds its output is ended once that has been awaited for long enough.
    let launched = || !launches(&bench).is_empty() && bench.alive() == 0 && bench.locks().is_empty();
    bench.until("the process is gone with all others", launched).await;
    let events = events_of(turn).await;
    let texts = events.iter().filter(|event| matches!(event, TurnEvent::Text { .. })).count();
    assert_eq!(texts, 300);
}

#[tokio::test]
async fn an_idle_process_that_will_not_go_is_made_to() {
    for how in [Close::Orderly, Close::Now] {
        let bench = bench("trap '' INT TERM\ntake; answer; take; run Well; while :; do sleep 1000; done");
        let session = bench.open(None).await;
        end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
        assert!(bench.alive() > 0);
        session.close(how).await.unwrap();
        assert_eq!((bench.alive(), bench.locks().len()), (0, 0), "{how:?}");
        let error = session.turn(bench.request(2, 1, "", "two")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}

#[tokio::test]
async fn a_process_that_reads_no_more_is_replaced() {
    let bench = bench("take; answer; take; run \"Process $$\"; exec <&-; : >\"$HOME/deaf\"; sleep 1000");
    let session = bench.open(None).await;
    let first = end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
    bench.until("it reads no more", || bench.home().join("deaf").exists()).await;
    let second = end_of(session.turn(bench.request(2, 1, "two", "")).await.unwrap()).await;
    assert_eq!((first.outcome, second.outcome), (Outcome::Completed, Outcome::Completed), "{second:?}");
    assert_ne!(first.text, second.text);
    let launches = launches(&bench);
    assert!(launches.len() == 2 && launches[1].contains("--resume=s-1"), "{launches:?}");
}

#[tokio::test]
async fn every_question_of_the_process_is_answered() {
    let asks = r#"say '{"type":"control_request","request_id":"h","request":{"subtype":"hook_callback","callback_id":"x","input":{}}}'; take
say '{"type":"control_request","request_id":"u","request":{"subtype":"elicitation","mode":"form"}}'; take
say '{"type":"control_request","request_id":"m","request":{"subtype":"mcp_message","server_name":"other","message":{}}}'; take"#;
    let script = format!(
        "take; answer; take; {asks}\nrun Well; {}; take",
        asks.replace("\":\"h\"", "\":\"h2\"").replace("\"u\"", "\"u2\"").replace("\"m\"", "\"m2\"")
    );
    let bench = bench(&script.replacen("run Well", "uuid=$first; run Well", 1).replacen(
        "take; answer; take;",
        "take; answer; take; first=$uuid;",
        1,
    ));
    let session = bench.open(None).await;
    let end = end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    bench.until("the last answer is there", || heard(&bench).len() >= 8).await;
    for (hook, unknown, other) in [("h", "u", "m"), ("h2", "u2", "m2")] {
        assert_eq!(answered(&bench, hook)["response"], json!({}), "in a turn, and between two");
        assert_eq!(answered(&bench, unknown)["error"], "unknown request `elicitation`");
        assert_eq!(answered(&bench, other)["subtype"], "error");
    }
}

#[tokio::test]
async fn an_opening_that_is_answered_late_or_by_a_refusal() {
    let late = bench("take; take; run Well; answer; take; run More; take");
    let session = late.open(None).await;
    let end = end_of(session.turn(late.request(1, 1, "", "one")).await.unwrap()).await;
    assert_eq!(end.text.as_deref(), Some("Well"));
    let end = end_of(session.turn(late.request(2, 1, "two", "")).await.unwrap()).await;
    assert_eq!((end.text.as_deref(), launches(&late).len()), (Some("More"), 1));
    let refused = bench(
        "say '{\"type\":\"control_response\",\"response\":{\"subtype\":\"error\",\"request_id\":\"party-initialize\",\"error\":\"not today\"}}'; take; take; sleep 1000",
    );
    let end = end_of(refused.open(None).await.turn(refused.request(1, 1, "", "one")).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Failed);
    assert_eq!(end.reason.as_deref(), Some("claude refused the control protocol: not today"));
    assert_eq!(refused.alive(), 0);
}

#[tokio::test]
async fn a_doubled_line_counts_once() {
    let bench = bench(
        "take; answer; answer; take; first=$uuid; begin; again; again; call c1 7 share; call c1 7 share; take; ask q1; ask q1; take; uuid=$first; text Well; end Well; take; take",
    );
    let tools = Arc::new(Tools::default());
    let session = bench.open_with(Arc::clone(&tools) as _, None).await;
    let mut turn = session.turn(with_questions(with_tools(bench.request(1, 1, "", "one")))).await.unwrap();
    let mut asked = 0;
    let mut end = None;
    while let Some(event) = turn.events.next().await {
        match event {
            TurnEvent::PermissionAsked { request, .. } => {
                asked += 1;
                turn.control.answer(request, Answer::Allow).await.unwrap();
            }
            TurnEvent::Ended(ended) => end = Some(ended),
            _ => {}
        }
    }
    assert_eq!((asked, end.unwrap().outcome), (1, Outcome::Completed));
    let calls = tools.0.lock().unwrap().clone();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].id.as_str(), calls[0].key), ("toolu_7", bench.key(1, 1)));
    assert_eq!(answered(&bench, "c1")["response"]["mcp_response"]["id"], 7);
    assert_eq!(
        answered(&bench, "q1")["response"],
        json!({"behavior": "allow", "updatedInput": {"command": "ls"}})
    );
}

#[tokio::test]
async fn nobody_is_asked_about_what_cannot_be_read() {
    let deep = format!("{{\\\"a\\\":{}{}}}", "[".repeat(130), "]".repeat(130));
    let bench = bench(&format!(
        "take; answer; take; begin; again; ask q1 \"{deep}\"; take; text Well; end Well; take"
    ));
    let session = bench.open(None).await;
    let events = events_of(session.turn(with_questions(bench.request(1, 1, "", "one"))).await.unwrap()).await;
    assert!(!events.iter().any(|event| matches!(event, TurnEvent::PermissionAsked { .. })), "{events:?}");
    assert_eq!(answered(&bench, "q1")["response"]["behavior"], "deny");
}

#[tokio::test]
async fn runs_that_the_process_begins_by_itself_shift_no_answer() {
    let own = "begin; text Mine; end Mine";
    let bench = bench(&format!(
        "take; answer; take; {own}; run One; {own}; take; {own}; run Two; {own}; {own}; take; run Three; take"
    ));
    let session = bench.open(None).await;
    for (turn, expected) in [(1, "One"), (2, "Two"), (3, "Three")] {
        let end = end_of(session.turn(bench.request(turn, 1, "more", "begin")).await.unwrap()).await;
        assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some(expected)));
    }
    assert_eq!(launches(&bench).len(), 1);
}

#[tokio::test]
async fn a_message_that_is_passed_over_holds_its_turn_up_for_a_while_only() {
    // One waits for its next message, one has ended.
    let odd = "begin; text Odd; end Odd";
    for (rest, reason) in [
        ("trap 'touch \"$HOME/ended\"' EXIT; take; take", "claude did not take the turn's message"),
        ("exit 0", "claude ended and did not take the turn's message"),
    ] {
        let bench = bench(&format!("take; answer; take; {odd}; {rest}"));
        let session = bench.open(None).await;
        let end = end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
        assert_eq!((end.outcome, end.text, end.cost), (Outcome::Failed, None, Cost::Unknown), "{rest}");
        assert_eq!((end.failure, end.reason.as_deref()), (Some(Failure::Died), Some(reason)));
        assert_eq!(bench.alive(), 0, "a process that is out of step serves no further turn");
        assert!(!bench.home().join("ended").exists(), "it was killed, not asked to end");
    }
}

#[tokio::test]
async fn a_turn_that_is_stopped_before_its_message_is_taken_is_cancelled() {
    let bench =
        bench("trap '' INT TERM\ntake; answer; take; begin; text Odd; end Odd; take; take; sleep 1000");
    let session = bench.open(None).await;
    let mut turn = session.turn(bench.request(1, 1, "", "one")).await.unwrap();
    turn.events.next().await.unwrap();
    turn.control.interrupt().await.unwrap();
    let end = end_of(turn).await;
    assert_eq!((end.outcome, end.text, end.cost), (Outcome::Cancelled, None, Cost::Unknown));
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
async fn a_message_that_the_session_has_is_followed_by_a_continuation() {
    let bench = bench("take; answer; take; case \"$*\" in *--resume*) again; take;; esac; run Well; take");
    let session = bench.open(None).await;
    end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
    let mut request = bench.request(2, 2, "two", "all of it");
    request.continuation = Some("GO ON".into());
    let end = end_of(session.turn(request).await.unwrap()).await;
    assert_eq!((end.text.as_deref(), end.sent), (Some("Well"), Sent::Delta), "{end:?}");
    assert_eq!(launches(&bench).len(), 2, "a later attempt has a process of its own, and only one");
    let said: Vec<_> = heard(&bench)
        .into_iter()
        .filter(|line| line["type"] == "user")
        .map(|line| (line["message"]["content"][0]["text"].clone(), line["uuid"].clone()))
        .collect();
    assert_eq!(said.iter().map(|(text, _)| text).collect::<Vec<_>>(), ["one", "two", "GO ON"]);
    assert!(said[1].1 != said[2].1 && said[2].1.is_string(), "{said:?}");
}

#[tokio::test]
async fn a_slow_reader_holds_up_no_tool() {
    let flood = "i=0; while [ $i -lt 500 ]; do text \"$i\"; i=$((i + 1)); done";
    let bench = bench(&format!(
        "take; answer; take; first=$uuid; begin; again; {flood}; call c1 1 share; take; uuid=$first; end Well; take"
    ));
    let session = bench.open_with(Arc::new(Tools::default()), None).await;
    let turn = session.turn(with_tools(bench.request(1, 1, "", "one"))).await.unwrap();
    let heard_answer = || heard(&bench).iter().any(|line| line["response"]["request_id"] == "c1");
    // What was read before the reader's channel was full is answered; nothing is lost after.
    let events = events_of(turn).await;
    let texts: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            TurnEvent::Text { text } => Some(text.parse::<u32>().unwrap()),
            _ => None,
        })
        .collect();
    assert!(texts.iter().copied().eq(0..500), "{texts:?}");
    assert!(heard_answer());
}

#[tokio::test]
async fn an_answer_is_written_while_nobody_reads_events() {
    let flood = "i=0; while [ $i -lt 200 ]; do text \"$i\"; i=$((i + 1)); done";
    let bench = bench(&format!(
        "take; answer; take; first=$uuid; begin; again; call c1 1 share; {flood}; take; touch \"$HOME/answered\"; uuid=$first; end Well; take"
    ));
    let session = bench.open_with(Arc::new(Tools::default()), None).await;
    let turn = session.turn(with_tools(bench.request(1, 1, "", "one"))).await.unwrap();
    let path = bench.home().join("answered");
    bench.until("the answer was read", || path.exists()).await;
    assert_eq!(end_of(turn).await.outcome, Outcome::Completed);
}

#[tokio::test]
async fn calls_are_bounded_and_one_that_is_withdrawn_is_not_answered() {
    let calls = "i=0; while [ $i -lt 65 ]; do call c$i $i hang; i=$((i + 1)); done";
    let withdraw = "say '{\"type\":\"control_cancel_request\",\"request_id\":\"c3\"}'; call d1 100 missing";
    // The calls that were open when the turn ended.
    let over = "i=0; while [ $i -lt 63 ]; do take; i=$((i + 1)); done";
    let bench = bench(&format!(
        "take; answer; take; first=$uuid; begin; again; {calls}; take; {withdraw}; take; uuid=$first; text Well; end Well; {over}; take; run More; take"
    ));
    let tools = Arc::new(Tools::default());
    let session = bench.open_with(Arc::clone(&tools) as _, None).await;
    let end = end_of(session.turn(with_tools(bench.request(1, 1, "", "one"))).await.unwrap()).await;
    assert_eq!((end.outcome, tools.0.lock().unwrap().len()), (Outcome::Completed, 64));
    let response = |id: &str| answered(&bench, id)["response"]["mcp_response"]["error"]["message"].clone();
    assert_eq!(
        (response("c64"), response("d1")),
        (json!("too many calls at once"), json!("this turn has no tool `missing`"))
    );
    let end = end_of(session.turn(with_tools(bench.request(2, 1, "two", ""))).await.unwrap()).await;
    assert_eq!((end.text.as_deref(), launches(&bench).len()), (Some("More"), 1), "{end:?}");
}

/// A question that is answered at once, with its input of 20 kB.
const BIG: &str = r#"big=$(head -c 20000 /dev/zero | tr '\0' x); wants() { say "{\"type\":\"control_request\",\"request_id\":\"b$i\",\"request\":{\"subtype\":\"can_use_tool\",\"tool_name\":\"mcp__party__share\",\"input\":{\"x\":\"$big\"}}}"; i=$((i + 1)); }; i=0"#;

#[tokio::test]
async fn a_process_may_say_all_before_it_reads_an_answer() {
    let bench = bench(&format!(
        "{BIG}; take; answer; take; begin; again; while [ $i -lt 100 ]; do wants; done; head -n 100 >\"$HOME/answers\"; text Well; end Well; take"
    ));
    let session = bench.open(None).await;
    let end = end_of(session.turn(with_tools(bench.request(1, 1, "", "one"))).await.unwrap()).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Well")), "{end:?}");
    assert!(fs::metadata(bench.home().join("answers")).unwrap().len() > 2_000_000);
}

#[tokio::test]
async fn a_process_that_asks_on_and_reads_no_answer_is_ended() {
    let forever = "while :; do wants; done";
    let bench = bench(&format!(
        "{BIG}; take; answer; take; case \"$*\" in *--resume*) {forever};; esac; run One; {forever}"
    ));
    let session = bench.open(None).await;
    let end = end_of(session.turn(with_tools(bench.request(1, 1, "", "one"))).await.unwrap()).await;
    assert_eq!(end.outcome, Outcome::Completed);
    bench.until("between two turns", || bench.alive() == 0).await;
    let end = end_of(session.turn(with_tools(bench.request(2, 1, "two", ""))).await.unwrap()).await;
    let why = "claude asks and does not read the answers";
    assert_eq!((end.outcome, end.reason.as_deref()), (Outcome::Failed, Some(why)), "{end:?}");
    assert_eq!(bench.alive(), 0);
}

#[tokio::test]
async fn a_call_that_is_withdrawn_is_dropped_while_its_turn_goes_on() {
    let notified = r#"{"type":"control_request","request_id":"n1","request":{"subtype":"mcp_message","server_name":"party","message":{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}}}"#;
    for withdrawal in [r#"{"type":"control_cancel_request","request_id":"c1"}"#, notified] {
        let wait = |file: &str| format!("while [ ! -e \"$HOME/{file}\" ]; do sleep 0.01; done");
        let bench = bench(&format!(
            "take; answer; take; first=$uuid; begin; again; call c1 1 hang; {}; say '{withdrawal}'; {}; uuid=$first; text Well; end Well; take",
            wait("called"),
            wait("go")
        ));
        let session = bench.open_with(Arc::new(Files(bench.home())), None).await;
        let turn = session.turn(with_tools(bench.request(1, 1, "", "one"))).await.unwrap();
        bench.until("the call is dropped", || bench.home().join("dropped").exists()).await;
        fs::write(bench.home().join("go"), "").unwrap();
        let end = end_of(turn).await;
        assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("Well")), "{withdrawal}");
    }
}

#[tokio::test]
async fn a_call_between_two_turns_is_refused() {
    let bench = bench("take; answer; take; run One; call late 5 share; take; take; run Two; take");
    let tools = Arc::new(Tools::default());
    let session = bench.open_with(Arc::clone(&tools) as _, None).await;
    end_of(session.turn(with_tools(bench.request(1, 1, "", "one"))).await.unwrap()).await;
    bench.until("it is answered", || heard(&bench).len() >= 3).await;
    assert_eq!(answered(&bench, "late")["response"]["mcp_response"]["error"]["message"], "no turn runs");
    assert_eq!(tools.0.lock().unwrap().len(), 0);
    let end = end_of(session.turn(with_tools(bench.request(2, 1, "two", ""))).await.unwrap()).await;
    assert_eq!(end.text.as_deref(), Some("Two"));
}

#[tokio::test]
async fn a_message_waits_until_the_turn_has_begun() {
    let bench = bench(
        "take; answer; take; first=$uuid; while [ ! -e \"$HOME/go\" ]; do sleep 0.01; done; begin; again; text A; end A; take; run B; take",
    );
    let session = bench.open(None).await;
    let turn = session.turn(bench.request(1, 1, "", "one")).await.unwrap();
    assert_eq!(turn.control.steer("and B".into()).await.unwrap(), Steered::Taken);
    fs::write(bench.home().join("go"), "").unwrap();
    let end = end_of(turn).await;
    assert_eq!((end.outcome, end.text.as_deref()), (Outcome::Completed, Some("B")));
    assert_eq!(heard(&bench)[2]["message"]["content"][0]["text"], "and B");
}

#[tokio::test]
async fn a_launch_that_cannot_be_is_refused_and_frees_the_session() {
    let bench = Bench::new("/nonexistent/claude".into()).persistent();
    let session = bench.open(None).await;
    for turn in 1..=2 {
        let error = session.turn(bench.request(turn, 1, "", "one")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    }
    let mut request = bench.request(3, 1, "", "one");
    request.own_tools = vec!["Bash(ls:*)".into()];
    assert_eq!(session.turn(request).await.unwrap_err().kind(), ErrorKind::Invalid);
    let empty = session.turn(bench.request(4, 1, "", "  ")).await.unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_turn_that_nobody_reads_does_not_hold_up_the_end() {
    let bench = bench("take; answer; take; begin; again; while :; do text More; done");
    let session = bench.open(None).await;
    let turn = session.turn(bench.request(1, 1, "", "one")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), session.close(Close::Orderly)).await.unwrap().unwrap();
    assert_eq!(bench.alive(), 0);
    assert_eq!(end_of(turn).await.outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn a_reader_that_is_behind_may_speak_to_a_turn_that_is_over() {
    let asks = "i=0; while [ $i -lt 40 ]; do ask q$i; i=$((i + 1)); done";
    let bench = bench(&format!("take; answer; take; begin; again; {asks}; exit 3"));
    let session = bench.open(None).await;
    let turn = session.turn(with_questions(bench.request(1, 1, "", "one"))).await.unwrap();
    let launched = || !launches(&bench).is_empty() && bench.alive() == 0 && bench.locks().is_empty();
    bench.until("the process is gone", launched).await;
    let soon = Duration::from_secs(10);
    let steered = tokio::time::timeout(soon, turn.control.steer("more".into())).await.unwrap();
    assert_eq!(steered.unwrap(), Steered::TooLate);
    tokio::time::timeout(soon, session.close(Close::Orderly)).await.unwrap().unwrap();
    let events = events_of(turn).await;
    let withdrawn = |event: &&TurnEvent| matches!(event, TurnEvent::PermissionWithdrawn { .. });
    assert_eq!(events.iter().filter(withdrawn).count(), 40, "more than there is room for was unread");
}

#[test]
fn a171_a_runtime_that_goes_away_leaves_no_process_and_no_zombie() {
    let bench = bench(
        "trap '' INT TERM\ntake; answer; take; run Well; (setsid sleep 1000 &)\nwhile :; do sleep 1000; done",
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pids = runtime.block_on(async {
        let session = bench.open(None).await;
        end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
        bench.until("the grandchild runs", || bench.alive() >= 3).await;
        std::mem::forget(session);
        bench.pids()
    });
    drop(runtime);
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while pids.iter().any(|pid| fs::exists(format!("/proc/{pid}")).unwrap()) {
        assert!(std::time::Instant::now() < end, "{pids:?} live, or are zombies");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_session_recovers_a_turn_without_harm_to_its_own_process() {
    let bench = bench("take; answer; take; run One; take; run Two; take");
    let session = bench.open(None).await;
    end_of(session.turn(bench.request(1, 1, "", "one")).await.unwrap()).await;
    assert!(matches!(session.recover(bench.key(1, 1)).await.unwrap(), Recovery::Unknown));
    assert!(matches!(session.recover(bench.key(2, 1)).await.unwrap(), Recovery::NotSeen));
    let turn = session.turn(bench.request(2, 1, "two", "")).await.unwrap();
    assert_eq!(end_of(turn).await.text.as_deref(), Some("Two"));
    assert_eq!(launches(&bench).len(), 1);
    assert!(matches!(session.recover(bench.key(2, 1)).await.unwrap(), Recovery::Unknown));
    // A host that comes after knows of the last turn, though no launch was its own.
    session.close(Close::Orderly).await.unwrap();
    let session = bench.open(None).await;
    assert!(matches!(session.recover(bench.key(2, 1)).await.unwrap(), Recovery::Unknown));
}
