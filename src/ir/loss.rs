use std::borrow::Cow;

use super::Dialect;

/// Something that the target dialect cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Where it stood in the source.
    pub path: String,
    /// Why it is gone.
    pub reason: Cow<'static, str>,
}

/// What a translation dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// Notes that the member at `path` was dropped.
    pub fn add(&mut self, path: impl Into<String>, reason: impl Into<Cow<'static, str>>) {
        self.0.push(Loss { path: path.into(), reason: reason.into() });
    }

    /// Notes everything that a decoder did not take.
    pub fn rest(&mut self, fields: crate::base::fields::Fields) {
        fields.rest().for_each(|(path, _)| self.add(path, "not known here"));
    }

    /// Notes the member if it is there.
    pub fn if_some<T>(&mut self, value: Option<T>, path: &str, reason: &'static str) {
        if value.is_some() {
            self.add(path, reason);
        }
    }

    /// All of them, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter()
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says members by the caller's names: whoever writes for a provider knows them by chat completions' only.
    pub fn in_words_of(&mut self, caller: Dialect) {
        let names: &[(&str, &str)] = match caller {
            Dialect::Anthropic => &[("stop", "stop_sequences"), ("reasoning_effort", "thinking")],
            Dialect::OpenAiResponses => &[("reasoning_effort", "reasoning.effort"), ("logprobs", "include")],
            Dialect::OpenAiChat | Dialect::Gemini => &[],
        };
        for loss in &mut self.0 {
            let (member, rest) = loss.path.split_at(loss.path.find(['[', '.']).unwrap_or(loss.path.len()));
            if let Some((_, own)) = names.iter().find(|(general, _)| *general == member) {
                loss.path = format!("{own}{rest}");
            }
        }
    }

    /// Takes over the losses of another translation.
    pub fn append(&mut self, other: Losses) {
        self.0.extend(other.0);
    }
}

/// A request that the target cannot serve with its meaning kept. Never silent: a 200 with another meaning is the worst outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The member that cannot be kept.
    pub path: String,
    /// Why, and what to do.
    pub message: String,
}

impl Refused {
    /// A refusal because of the member at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}
