//! Events → Responses stream.
//!
//! Every item is added, told and done; `sequence_number` counts without gaps from 0; the last event holds the whole response.
//! Text and thinking are done when something else begins. Calls stay open until they are complete, since providers
//! interleave them and Responses may, too.

use serde_json::{Value, json};

use super::response::{
    State, call, call_prefix, free_input, item_id, logprobs, message, or_empty_object, output_text, reasoning, refusal, response, response_id,
    summary_text, url_citation,
};
use super::words::encode_stop;
use crate::base::text::write_json_str;
use crate::dialects::EncodeStream;
use crate::ir::{Called, Context, Event, NameMap, Opaque, Placement, Stop, StreamFault, Usage};

/// Writes a stream of response events.
#[derive(Debug)]
pub struct Encoder {
    context: Context,
    names: NameMap,
    id: String,
    started: bool,
    sequence: u64,
    items: Vec<Item>,
    usage: Option<Usage>,
    stop: Option<Stop>,
    /// Only the first choice is shown: a response is one answer.
    choice: u32,
    /// Signatures of text, told after its message: sources of the text may still come.
    waiting: Vec<Opaque>,
    /// The whole answer, once it is told.
    told: Option<Value>,
}

#[derive(Debug)]
struct Item {
    id: String,
    kind: Kind,
    done: bool,
}

#[derive(Debug)]
enum Kind {
    Message(Vec<Content>),
    Reasoning { text: String, opaque: Option<Opaque> },
    Call { index: u32, call_id: String, tool: Called, arguments: String },
}

#[derive(Debug, Default)]
struct Content {
    is_refusal: bool,
    text: String,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
    done: bool,
}

impl Content {
    fn value(&self) -> Value {
        if self.is_refusal { refusal(&self.text) } else { output_text(&self.text, self.annotations.clone(), self.logprobs.clone()) }
    }
}

impl Item {
    fn value(&self, status: &str) -> Value {
        match &self.kind {
            Kind::Message(content) => message(&self.id, status, content.iter().map(Content::value).collect()),
            Kind::Reasoning { text, opaque } => reasoning(&self.id, text, opaque.as_ref()),
            Kind::Call { call_id, tool, arguments, .. } => call(&self.id, call_id, tool, arguments, status),
        }
    }
}

impl Encoder {
    /// An encoder for one answer.
    pub fn new(context: Context, names: NameMap) -> Self {
        let id = response_id(&context);
        Self {
            context,
            names,
            id,
            started: false,
            sequence: 0,
            items: Vec::new(),
            usage: None,
            stop: None,
            choice: 0,
            waiting: Vec::new(),
            told: None,
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            for kind in ["response.created", "response.in_progress"] {
                let response = self.response("in_progress", None, None);
                self.frame(kind, json!({"response": response}), out);
            }
        }
    }

