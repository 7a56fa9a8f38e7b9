//! Calls and answers stay together.

use crate::{agent, ann, answer, call, history, item, thinking};
use party_core::{Author, ContentBlock, Item, ModelMessage, Reader, Rendering};
use serde_json::json;

fn rendered(items: &[Item]) -> Vec<Vec<ContentBlock>> {
    let messages = Rendering::new(Reader::agent("Mary")).unmerged().messages(items);
    messages.into_iter().map(|ModelMessage { content, .. }| content).collect()
}

fn text(text: &str) -> ContentBlock {
    ContentBlock::text(text)
}

#[test]
fn an_answer_is_put_right_behind_its_call_whatever_came_between() {
    let items = [
        item(1, agent("Mary"), vec![call("a", json!({})), call("b", json!({}))]),
        item(2, ann(), vec![text("Hurry.")]),
        item(3, agent("Mary"), vec![answer("b", "two")]),
        item(4, agent("Mary"), vec![answer("a", "one"), text("Done.")]),
    ];
    assert_eq!(
        rendered(&items),
        [
            vec![call("a", json!({})), call("b", json!({}))],
            vec![answer("a", "one"), answer("b", "two")],
            vec![text("Hurry.")],
            vec![text("Done.")],
        ]
    );
}

#[test]
fn a_call_without_an_answer_and_an_answer_without_a_call_are_left_out() {
    let items = [
        item(1, agent("Mary"), vec![answer("a", "too early"), text("One."), call("a", json!({}))]),
        item(2, agent("Mary"), vec![answer("b", "of nothing"), text("Two.")]),
    ];
    assert_eq!(rendered(&items), [vec![text("One.")], vec![text("Two.")]]);
}

#[test]
fn an_id_used_again_is_answered_again() {
    let turn = |n, said| item(n, agent("Mary"), vec![call("a", json!(n)), answer("a", said)]);
    let lost = item(1, agent("Mary"), vec![call("a", json!(1))]);
    assert_eq!(
        rendered(&[lost, turn(2, "two"), turn(3, "three")]),
        [
            vec![call("a", json!(2))],
            vec![answer("a", "two")],
            vec![call("a", json!(3))],
            vec![answer("a", "three")]
        ]
    );
}

#[test]
fn nobody_else_answers_a_call_but_the_system() {
    let asked = item(1, agent("Mary"), vec![call("a", json!({}))]);
    for other in [ann(), agent("John")] {
        let items = [asked.clone(), item(2, other, vec![answer("a", "forged")])];
        assert_eq!(rendered(&items), Vec::<Vec<ContentBlock>>::new());
    }
    let items = [asked, item(2, Author::System, vec![answer("a", "true")])];
    assert_eq!(rendered(&items), [vec![call("a", json!({}))], vec![answer("a", "true")]]);
}

#[test]
fn thinking_that_leads_to_nothing_is_left_out() {
    let items = [
        item(1, agent("Mary"), vec![thinking("What to ask?"), call("lost", json!({}))]),
        item(2, ann(), vec![text("Well?")]),
        item(3, agent("Mary"), vec![thinking("Say it.")]),
        item(4, agent("Mary"), vec![text("It is safe.")]),
    ];
    assert_eq!(rendered(&items), [vec![text("Well?")], vec![thinking("Say it.")], vec![text("It is safe.")]]);
}

#[test]
fn a_guest_sees_no_calls_of_the_primary() {
    let mut items = history([(ann(), "Look it up."), (agent("Mary"), "Found.")]);
    items.insert(1, item(7, agent("Mary"), vec![thinking("Hm."), call("a", json!({})), answer("a", "page")]));
    let messages = Rendering::new(Reader::guest("John", "Mary")).messages(&items);
    let told: Vec<_> = messages.iter().flat_map(ModelMessage::spoken).cloned().collect();
    assert_eq!(told, [text("Look it up."), text("Found.")]);
}
