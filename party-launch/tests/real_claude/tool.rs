//! A tool of the host: from the model, through the CLI and a port or its own pipes, to the host and back.

use crate::{
    host::Host,
    stage::{QUESTION, Stage, called, events, feed, said, tools},
    way::{Way, in_both_ways},
};
use party_launch::{
    PartyBuilder, Seat, Tool,
    bus::Bus,
    core::{CloseReason, Event, SessionId},
    formats::Format,
};
use serde_json::{Value, json};
use std::{fs, io::Write as _, path::Path};
use test_support::{ModelTurn, Scenario};

in_both_ways!(
    a049_a_host_s_tool_is_offered_at_first_called_and_its_answer_is_seen_by_the_model,
    a201_killed_between_commit_and_reply_a_host_s_tool_that_is_called_again_ran_once,
);

const ORDER: &str = "mcp__party__order";

/// Ada may order, once the host knows how; each run is a line in a file beside the store.
pub(crate) fn desk(builder: PartyBuilder, root: &Path) -> PartyBuilder {
    let format = Format::from_yaml(
        "
name: desk
roles: { clerk: { intent: answer } }
intents: { answer: { tools: [order] } }
quiescence: [{ do: { close: { reason: finished } } }]
",
    );
    ordering(builder, root).format(format.unwrap()).seat(Seat::new("Ada", "clerk"))
}

fn schema() -> Value {
    json!({ "type": "object", "properties": { "what": { "type": "string" } }, "required": ["what"] })
}

fn ordering(builder: PartyBuilder, root: &Path) -> PartyBuilder {
    let runs = root.join("runs");
    builder.tool(Tool::new("order", "Orders an article.", schema(), move |arguments, call| {
        let runs = runs.clone();
        async move {
            let mut file = fs::File::options().create(true).append(true).open(runs)?;
            writeln!(file, "{}", call.call)?;
            Ok(format!("ordered \"{}\" → for {}", arguments["what"].as_str().unwrap(), call.agent).into())
        }
    }))
}

fn order() -> ModelTurn {
    ModelTurn::tool_use(ORDER, json!({ "what": "größer <&>" })).when(called("Ada"))
}

const ORDERED: &str = "ordered \"größer <&>\" → for Ada";

fn runs(stage: &Stage) -> Vec<String> {
    fs::read_to_string(stage.root().join("runs")).unwrap().lines().map(str::to_owned).collect()
}

/// The calls on the log, and their answers with whether each was given again.
async fn calls(bus: &dyn Bus, session: SessionId) -> (Vec<String>, Vec<(String, bool)>) {
    let (mut asked, mut answers) = (Vec::new(), Vec::new());
    for event in events(bus, session).await {
        match event {
            Event::ToolCalled(call) => asked.push(call.call),
            Event::ToolRan(ran) => answers.push((ran.text, false)),
            Event::ToolAnswered(answer) => answers.push((answer.text, answer.repeated)),
            _ => {}
        }
    }
    (asked, answers)
}

async fn a049_a_host_s_tool_is_offered_at_first_called_and_its_answer_is_seen_by_the_model(way: Way) {
    let done = ModelTurn::text("It is ordered.").when(called("Ada")).when("tool_result");
    let stage = Stage::on(way, Scenario::new().turn(order()).turn(done)).await;
    let bus = stage.bus().await;
    let party = desk(stage.builder(bus.clone()), stage.root()).start(QUESTION).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    let session = party.session();
    party.shutdown().await.unwrap();

    let asked = stage.asked("Ada");
    assert_eq!(asked.len(), 2);
    assert_eq!(tools(&asked[0]), [ORDER], "in the first request, and nothing else");
    let offered = &asked[0]["body"]["tools"][0];
    assert_eq!(
        (&offered["description"], &offered["input_schema"]),
        (&json!("Orders an article."), &schema())
    );
    let (ids, answers) = calls(bus.as_ref(), session).await;
    assert_eq!(answers, [(ORDERED.to_owned(), false)]);
    assert_eq!(runs(&stage), ids, "the host is given the runtime's own id");
    let last = asked[1]["body"]["messages"].as_array().unwrap().iter().rfind(|m| m["role"] == "user");
    let result = &last.unwrap()["content"].as_array().unwrap()[0];
    assert_eq!(result["tool_use_id"], json!(ids[0]), "returned by id");
    assert_eq!(said(&asked[1]).last().unwrap().1, format!("[{ORDERED}]"));
    let feed = feed(bus.as_ref(), session).await;
    assert_eq!(feed, [format!("you: {QUESTION}"), "Ada: It is ordered.".to_owned()]);
    assert_eq!(stage.living().len(), 0);
}

async fn a201_killed_between_commit_and_reply_a_host_s_tool_that_is_called_again_ran_once(way: Way) {
    let orphan = ModelTurn::text("Unheard.").when(called("Ada")).when("tool_result");
    let stage = Stage::on(way, Scenario::new().turn(order()).turn(orphan)).await;
    let mut host = Host::start(&stage, "desk").await;
    host.told("answered").await;
    let (bus, session) = (stage.bus().await, host.session);
    host.kill().await;

    let answered = "was answered: ordered ";
    let again = order().when(answered);
    let done = ModelTurn::text("It is ordered.").when(called("Ada")).when(answered);
    stage.set(Scenario::new().turn(again).turn(done));
    let party = ordering(stage.builder(bus.clone()), stage.root()).resume(session).await.unwrap();
    assert_eq!(party.finished().await.unwrap(), CloseReason::Finished);
    party.shutdown().await.unwrap();
    assert_eq!(stage.living().len(), 0);
    assert_eq!(runs(&stage).len(), 1);
    let (ids, answers) = calls(bus.as_ref(), session).await;
    assert_eq!(ids.len(), 2);
    assert_eq!(answers, [(ORDERED.to_owned(), false), (ORDERED.to_owned(), true)]);
    let asked = stage.asked("Ada");
    let told = said(asked.last().unwrap());
    assert_eq!(told.last().unwrap().1, format!("[{ORDERED}]"), "the stored answer, once more");
}
