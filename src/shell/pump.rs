//! Moving a stream through a [`Machine`]: the loop is in `pump.js`, the translating here. See `docs/architecture.md`.

use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::ReadableStream;

use super::ffi;
use crate::lanes::stream::{Ending, Machine};
use crate::lanes::tally::Tally;
use crate::ports::{Ended, Ends};

// Why `pump.js` calls; it knows the same numbers.
const CHUNK: u8 = 0;
const CLOSED: u8 = 1;
const BROKEN: u8 = 2;
const IDLE: u8 = 3;

/// The stream that `machine` makes of `head` and what `reader` has not read.
pub(super) fn start(head: &[u8], reader: Option<&ffi::Reader>, machine: Box<dyn Machine>, idle_ms: u32, ends: Ends) -> ReadableStream {
    let Ends { before: mut at_end, after: mut told } = ends;
    let mut state = Some((machine, Vec::new()));
    let mut sent = 0;
    let translate = Closure::<dyn FnMut(u8, Option<Vec<u8>>) -> JsValue>::new(move |why, chunk: Option<Vec<u8>>| {
        let Some((machine, output)) = &mut state else { return JsValue::TRUE };
        output.clear();
        match why {
            CHUNK => machine.push(&chunk.unwrap_or_default(), output),
            CLOSED => machine.finish(&Ending::Closed, output),
            BROKEN => machine.finish(&Ending::Broken, output),
            IDLE => machine.finish(&Ending::Idle(idle_ms), output),
            // The closure itself goes with the garbage of JS; what it holds goes now.
            _ => {
                if let Some(told) = told.take() {
                    let ended = if machine.is_done() { Ended::Whole } else { Ended::Left };
                    told(Tally { sent, ..machine.tally() }, ended);
                }
                state = None;
                return JsValue::TRUE;
            }
        }
        let done = match machine.is_done() {
            false => JsValue::FALSE,
            true => match machine.told().zip(at_end.take()) {
                Some((told, at_end)) => future_to_promise(async move {
                    at_end(told).await;
                    Ok(JsValue::TRUE)
                })
                .into(),
                None => JsValue::TRUE,
            },
        };
        // Last, since wasm's memory must not move before `pump.js` has copied from it; `output` outlives the call.
        sent += output.len() as u64;
        if !output.is_empty() {
            ffi::emit(output);
        }
        done
    });
    ffi::pump(head, reader, &translate.into_js_value(), idle_ms)
}
