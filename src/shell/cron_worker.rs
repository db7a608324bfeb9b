//! What happens every minute.

use std::rc::Rc;

use wasm_bindgen::prelude::*;
use worker::{Context, Env};

use super::fetch_worker::gateway;
use super::ffi;
use super::outside::Runtime;

/// The scheduled event. worker-build wraps an exported function of this name.
#[wasm_bindgen]
#[allow(unreachable_pub)] // wasm-bindgen exports it.
pub async fn scheduled(_event: JsValue, env: Env, context: JsValue) {
    let gateway = gateway(&env);
    let Ok(request) = web_sys::Request::new_with_str("https://cron.invalid/") else { return };
    let runtime = Runtime { env, context: Rc::new(Context::new(context.unchecked_into())), request };
    if let Err(error) = gateway.forget_old_logs(&runtime).await {
        ffi::console_warn(&format!("old records could not be deleted: {}", error.0));
    }
}
