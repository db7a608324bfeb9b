//! What a stream has told so far, for the record of its request: kept while it passes, or gathered from a copy afterwards.

use crate::base::sse;
use crate::dialects::DecodeStream;
use crate::ir::{Event, Usage};

/// What was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The model that answers.
    pub model: Option<String>,
    /// The tokens, as the provider counts them.
    pub usage: Option<Usage>,
    /// How many characters the model has written, thinking and arguments of tools included.
    pub written: u64,
    /// What it wrote, where that is wanted.
    pub said: Option<String>,
    /// The word for what failed.
    pub fault: Option<String>,
    /// Whether the model said that it was done.
    pub finished: bool,
    /// How many bytes the caller was sent of it, where it was translated.
    pub sent: u64,
}

impl Tally {
    /// One that also keeps what the model writes, if `wanted`.
    pub fn keeping(wanted: bool) -> Self {
        Self { said: wanted.then(String::new), ..Self::default() }
    }

    /// Takes one event in.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { model, .. } => self.model = model.map(str::to_owned).or(self.model.take()),
            Event::Text(text) | Event::Refusal(text) | Event::Reasoning(text) => self.write(text),
            Event::ToolCall { name, .. } => self.write(name),
            Event::ToolArguments { fragment, .. } => self.write(fragment),
            Event::ToolInput { arguments, .. } => self.write(&arguments.to_text()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Fault(fault) => self.fault = Some(fault.code.clone().unwrap_or_else(|| "upstream_error".to_owned())),
            Event::Finish(_) => self.finished = true,
            Event::Choice(_) | Event::Opaque(_) | Event::PartEnd | Event::ToolEnd { .. } | Event::Citation(_) | Event::Logprobs(_) => {}
        }
    }

    fn write(&mut self, text: &str) {
        self.written += text.chars().count() as u64;
        if let Some(said) = &mut self.said {
            said.push_str(text);
        }
    }

    /// Reads as much of a stream as there is.
    pub fn of_stream(body: &[u8], mut decoder: Box<dyn DecodeStream>, keep: bool) -> Self {
        let mut tally = Self::keeping(keep);
        sse::each(body, |event| decoder.event(event, &mut |event| tally.event(&event)));
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Dialect;
    use crate::lanes::hub;

    #[test]
    fn half_a_stream_tells_what_was_delivered() {
        let half = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"claude\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n\
            event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
            event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hällo\"}}\n\n\
            event: content_block_delta\ndata: {\"type\":\"content_bl";
        let tally = Tally::of_stream(half.as_bytes(), hub::decoder(Dialect::Anthropic), true);
        assert_eq!((tally.model.as_deref(), tally.written, tally.said.as_deref()), (Some("claude"), 5, Some("Hällo")));
        assert_eq!(tally.usage.map(|usage| usage.input), Some(9));
        assert!(!tally.finished);
    }
}
