//! Parties whose agents think on model APIs.
#![expect(clippy::unwrap_used, reason = "test code")]

use party_launch::{
    ErrorKind, Party, PartyBuilder, Seat,
    bus::{Bus, BusExt as _, Classes, MemoryBus, SessionQuery},
    core::{CloseReason, Cost, Event, Failure, Offset, SessionId, TurnEnded, Usd},
    formats::Format,
    harness::{
        model::ModelApi,
        prices::{Price, Prices, Rates},
    },
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use test_support::{FakeModel, ModelTurn, Scenario};

/// A millionth of a dollar for each token.
fn prices(models: &[&str]) -> Prices {
    let rates = Rates::new(Usd::from_micros(1_000_000), Usd::from_micros(1_000_000));
    models.iter().fold(Prices::none(), |prices, model| prices.with(*model, Price::new(rates)))
}

fn builder(bus: &Arc<dyn Bus>) -> PartyBuilder {
    Party::builder(Arc::clone(bus)).folder(std::env::temp_dir().join("party-tests"))
}

fn bus() -> Arc<dyn Bus> {
    Arc::new(MemoryBus::new())
}

async fn fake(turns: impl IntoIterator<Item = ModelTurn>) -> FakeModel {
    FakeModel::start(turns.into_iter().fold(Scenario::new().count_side(), Scenario::turn)).await
}

/// Mary alone, on a harness `local`.
fn mary(bus: &Arc<dyn Bus>, fake: &FakeModel, prices: Prices) -> PartyBuilder {
    let harness = ModelApi::openai_compatible(format!("{}/v1", fake.base_url())).prices(prices);
    let seat = Seat::new("Mary", "participant").model("house-model");
    builder(bus).harness_as("local", harness).format(Format::forum()).seat(seat)
}

async fn ends(bus: &Arc<dyn Bus>, session: SessionId) -> Vec<TurnEnded> {
    let records = bus.read_to_end(session, Offset::START, Classes::FOLDED).await.unwrap();
    let end = |event| if let Event::TurnEnded(end) = event { Some(end) } else { None };
    records.iter().filter_map(|record| end(record.event().unwrap())).collect()
}

async fn costs(bus: &Arc<dyn Bus>, session: SessionId) -> Vec<Cost> {
    ends(bus, session).await.into_iter().map(|end| end.cost).collect()
}

#[tokio::test]
async fn a080_a_council_thinks_on_three_apis_and_a_model_for_each_seat() {
    let (bus, fake) = (bus(), fake([ModelTurn::text("So be it.").repeat()]).await);
    let url = fake.base_url();
    let known = || prices(&["m-mary", "m-john", "m-winston", "m-maat"]);
    let persona =
        |name: &str, harness: &str, model: &str| Seat::new(name, "persona").harness(harness).model(model);
    let party = builder(&bus)
        .harness(ModelApi::anthropic().at(url).key("k").prices(known()))
        .harness(ModelApi::openai().at(format!("{url}/v1")).key("k").prices(known()))
        .harness(ModelApi::gemini().at(url).key("k").prices(known()))
        .format(Format::council())
        .budget("1.50".parse().unwrap(), None)
        .seat(persona("Mary", "anthropic", "m-mary"))
        .seat(persona("John", "openai", "m-john"))
        .seat(persona("Winston", "gemini", "m-winston"))
        .seat(Seat::new("Maat", "judge").harness("anthropic").model("m-maat"));
    let party = party.start("Ship?").await.unwrap();
    let finished = tokio::time::timeout(Duration::from_secs(30), party.finished()).await;
    assert_eq!(finished.expect("it ends").unwrap(), CloseReason::Finished);
    let mut asked: Vec<String> = fake.model_requests().iter().map(asked_for).collect();
    asked.sort_unstable();
    let expected = [
        "/v1/chat/completions m-john",
        "/v1/messages m-maat",
        "/v1/messages m-mary",
        "m-winston:streamGenerateContent",
    ];
    assert_eq!(asked, expected);
    let each = Cost::Estimated(Usd::from_micros(1_110 + 42));
    assert_eq!(costs(&bus, party.session()).await, [each; 4]);
}

/// The path's end of a request, and its model.
fn asked_for(request: &Value) -> String {
    let path = request["path"].as_str().unwrap();
    match request["body"]["model"].as_str() {
        Some(model) => format!("{path} {model}"),
        None => path.rsplit('/').next().unwrap().trim_end_matches("?alt=sse").to_owned(),
    }
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_by_name_and_nothing_is_written() {
    let (bus, fake) = (bus(), fake([ModelTurn::text("Hello.").repeat()]).await);
    let error = mary(&bus, &fake, prices(&["another"])).start("Ship?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Price);
    assert_eq!(
        error.to_string(),
        "nobody knows what seat `Mary` costs: model `house-model` on harness `local` has no price; \
         give it one among the harness's prices, or allow it by `allow_unknown_prices`"
    );
    let harness = ModelApi::openai_compatible(format!("{}/v1", fake.base_url()));
    let nameless = builder(&bus).harness_as("local", harness).seat(Seat::new("Mary", "participant"));
    assert_eq!(
        nameless.start("Ship?").await.unwrap_err().to_string(),
        "nobody knows what seat `Mary` costs: it names no model, and harness `local` has no default; name one, \
         or allow it by `allow_unknown_prices`"
    );
    assert!(bus.sessions(SessionQuery::newest()).await.unwrap().entries.is_empty());
    assert!(fake.model_requests().is_empty());
    let party = mary(&bus, &fake, prices(&["house-model"])).start("Ship?").await.unwrap();
    party.at_rest().await.unwrap();
    assert_eq!(costs(&bus, party.session()).await, [Cost::Estimated(Usd::from_micros(1_152))]);
}

#[tokio::test]
async fn an_unknown_price_that_is_allowed_is_unknown_and_not_nothing() {
    let (bus, fake) = (bus(), fake([ModelTurn::text("Hello.").repeat()]).await);
    let cap: Usd = "1.50".parse().unwrap();
    let party =
        mary(&bus, &fake, Prices::none()).allow_unknown_prices().budget(cap, Some(Usd::from_micros(7)));
    let party = party.start("Ship?").await.unwrap();
    party.at_rest().await.unwrap();
    assert_eq!(costs(&bus, party.session()).await, [Cost::Unknown]);
    assert_eq!(party.spent(), Usd::from_micros(7), "all that the turn has set aside");
    let session = party.session();
    party.shutdown().await.unwrap();
    let harness = || ModelApi::openai_compatible(format!("{}/v1", fake.base_url()));
    let resumed = builder(&bus).harness_as("local", harness()).resume(session).await;
    assert_eq!(resumed.unwrap_err().kind(), ErrorKind::Price, "it is asked again");
    builder(&bus).harness_as("local", harness()).allow_unknown_prices().resume(session).await.unwrap();
}

#[tokio::test]
async fn a022_a_turn_that_has_to_call_a_tool_is_over_when_it_was_called() {
    let share = ModelTurn::tool_use("share", json!({"text": "Ship it."}));
    let (bus, fake) = (bus(), fake([share, ModelTurn::text("Never asked for.").repeat()]).await);
    let mut format = Format::forum();
    for intent in format.intents.values_mut() {
        intent.tool_choice = party_launch::formats::ToolChoice::Until("share".to_owned());
    }
    let known = prices(&["house-model"]);
    let party = mary(&bus, &fake, known).format(format).start("Ship?").await.unwrap();
    party.at_rest().await.unwrap();
    let requests = fake.model_requests();
    assert_eq!(
        (requests.len(), &requests[0]["body"]["tool_choice"]),
        (1, &json!("required")),
        "{requests:?}"
    );
    let mut feed = party.feed();
    let mut said = Vec::new();
    for _ in 0..2 {
        said.push(feed.next().await.unwrap().unwrap().text());
    }
    assert_eq!(said, ["Ship?", "Ship it."]);
}

#[tokio::test]
async fn a024_a026_a027_an_intent_says_when_its_turn_is_done() {
    let look = || ModelTurn::tool_use("share", json!({"text": "Ship it."})).repeat();
    let cases = [
        ("{ tools: [share], shares: 100, completion: firstStep }", 1, None),
        ("{ tools: [share], shares: 100, completion: { toolCall: share } }", 1, None),
        ("{ tools: [share], shares: 100, completion: { steps: 3 } }", 3, None),
        ("{ tools: [share], shares: 100, mostSteps: 2 }", 2, Some(Failure::StepLimit)),
    ];
    for (intent, steps, failure) in cases {
        let (bus, fake) = (bus(), fake([look()]).await);
        let text = format!(
            "name: room\nroles: {{ participant: {{ intent: speak }} }}\nintents: {{ speak: {intent} }}\n"
        );
        let format = Format::from_yaml(&text).unwrap();
        let party = mary(&bus, &fake, prices(&["house-model"])).format(format).start("Ship?").await.unwrap();
        party.at_rest().await.unwrap();
        assert_eq!(fake.model_requests().len(), steps, "{intent}");
        let ends: Vec<_> = ends(&bus, party.session()).await.into_iter().map(|end| end.failure).collect();
        assert_eq!(ends, [failure], "{intent}");
    }
}

#[tokio::test]
async fn the_log_is_a_seat_s_memory_after_a_restart_too() {
    let (bus, fake) = (bus(), fake(["One.", "Two.", "Three."].map(ModelTurn::text)).await);
    let known = || prices(&["house-model"]);
    let party = mary(&bus, &fake, known()).start("First?").await.unwrap();
    party.at_rest().await.unwrap();
    party.post("Second?").await.unwrap();
    party.at_rest().await.unwrap();
    let session = party.session();
    party.shutdown().await.unwrap();
    let harness = ModelApi::openai_compatible(format!("{}/v1", fake.base_url())).prices(known());
    let party = builder(&bus).harness_as("local", harness).resume(session).await.unwrap();
    party.post("Third?").await.unwrap();
    party.at_rest().await.unwrap();
    let last = fake.model_requests().pop().unwrap();
    let heard = last["body"]["messages"].as_array().unwrap().iter();
    let heard: Vec<(&str, &str)> = heard
        .filter(|message| message["role"] != "system")
        .map(|message| (message["role"].as_str().unwrap(), message["content"].as_str().unwrap()))
        .collect();
    let said = [
        ("user", "First?"),
        ("assistant", "One."),
        ("user", "Second?"),
        ("assistant", "Two."),
        ("user", "Third?"),
    ];
    assert_eq!(heard.len(), said.len(), "{heard:?}");
    for ((role, text), (expected_role, expected)) in heard.iter().zip(said) {
        assert!(*role == expected_role && text.starts_with(expected), "{heard:?}");
    }
}
