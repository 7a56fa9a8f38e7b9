//! What this host is to a gateway: an operator that runs agents, or a node that has tools.

/// The version of the protocol that is spoken.
pub(super) const PROTOCOL: u64 = 4;

/// The one command that a node of this host takes. Gateways know it as that of tools which a node has
/// from MCP servers: no configuration has to allow it, a call may take two minutes where others have
/// thirty seconds, and texts and errors pass as they are.
pub(crate) const COMMAND: &str = "mcp.tools.call.v1";

/// What a connection asks to be. Names are of closed lists in the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Role {
    pub(super) client: &'static str,
    pub(super) mode: &'static str,
    pub(super) role: &'static str,
    pub(super) scopes: &'static [&'static str],
    pub(super) caps: &'static [&'static str],
    pub(super) commands: &'static [&'static str],
}

impl Role {
    /// Its name.
    pub(super) const fn role(&self) -> &'static str {
        self.role
    }
}

/// Runs agents. A session's list of tools can be set by an administrator only, and approving the node
/// takes the scope of pairing.
pub(crate) const OPERATOR: Role = Role {
    client: "gateway-client",
    mode: "backend",
    role: "operator",
    scopes: &["operator.read", "operator.write", "operator.admin", "operator.pairing"],
    // Without it no call of a tool is told of.
    caps: &["tool-events"],
    commands: &[],
};

/// Has the host's tools. A gateway gives nodes no scopes.
pub(crate) const NODE: Role = Role {
    client: "node-host",
    mode: "node",
    role: "node",
    scopes: &[],
    caps: &["party"],
    commands: &[COMMAND],
};
