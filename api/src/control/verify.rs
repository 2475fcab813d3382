//! What `verify` answers: are the copies of connections what their owners have?

use serde::{Deserialize, Serialize};

/// How the last comparison with each peer has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReply {
    /// Every living peer of ours; empty where nothing is replicated.
    pub peers: Vec<VerifyPeer>,
    /// One sentence for people.
    pub text: String,
}

/// The comparison with one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyPeer {
    /// The peer's name.
    pub node: String,
    /// Is this node's copy of its connections equal to them? Null while nothing was compared.
    pub equal: Option<bool>,
    /// Connections found different and not repaired yet.
    pub divergent: Option<u64>,
    /// When the copy was last found equal, RFC 3339 UTC with milliseconds.
    pub verified_at: Option<String>,
    /// How long ago that was, in milliseconds.
    pub age_ms: Option<u64>,
}

impl VerifyReply {
    /// The exit code of `evergate verify`: 0 equal with every peer, 1 different with one, 2 not
    /// known.
    pub fn exit_code(&self) -> u8 {
        let any = |wanted| self.peers.iter().any(|peer| peer.equal == wanted);
        match (any(Some(false)), any(None) || self.peers.is_empty()) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        }
    }
}
