//! A key is sent to its provider, and shown to nobody.

use crate::bench::{APIS, Api, Bench, KEY, request, spec};
use party_harness::{ErrorKind, Harness as _, model::ModelApi};
use std::collections::BTreeMap;
use test_support::ModelTurn;

#[tokio::test]
async fn a_key_goes_into_its_header_and_nowhere_else() {
    for (api, name, before) in [
        (Api::Anthropic, "x-api-key", ""),
        (Api::Gemini, "x-goog-api-key", ""),
        (Api::OpenAi, "authorization", "Bearer "),
        (Api::Responses, "authorization", "Bearer "),
    ] {
        let bench = Bench::new(api, [ModelTurn::text("Hello.")]).await;
        bench.end(request(&[])).await;
        let mut sent = bench.requests().remove(0);
        assert_eq!(sent["headers"][name], format!("{before}{KEY}"), "{api:?}");
        sent["headers"][name].take();
        assert!(!sent.to_string().contains(KEY), "{api:?}: {sent}");
        let session = bench.open().await;
        let shown = format!("{:?} {session:?}", bench.harness);
        assert!(!shown.contains(KEY), "{api:?}: {shown}");
    }
}

#[tokio::test]
async fn a_server_that_repeats_the_key_is_not_repeated() {
    for api in APIS {
        for status in [400, 401, 404, 429, 500] {
            let turn =
                ModelTurn::error(status, "error", format!("cannot read header Bearer {KEY}, sorry")).repeat();
            let bench = Bench::new(api, [turn]).await;
            let (events, _) = bench.run(request(&[])).await;
            let shown = format!("{events:?}");
            assert!(!shown.contains(KEY), "{api:?} {status}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_local_server_is_sent_no_key() {
    let bench = Bench::with(Api::OpenAi, [ModelTurn::text("Hello.")], |_| ModelApi::ollama()).await;
    let harness = ModelApi::ollama().at(format!("{}/v1", bench.fake.base_url()));
    let session = harness.open(spec(Some("qwen3:8b")), bench.port.clone()).await.unwrap();
    let end = crate::bench::read(&session, request(&[])).await.1;
    assert_eq!(end.text.as_deref(), Some("Hello."));
    assert_eq!(end.cost.amount(), Some(party_harness::core::Usd::ZERO), "it is free");
    let headers = &bench.requests()[0]["headers"];
    assert!(headers.get("authorization").is_none(), "{headers}");
}

#[tokio::test]
async fn a_key_is_read_from_the_seat_s_environment_and_asked_for_where_it_is_missing() {
    let bench =
        Bench::with(Api::OpenAi, [ModelTurn::text("Hello.")], |api| api.key_from("PARTY_NO_SUCH_KEY")).await;
    let error = bench.harness.open(spec(Some("m")), bench.port.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert!(error.to_string().contains("PARTY_NO_SUCH_KEY"), "{error}");
    let mut spec = spec(Some("m"));
    spec.env = BTreeMap::from([("PARTY_NO_SUCH_KEY".to_owned(), KEY.to_owned())]).into();
    let env = spec.env.clone();
    let session = bench.harness.open(spec, bench.port.clone()).await.unwrap();
    crate::bench::read(&session, request(&[])).await;
    assert_eq!(bench.requests()[0]["headers"]["authorization"], format!("Bearer {KEY}"));
    assert_eq!(bench.harness.probe().await.unwrap_err().kind(), ErrorKind::Missing);
    let harness = ModelApi::openai().at(bench.fake.base_url()).key_from("PARTY_NO_SUCH_KEY").env(env);
    assert!(harness.probe().await.unwrap().version.starts_with("openai chat completions at 127.0.0.1"));
}

#[tokio::test]
async fn a_key_is_not_sent_where_others_can_read_it() {
    let harness = ModelApi::openai().at("http://192.0.2.1/v1").key(KEY).model("m");
    let bench = Bench::new(Api::OpenAi, []).await;
    for error in
        [harness.probe().await.unwrap_err(), harness.open(spec(None), bench.port.clone()).await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("allow_plain_http"), "{error}");
    }
}
