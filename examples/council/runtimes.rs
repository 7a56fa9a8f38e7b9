//! The options that say where the runtimes are, and by which means they are reached.

use crate::values::{ClaudeMode, ModelApiKind};
use lexopt::Parser;
use party_examples::{
    BadInput,
    options::{flag, once, path, text},
    read_text,
};
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

/// How long a token may be; what is longer is the wrong file.
const TOKEN_LIMIT: u64 = 16 << 10;

/// What the user said of runtimes.
#[derive(Debug, Default)]
pub(crate) struct RuntimeOptions {
    pub(crate) claude_mode: Option<ClaudeMode>,
    pub(crate) claude_bin: Option<PathBuf>,
    pub(crate) codex_bin: Option<PathBuf>,
    pub(crate) codex_url: Option<String>,
    pub(crate) codex_token_file: Option<PathBuf>,
    pub(crate) codex_config: Vec<String>,
    pub(crate) openclaw_url: Option<String>,
    pub(crate) openclaw_token_file: Option<PathBuf>,
    pub(crate) model_api: Option<ModelApiKind>,
    pub(crate) model_url: Option<String>,
    pub(crate) model_key_env: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) allow_unknown_prices: bool,
}

impl RuntimeOptions {
    /// Takes an option of this kind; says whether it is one.
    pub(crate) fn take(&mut self, name: &str, parser: &mut Parser) -> Result<bool, BadInput> {
        match name {
            "claude-mode" => once(name, &mut self.claude_mode, ClaudeMode::parse(&text(name, parser)?)?)?,
            "claude-bin" => once(name, &mut self.claude_bin, path(name, parser)?)?,
            "codex-bin" => once(name, &mut self.codex_bin, path(name, parser)?)?,
            "codex-url" => once(name, &mut self.codex_url, filled(name, parser)?)?,
            "codex-token-file" => once(name, &mut self.codex_token_file, path(name, parser)?)?,
            "codex-config" => self.codex_config.push(setting(name, parser)?),
            "openclaw-url" => once(name, &mut self.openclaw_url, filled(name, parser)?)?,
            "openclaw-token-file" => once(name, &mut self.openclaw_token_file, path(name, parser)?)?,
            "model-api" => once(name, &mut self.model_api, ModelApiKind::parse(&text(name, parser)?)?)?,
            "model-url" => once(name, &mut self.model_url, filled(name, parser)?)?,
            "model-key-env" => once(name, &mut self.model_key_env, filled(name, parser)?)?,
            "model" => once(name, &mut self.model, filled(name, parser)?)?,
            "allow-unknown-prices" => flag(name, &mut self.allow_unknown_prices)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Options that only make sense together.
    pub(crate) fn check(&self) -> Result<(), BadInput> {
        let lacks = |option: &str, needs: &str| Err(BadInput::new(format!("{option} needs {needs}")));
        if self.codex_url.is_some() && self.codex_token_file.is_none() {
            return lacks("--codex-url", "--codex-token-file, the file that the server was started with");
        }
        if self.codex_token_file.is_some() && self.codex_url.is_none() {
            return lacks("--codex-token-file", "--codex-url");
        }
        if self.codex_url.is_some() && self.codex_bin.is_some() {
            return Err(BadInput::new("--codex-bin starts a server, --codex-url attaches to one: choose"));
        }
        if self.model_api == Some(ModelApiKind::Compatible) && self.model_url.is_none() {
            return lacks("--model-api compatible", "--model-url, where the server is");
        }
        match (&self.openclaw_url, &self.openclaw_token_file) {
            (None, Some(_)) => return lacks("--openclaw-token-file", "--openclaw-url"),
            (Some(_), None) => return lacks("--openclaw-url", "--openclaw-token-file, the gateway's own"),
            _ => {}
        }
        Ok(())
    }

    /// The same options again, for a command that goes on with a session.
    pub(crate) fn again(&self) -> Vec<(&'static str, OsString)> {
        let file = |path: &Option<PathBuf>| path.as_deref().map(|path| path.as_os_str().to_owned());
        let words = |text: &Option<String>| text.as_deref().map(|text| OsStr::new(text).to_owned());
        let mut given = vec![
            ("--claude-mode", self.claude_mode.map(|mode| mode.name().into())),
            ("--claude-bin", file(&self.claude_bin)),
            ("--codex-bin", file(&self.codex_bin)),
            ("--codex-url", words(&self.codex_url)),
            ("--codex-token-file", file(&self.codex_token_file)),
        ];
        given.extend(self.codex_config.iter().map(|setting| ("--codex-config", Some(setting.into()))));
        given.extend([
            ("--openclaw-url", words(&self.openclaw_url)),
            ("--openclaw-token-file", file(&self.openclaw_token_file)),
            ("--model-api", self.model_api.map(|api| api.name().into())),
            ("--model-url", words(&self.model_url)),
            ("--model-key-env", words(&self.model_key_env)),
            ("--model", words(&self.model)),
        ]);
        given.into_iter().filter_map(|(option, value)| Some((option, value?))).collect()
    }
}

fn filled(name: &str, parser: &mut Parser) -> Result<String, BadInput> {
    let value = text(name, parser)?;
    if value.trim().is_empty() { Err(BadInput::new(format!("--{name} is empty"))) } else { Ok(value) }
}

fn setting(name: &str, parser: &mut Parser) -> Result<String, BadInput> {
    let value = text(name, parser)?;
    match value.split_once('=') {
        Some((key, _)) if !key.trim().is_empty() => Ok(value),
        _ => Err(BadInput::new(format!("--{name}: `{value}` is not KEY=VALUE"))),
    }
}

/// The secret in a file, without the space around it.
pub(crate) fn secret(option: &str, file: &Path) -> Result<String, BadInput> {
    let text = read_text(option, file, TOKEN_LIMIT)?;
    match text.trim() {
        "" => Err(BadInput::new(format!("{option} {}: is empty", file.display()))),
        token if token.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Err(BadInput::new(format!("{option} {}: is more than one word", file.display())))
        }
        token => Ok(token.to_owned()),
    }
}
