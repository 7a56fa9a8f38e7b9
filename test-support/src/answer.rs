//! A turn with all that is fixed when its request arrives, whichever API it is told through.

use serde_json::{Map, Value, json};

use crate::{Block, ModelTurn};

/// What a stream does next.
#[derive(Debug)]
pub(crate) enum Step {
    Pause(u64),
    Gate,
    Event(Value),
}

/// A turn whose ids are given.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) turn: ModelTurn,
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) pieces: Vec<Piece>,
}

/// A block with nothing left to choose.
#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Thinking {
        text: String,
        signature: String,
    },
    Call {
        id: String,
        name: String,
        input: Map<String, Value>,
        /// The arguments as they are streamed; broken JSON where the scenario says so.
        streamed: String,
    },
}

/// Tokens of an answer, by the names that the scenario uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens {
    pub(crate) input: u64,
    pub(crate) cached: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
}

impl Answer {
    pub(crate) fn new(turn: ModelTurn, requested: &str, mut next_id: impl FnMut(&str) -> String) -> Self {
        let id = next_id("msg");
        let model = turn.model.clone().unwrap_or_else(|| requested.to_owned());
        let pieces = turn.blocks.iter().map(|block| Piece::new(block, &mut next_id)).collect();
        Self { turn, id, model, pieces }
    }

    pub(crate) fn calls_tool(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Call { .. }))
    }

    /// What the scenario says of usage over the fake's own counts.
    pub(crate) fn usage(&self) -> Map<String, Value> {
        let mut usage = usage_at_start();
        usage.insert("output_tokens".to_owned(), json!(42));
        usage.extend(self.turn.usage.clone());
        usage
    }

    /// The same for APIs that count all input in one number.
    pub(crate) fn tokens(&self) -> Tokens {
        let usage = self.usage();
        let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
        let cached = count("cache_read_input_tokens");
        Tokens {
            input: count("input_tokens") + count("cache_creation_input_tokens") + cached,
            cached,
            output: count("output_tokens"),
            reasoning: count("reasoning_tokens"),
        }
    }

    /// Holds a stream before the block where the scenario says so.
    pub(crate) fn before_piece(&self, index: usize, steps: &mut Vec<Step>) {
        steps.push(Step::Pause(self.turn.block_delay_ms));
        if self.turn.gate_at_block == Some(index) {
            steps.push(Step::Gate);
        }
    }

    /// One event for each part of a text.
    pub(crate) fn deltas(&self, text: &str, steps: &mut Vec<Step>, event: impl Fn(String) -> Value) {
        for part in parts(text, self.turn.chunk) {
            steps.extend([Step::Pause(self.turn.chunk_delay_ms), Step::Event(event(part))]);
        }
    }
}

impl Piece {
    fn new(block: &Block, next_id: &mut impl FnMut(&str) -> String) -> Self {
        match block {
            Block::Text { text, gen_bytes } => Self::Text(gen_bytes.map_or_else(|| text.clone(), generated)),
            Block::Thinking { text, signature } => Self::Thinking {
                text: text.clone(),
                signature: signature.clone().unwrap_or_else(|| "c2lnbmF0dXJl".to_owned()),
            },
            Block::ToolUse { name, input, id, raw_json } => Self::Call {
                id: id.clone().unwrap_or_else(|| next_id("toolu")),
                name: name.clone(),
                input: input.clone(),
                streamed: raw_json.clone().unwrap_or_else(|| json!(input).to_string()),
            },
        }
    }
}

pub(crate) fn usage_at_start() -> Map<String, Value> {
    let counts = [
        ("input_tokens", 100),
        ("cache_creation_input_tokens", 10),
        ("cache_read_input_tokens", 1000),
        ("output_tokens", 1),
    ];
    let mut usage: Map<_, _> =
        counts.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect();
    usage.insert("service_tier".to_owned(), json!("standard"));
    usage
}

fn generated(bytes: usize) -> String {
    "0123456789abcdef".chars().cycle().take(bytes).collect()
}

fn parts(text: &str, size: Option<usize>) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let size = size.unwrap_or(chars.len() / 3 + 1).max(1);
    chars.chunks(size).map(|part| part.iter().collect()).collect()
}
