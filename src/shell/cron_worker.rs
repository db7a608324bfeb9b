//! What happens every minute.

use wasm_bindgen::prelude::*;
use worker::Env;

use super::ffi;
use super::queue_worker::runtime;

/// The scheduled event. worker-build wraps an exported function of this name.
#[wasm_bindgen]
#[allow(unreachable_pub)] // wasm-bindgen exports it.
pub async fn scheduled(_event: JsValue, env: Env, context: JsValue) {
    let Some((gateway, runtime)) = runtime(env, context) else { return };
    if let Err(error) = gateway.sweep_jobs(&runtime).await {
        ffi::console_warn(&format!("jobs could not be swept: {}", error.0));
    }
    if let Err(error) = gateway.forget_old_logs(&runtime).await {
        ffi::console_warn(&format!("old records could not be deleted: {}", error.0));
    }
}
