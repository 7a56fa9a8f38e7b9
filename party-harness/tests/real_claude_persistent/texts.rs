//! What the model is told, byte for byte, also where a process has served turns before.

use crate::{
    claude::end_of,
    host::{begin, host},
    stage::{last, said_by_user},
};
use test_support::{ClaudeVersion, ModelTurn, Scenario};

test_support::on_each_claude!(a166_hostile_texts_arrive_byte_for_byte_in_every_turn);

async fn a166_hostile_texts_arrive_byte_for_byte_in_every_turn(version: ClaudeVersion) {
    let mut texts: Vec<String> =
        ["@/etc/hostname", "/clear", "!ls", "--help", "a\u{2028}b", "{\"type\":\"user\"}"]
            .map(String::from)
            .into();
    texts.push("0123456789abcdef".repeat(300 * 64));
    let (bench, fake) = host(version, Scenario::new().default_turn(ModelTurn::text("Seen."))).await;
    let session = bench.open(None).await;
    for (turn, text) in (1..).zip(&texts) {
        let end = end_of(begin(&session, bench.request(turn, 1, text, text)).await).await;
        assert_eq!(end.text.as_deref(), Some("Seen."), "{:?}: {end:?}", &text[..text.len().min(20)]);
        assert_eq!(said_by_user(&last(&fake)).pop().unwrap(), [text.as_str()]);
    }
    let said: Vec<String> = said_by_user(&last(&fake)).concat();
    assert_eq!(said, texts, "one session");
}
