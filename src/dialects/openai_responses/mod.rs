//! OpenAI Responses: its place in the house. Callers of `/openai/v1/responses` are told that it is not served yet.
//!
//! <https://platform.openai.com/docs/api-reference/responses>
