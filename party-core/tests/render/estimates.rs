//! How long content is to a model.

use crate::{agent, ann, call, item, resource};
use party_core::{ContentBlock, Framing};
use serde_json::json;

#[test]
fn an_estimate_counts_bytes_frames_tags_and_images() {
    let said = |author, blocks| item(1, author, blocks).estimated_tokens();
    assert_eq!(said(ann(), vec![]), 0);
    assert_eq!(said(ann(), vec![ContentBlock::text("")]), 4);
    assert_eq!(said(ann(), vec![ContentBlock::text("a")]), 5);
    assert_eq!(said(ann(), vec![ContentBlock::text("a".repeat(300))]), 104);
    assert_eq!(said(ann(), vec![ContentBlock::text("好好好")]), 7);
    assert_eq!(said(agent("Mary"), vec![ContentBlock::text("a")]), 4 + 10, "the tags take 28 bytes");
    assert_eq!(said(ann(), vec![resource("a:b", Some("image/png"))]), 4 + 4 + 1_600);
    assert_eq!(said(ann(), vec![call("a", json!({ "q": [1] }))]), 4 + 5);
    assert_eq!(Framing::new("Be brief.").into_message().estimated_tokens(), 7);
}
