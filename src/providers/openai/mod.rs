//! OpenAI: <https://platform.openai.com/docs/api-reference>.

mod quirks;

use super::compatible::Compatible;

pub(super) use quirks::{dialects, edit_hub};

pub(super) static PROVIDER: Compatible = Compatible {
    id: "openai",
    url_var: "OPENAI_BASE_URL",
    default_url: "https://api.openai.com/v1",
    path: "",
    key_var: "OPENAI_API_KEY",
    key_settings: &[("value", "OPENAI_API_KEY")],
    missing: "set the secret OPENAI_API_KEY: wrangler secret put OPENAI_API_KEY",
    dialects,
    needs_key: true,
    is_openai: true,
    refuses_reasoning: true,
    edit_hub,
    edit_identity: |_, _| {},
};
