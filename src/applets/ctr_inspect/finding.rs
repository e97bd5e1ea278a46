//! One finding.

use serde::Serialize;
use serde_json::Value;

#[derive(Serialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// True and worth knowing; also true of most containers.
    Note,
    /// Likely to hurt.
    Medium,
    /// Hurts now, or gives the host away.
    High,
}

#[derive(Serialize, Debug, Clone)]
pub(super) struct Finding {
    pub id: &'static str,
    pub severity: Severity,
    pub text: String,
    pub evidence: Vec<Evidence>,
    pub why: &'static str,
    /// What the text only counts. The evidence has it too.
    #[serde(skip)]
    pub more: Vec<String>,
    #[serde(rename = "do")]
    pub remedy: &'static str,
}

/// A value of the report.
#[derive(Serialize, Debug, Clone)]
pub(super) struct Evidence {
    pub path: String,
    pub value: Value,
}
