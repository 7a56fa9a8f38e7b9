//! What a model was told, read out of a request of any wire.

use party_harness::conformance::Heard;
use serde_json::Value;

pub(crate) fn heard(request: &Value) -> Heard {
    let body = &request["body"];
    if body.get("contents").is_some() {
        return gemini(request);
    }
    let mut heard = Heard { model: body["model"].as_str().map(str::to_owned), ..Heard::default() };
    heard.system = texts(&body["system"]).concat();
    if let Some(instructions) = body["instructions"].as_str() {
        instructions.clone_into(&mut heard.system);
    }
    for message in list(&body["messages"]).chain(list(&body["input"])) {
        heard.said.extend(message["output"].as_str().map(str::to_owned));
        match message["role"].as_str() {
            Some("system") => heard.system = texts(&message["content"]).concat(),
            Some("user" | "tool") => heard.said.extend(texts(&message["content"])),
            _ => {}
        }
    }
    let name =
        |tool: &Value| tool["name"].as_str().or_else(|| tool["function"]["name"].as_str()).map(str::to_owned);
    heard.tools = list(&body["tools"]).filter_map(name).collect();
    heard
}

fn gemini(request: &Value) -> Heard {
    let (path, body) = (request["path"].as_str().unwrap_or_default(), &request["body"]);
    let model =
        path.rsplit_once('/').and_then(|(_, last)| last.split_once(':')).map(|(model, _)| model.to_owned());
    let told = list(&body["contents"]).filter(|content| content["role"] == "user");
    let said = told.flat_map(|content| list(&content["parts"])).filter_map(|part| {
        let response = &part["functionResponse"]["response"];
        [&part["text"], &response["output"], &response["error"]].into_iter().find_map(Value::as_str)
    });
    let declared = list(&body["tools"]).flat_map(|tools| list(&tools["functionDeclarations"]));
    Heard {
        system: texts(&body["systemInstruction"]["parts"]).concat(),
        model,
        said: said.map(str::to_owned).collect(),
        tools: declared.filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect(),
    }
}

/// The texts of some content; a tool's answer is one.
fn texts(content: &Value) -> Vec<String> {
    if let Some(text) = content.as_str() {
        return vec![text.to_owned()];
    }
    let text = |block: &Value| match &block["content"] {
        Value::Null => block["text"].as_str().map(str::to_owned),
        content => Some(texts(content).concat()),
    };
    list(content).filter_map(text).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
