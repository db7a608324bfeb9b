use serde_json::Value;

use super::{Arguments, Choice, Event, Part, Placement, Reasoning, Reply, StreamFault, Text, ToolCall};

/// Gathers the events of a stream into the answer that they tell.
#[derive(Debug, Default)]
pub struct Collector {
    reply: Reply,
    choice: usize,
    /// The last text or thinking of the choice is ended: more of it begins another part.
    ended: bool,
    /// Fragments of the arguments of calls that are not complete.
    fragments: Vec<(usize, u32, String)>,
    fault: Option<StreamFault>,
}

impl Collector {
    /// Takes one event in.
    pub fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start { id, model } => {
                self.reply.id = id.map(str::to_owned);
                self.reply.model = model.map(str::to_owned);
            }
            Event::Choice(index) => self.choice = index as usize,
            Event::Text(text) => match self.last() {
                Some(Part::Text(last)) => last.text.push_str(text),
                _ => self.push(Part::Text(Text::new(text))),
            },
            Event::Refusal(text) => match self.last() {
                Some(Part::Refusal(last)) => last.push_str(text),
                _ => self.push(Part::Refusal(text.to_owned())),
            },
            Event::Reasoning(text) => match self.last() {
                Some(Part::Reasoning(last)) if last.opaque.is_none() => last.text.push_str(text),
                _ => self.push(Part::Reasoning(Reasoning { text: text.to_owned(), opaque: None, path: String::new() })),
            },
            Event::Opaque(opaque) => match self.last() {
                Some(Part::Reasoning(last)) if last.opaque.is_none() && opaque.placement == Placement::Signature => last.opaque = Some(opaque),
                _ => self.push(Part::Reasoning(Reasoning { text: String::new(), opaque: Some(opaque), path: String::new() })),
            },
            Event::PartEnd => self.ended = true,
            Event::ToolCall { index, id, name, signature } => {
                self.fragments.push((self.choice, index, String::new()));
                let (id, name) = (id.unwrap_or_default().to_owned(), name.to_owned());
                let path = format!("tool_calls[{index}]");
                self.push(Part::ToolCall(ToolCall { id, name, arguments: Arguments::of_text(""), signature, cache: None, path }));
            }
            Event::ToolArguments { index, fragment } => {
                let choice = self.choice;
                if let Some((_, _, text)) = self.fragments.iter_mut().find(|(c, i, _)| (*c, *i) == (choice, index)) {
                    text.push_str(fragment);
                }
            }
            Event::ToolInput { index, arguments } => self.set_arguments(self.choice, index, arguments),
            Event::ToolEnd { .. } => {}
            Event::Citation(citation) => {
                let parts = &mut self.choice().parts;
                if let Some(Part::Text(text)) = parts.iter_mut().rev().find(|part| matches!(part, Part::Text(_))) {
                    text.citations.push(citation);
                }
            }
            Event::Logprobs(logprobs) => self.choice().logprobs = merge_logprobs(self.choice().logprobs.take(), logprobs),
            Event::Usage(usage) => self.reply.usage = Some(usage),
            Event::Finish(stop) => self.choice().stop = stop,
            Event::Fault(fault) => self.fault = Some(fault),
        }
    }

    /// The whole answer, or the error that the provider reported.
    ///
    /// # Errors
    /// The fault, if there was one.
    pub fn finish(mut self) -> Result<Reply, StreamFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        for (choice, index, text) in std::mem::take(&mut self.fragments) {
            if !text.is_empty() {
                self.set_arguments(choice, index, Arguments::of_text(&text));
            }
        }
        Ok(self.reply)
    }

    fn choice(&mut self) -> &mut Choice {
        let index = self.choice;
        if self.reply.choices.len() <= index {
            self.reply.choices.resize_with(index + 1, Choice::default);
        }
        // The line above made it so.
        #[allow(clippy::indexing_slicing)]
        &mut self.reply.choices[index]
    }

    fn last(&mut self) -> Option<&mut Part> {
        if self.ended { None } else { self.choice().parts.last_mut() }
    }

    fn push(&mut self, part: Part) {
        self.ended = false;
        self.choice().parts.push(part);
    }

    fn set_arguments(&mut self, choice: usize, index: u32, arguments: Arguments) {
        let parts = self.reply.choices.get_mut(choice).map(|choice| &mut choice.parts);
        let mut calls = parts.into_iter().flatten().filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None });
        if let Some(call) = calls.nth(index as usize) {
            call.arguments = arguments;
        }
    }
}

fn merge_logprobs(before: Option<Value>, mut more: Value) -> Option<Value> {
    let Some(mut before) = before.filter(|before| before.get("content").is_some_and(Value::is_array)) else { return Some(more) };
    if let (Some(list), Some(Value::Array(tail))) = (before.get_mut("content").and_then(Value::as_array_mut), more.get_mut("content")) {
        list.append(tail);
    }
    Some(before)
}