    fn response(&self, status: &'static str, incomplete: Option<&'static str>, error: Option<(&'static str, &str)>) -> Value {
        let open = if status == "in_progress" { "in_progress" } else { "incomplete" };
        let output = self.items.iter().map(|item| item.value(if item.done { "completed" } else { open })).collect();
        let state = State {
            id: &self.id,
            status,
            created: self.context.now,
            completed: status == "completed",
            output,
            usage: self.usage.as_ref().filter(|_| status != "in_progress"),
            incomplete,
            error,
        };
        response(state, &self.context)
    }

    /// One event; the type and the number come first.
    fn frame(&mut self, kind: &str, data: Value, out: &mut Vec<u8>) {
        let rest = data.to_string();
        self.head(kind, out);
        if let Some(members) = rest.strip_prefix('{').filter(|members| *members != "}") {
            out.push(b',');
            out.extend_from_slice(members.as_bytes());
        } else {
            out.push(b'}');
        }
        out.extend_from_slice(b"\n\n");
    }

    fn head(&mut self, kind: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: {\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\",\"sequence_number\":");
        out.extend_from_slice(self.sequence.to_string().as_bytes());
        self.sequence += 1;
    }

    /// A delta without building a tree: nearly every event of a stream is one.
    fn delta(&mut self, kind: &str, at: usize, inner: Option<(&str, usize)>, text: &str, out: &mut Vec<u8>) {
        self.head(kind, out);
        out.extend_from_slice(b",\"item_id\":");
        write_json_str(out, self.items.get(at).map_or("", |item| &item.id));
        out.extend_from_slice(b",\"output_index\":");
        out.extend_from_slice(at.to_string().as_bytes());
        if let Some((name, index)) = inner {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(index.to_string().as_bytes());
        }
        out.extend_from_slice(b",\"delta\":");
        write_json_str(out, text);
        out.extend_from_slice(if kind == "response.output_text.delta" { b",\"logprobs\":[]}\n\n" } else { b"}\n\n" });
    }

    fn add(&mut self, prefix: &str, kind: Kind, out: &mut Vec<u8>) -> usize {
        self.tell_waiting(out);
        self.start(out);
        self.close_before_next(out);
        let at = self.items.len();
        self.items.push(Item { id: item_id(prefix, &self.id, at), kind, done: false });
        let item = self.items.last().map(|item| item.value("in_progress"));
        self.frame("response.output_item.added", json!({"output_index": at, "item": item}), out);
        at
    }

    /// Text and thinking end where something else begins, calls where their arguments are whole.
    fn close_before_next(&mut self, out: &mut Vec<u8>) {
        for at in 0..self.items.len() {
            let ends = self.items.get(at).is_some_and(|item| match &item.kind {
                Kind::Call { arguments, .. } => serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_ok(),
                _ => true,
            });
            if ends {
                self.close(at, out);
            }
        }
    }

    fn close(&mut self, at: usize, out: &mut Vec<u8>) {
        if self.items.get(at).is_none_or(|item| item.done) {
            return;
        }
        self.close_content(at, out);
        let Some(item) = self.items.get_mut(at) else { return };
        item.done = true;
        let (id, value) = (item.id.clone(), item.value("completed"));
        match &item.kind {
            Kind::Message(_) => {}
            Kind::Reasoning { text, .. } if text.is_empty() => {}
            Kind::Reasoning { text, .. } => {
                let text = text.clone();
                let part = summary_text(&text);
                self.frame("response.reasoning_summary_text.done", json!({"item_id": id, "output_index": at, "summary_index": 0, "text": text}), out);
                self.frame("response.reasoning_summary_part.done", json!({"item_id": id, "output_index": at, "summary_index": 0, "part": part}), out);
            }
            Kind::Call { arguments, tool: Called { free_form: true, .. }, .. } => {
                let input = free_input(arguments);
                self.delta("response.custom_tool_call_input.delta", at, None, &input, out);
                self.frame("response.custom_tool_call_input.done", json!({"item_id": id, "output_index": at, "input": input}), out);
            }
            Kind::Call { arguments, tool: Called { name, .. }, .. } => {
                let done = json!({"item_id": id, "output_index": at, "name": name, "arguments": or_empty_object(arguments)});
                self.frame("response.function_call_arguments.done", done, out);
            }
        }
        self.frame("response.output_item.done", json!({"output_index": at, "item": value}), out);
    }

    /// The last part of a message is done.
    fn close_content(&mut self, at: usize, out: &mut Vec<u8>) {
        let Some(Item { id, kind: Kind::Message(content), .. }) = self.items.get_mut(at) else { return };
        let index = content.len().saturating_sub(1);
        let Some(part) = content.last_mut().filter(|part| !part.done) else { return };
        part.done = true;
        let (id, value, is_refusal) = (id.clone(), part.value(), part.is_refusal);
        let place = json!({"item_id": id, "output_index": at, "content_index": index});
        let with = |members: Value| match (place.clone(), members) {
            (Value::Object(mut place), Value::Object(members)) => {
                place.extend(members);
                Value::Object(place)
            }
            (place, _) => place,
        };
        let (kind, told) = match is_refusal {
            true => ("response.refusal.done", json!({"refusal": value.get("refusal")})),
            false => ("response.output_text.done", json!({"text": value.get("text"), "logprobs": value.get("logprobs")})),
        };
        let (told, done) = (with(told), with(json!({"part": value})));
        self.frame(kind, told, out);
        self.frame("response.content_part.done", done, out);
    }

    /// The open message, begun if there is none, with an open part of that kind at its end.
    fn content(&mut self, is_refusal: bool, out: &mut Vec<u8>) -> (usize, usize) {
        let last = self.items.len().wrapping_sub(1);
        let open = self.items.last().filter(|item| !item.done).and_then(|item| match &item.kind {
            Kind::Message(content) => Some(content.last().is_some_and(|part| !part.done && part.is_refusal == is_refusal)),
            _ => None,
        });
        let at = match open {
            Some(_) => last,
            None => self.add("msg", Kind::Message(Vec::new()), out),
        };
        if open != Some(true) {
            self.close_content(at, out);
            let Some(Item { id, kind: Kind::Message(content), .. }) = self.items.get_mut(at) else { return (at, 0) };
            content.push(Content { is_refusal, ..Content::default() });
            let (id, index, part) = (id.clone(), content.len() - 1, content.last().map(Content::value));
            let added = json!({"item_id": id, "output_index": at, "content_index": index, "part": part});
            self.frame("response.content_part.added", added, out);
            return (at, index);
        }
        let index = self.items.get(at).map_or(0, |item| if let Kind::Message(content) = &item.kind { content.len().saturating_sub(1) } else { 0 });
        (at, index)
    }

    fn text(&mut self, is_refusal: bool, text: &str, out: &mut Vec<u8>) {
        let (at, index) = self.content(is_refusal, out);
        if let Some(part) = self.part(at) {
            part.text.push_str(text);
        }
        let kind = if is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        self.delta(kind, at, Some(("content_index", index)), text, out);
    }

    /// The last part of the message there.
    fn part(&mut self, at: usize) -> Option<&mut Content> {
        match self.items.get_mut(at)? {
            Item { kind: Kind::Message(content), .. } => content.last_mut(),
            _ => None,
        }
    }

    fn reasoning(&mut self, more: &str, out: &mut Vec<u8>) {
        let open = self.items.last().is_some_and(|item| !item.done && matches!(item.kind, Kind::Reasoning { .. }));
        let at = if open { self.items.len() - 1 } else { self.add("rs", Kind::Reasoning { text: String::new(), opaque: None }, out) };
        let Some(Item { id, kind: Kind::Reasoning { text, .. }, .. }) = self.items.get_mut(at) else { return };
        let first = text.is_empty();
        text.push_str(more);
        if first {
            let added = json!({"item_id": id, "output_index": at, "summary_index": 0, "part": summary_text("")});
            self.frame("response.reasoning_summary_part.added", added, out);
        }
        self.delta("response.reasoning_summary_text.delta", at, Some(("summary_index", 0)), more, out);
    }

    fn tell_waiting(&mut self, out: &mut Vec<u8>) {
        for opaque in std::mem::take(&mut self.waiting) {
            self.opaque(opaque, out);
        }
    }

    fn opaque(&mut self, new: Opaque, out: &mut Vec<u8>) {
        let open = self.items.last().is_some_and(|item| !item.done && matches!(item.kind, Kind::Reasoning { .. }));
        let at = match open && new.placement == Placement::Signature {
            true => self.items.len() - 1,
            false => self.add("rs", Kind::Reasoning { text: String::new(), opaque: Some(new.clone()) }, out),
        };
        if let Some(Item { kind: Kind::Reasoning { opaque, .. }, .. }) = self.items.get_mut(at) {
            *opaque = Some(new);
        }
        self.close(at, out);
    }

    fn call(&mut self, wanted: u32) -> Option<(usize, &mut String, bool)> {
        self.items.iter_mut().enumerate().filter(|(_, item)| !item.done).find_map(|(at, item)| match &mut item.kind {
            Kind::Call { index, arguments, tool, .. } if *index == wanted => Some((at, arguments, tool.free_form)),
            _ => None,
        })
    }

    fn arguments(&mut self, index: u32, fragment: &str, out: &mut Vec<u8>) {
        let Some((at, arguments, free_form)) = self.call(index) else { return };
        arguments.push_str(fragment);
        // A free-form tool's text stands inside the arguments, and is told when they are whole.
        if !free_form {
            self.delta("response.function_call_arguments.delta", at, None, fragment, out);
        }
    }
}

impl EncodeStream for Encoder {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => self.start(out),
            Event::Choice(index) => self.choice = index,
            Event::Usage(usage) => self.usage = Some(usage),
            // The driver ends the stream with it.
            Event::Fault(_) => {}
            _ if self.choice != 0 => {}
            Event::Text(text) => self.text(false, text, out),
            Event::Refusal(text) => self.text(true, text, out),
            Event::Reasoning(text) => self.reasoning(text, out),
            Event::Opaque(opaque) if opaque.placement == Placement::Text => {
                // What is signed is not to be joined with what follows.
                self.close_content(self.items.len().saturating_sub(1), out);
                self.waiting.push(opaque);
            }
            Event::Opaque(opaque) => self.opaque(opaque, out),
            Event::PartEnd => match self.items.last().map(|item| &item.kind) {
                Some(Kind::Message(_)) => self.close_content(self.items.len() - 1, out),
                Some(Kind::Reasoning { .. }) => self.close(self.items.len() - 1, out),
                _ => {}
            },
            Event::ToolCall { index, id, name, signature } => {
                if let Some(signature) = signature {
                    self.opaque(signature, out);
                }
                let call_id = id.map_or_else(|| self.context.seed.nth(index as usize).id("call_"), str::to_owned);
                let tool = self.names.called(name.to_owned());
                let prefix = call_prefix(&tool);
                self.add(prefix, Kind::Call { index, call_id, tool, arguments: String::new() }, out);
            }
            Event::ToolArguments { index, fragment } => self.arguments(index, fragment, out),
            Event::ToolInput { index, arguments } => {
                self.arguments(index, &arguments.to_text(), out);
                if let Some((at, ..)) = self.call(index) {
                    self.close(at, out);
                }
            }
            Event::ToolEnd { index } => {
                if let Some((at, ..)) = self.call(index) {
                    self.close(at, out);
                }
            }
            Event::Citation(citation) => {
                let Some(at) = self.items.iter().rposition(|item| matches!(item.kind, Kind::Message(_))) else { return };
                let Some(Item { id, kind: Kind::Message(content), done }) = self.items.get_mut(at) else { return };
                let (id, index, done) = (id.clone(), content.len().saturating_sub(1), *done);
                let Some(part) = content.last_mut() else { return };
                let (from, to) = citation.span.unwrap_or((0, part.text.chars().count() as u64));
                let annotation = url_citation(citation.url, citation.title, from, to);
                part.annotations.push(annotation.clone());
                // Of what is done nothing more is told but the whole.
                if done {
                    return;
                }
                let nth = part.annotations.len() - 1;
                let told = json!({"item_id": id, "output_index": at, "content_index": index, "annotation_index": nth, "annotation": annotation});
                self.frame("response.output_text.annotation.added", told, out);
            }
            Event::Logprobs(more) => {
                let Some(at) = self.items.len().checked_sub(1) else { return };
                if let Some(part) = self.part(at) {
                    part.logprobs.extend(logprobs(more));
                }
            }
            Event::Finish(stop) => {
                self.stop.get_or_insert(stop);
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.tell_waiting(out);
        (0..self.items.len()).for_each(|at| self.close(at, out));
        self.usage.get_or_insert_default();
        let (status, incomplete) = encode_stop(self.stop.take().unwrap_or_default().reason);
        let response = self.response(status, incomplete, None);
        let kind = if incomplete.is_some() { "response.incomplete" } else { "response.completed" };
        self.frame(kind, json!({"response": response}), out);
        self.told = Some(response);
    }

    fn fault(&mut self, fault: &StreamFault, out: &mut Vec<u8>) {
        let code = match fault.status {
            429 => "rate_limit_exceeded",
            400 | 413 | 422 => "invalid_prompt",
            _ => "server_error",
        };
        if !self.started {
            let error = json!({"code": code, "message": fault.message, "param": null});
            return self.frame("error", error, out);
        }
        let response = self.response("failed", None, Some((code, &fault.message)));
        self.frame("response.failed", json!({"response": response}), out);
    }

    fn told(&mut self) -> Option<Value> {
        self.told.take()
    }
}
