//! OpenAI's embeddings request and answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value, json};

use super::{Request, Vectors};
use crate::base::fields::{Fields, Invalid};
use crate::dialects::Unreadable;
use crate::ir::{Losses, Refused};

/// OpenAI takes no more at once.
const INPUTS_MAX: usize = 2048;

/// Reads a request body.
///
/// # Errors
/// [`Unreadable::Invalid`] for a member of the wrong type, [`Unreadable::Refused`] for token lists: they are OpenAI's tokens.
pub fn decode_request(body: Value) -> Result<(Request, Losses), Unreadable> {
    let mut losses = Losses::default();
    let mut fields = Fields::new(body, "")?;
    fields.take("model");
    let texts = match fields.take("input") {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) if items.is_empty() || items.len() > INPUTS_MAX => {
            return Err(Invalid::new("input", format!("expected 1 to {INPUTS_MAX} texts")).into());
        }
        Some(Value::Array(items)) => {
            let mut texts = Vec::with_capacity(items.len());
            for (i, item) in items.into_iter().enumerate() {
                match item {
                    Value::String(text) => texts.push(text),
                    Value::Number(_) | Value::Array(_) => {
                        let message = "tokens are those of OpenAI's models; send the texts themselves to this one";
                        return Err(Refused::new(format!("input[{i}]"), message).into());
                    }
                    _ => return Err(Invalid::new(format!("input[{i}]"), "expected a string").into()),
                }
            }
            texts
        }
        None => return Err(Invalid::new("input", "'input' is required").into()),
        Some(_) => return Err(Invalid::new("input", "expected a string or a list of strings").into()),
    };
    let base64 = match fields.string("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => return Err(Invalid::new("encoding_format", format!("unknown format '{other}'; expected float or base64")).into()),
    };
    let request = Request { texts, dimensions: fields.count("dimensions")?, base64 };
    losses.rest(fields);
    Ok((request, losses))
}

/// Writes an answer. `estimate` stands for the tokens where no provider told them.
pub fn encode_reply(vectors: Vectors, base64: bool, model: &str, estimate: u64) -> Value {
    let embedding = |values: Vec<Number>| match base64 {
        true => Value::String(packed(&values)),
        false => Value::Array(values.into_iter().map(Value::Number).collect()),
    };
    let data = vectors.values.into_iter().enumerate();
    let data: Vec<Value> = data.map(|(i, values)| json!({"object": "embedding", "index": i, "embedding": embedding(values)})).collect();
    let tokens = vectors.tokens.unwrap_or(estimate);
    json!({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
}

/// Little-endian floats of 32 bits, in base64: what SDKs unpack.
fn packed(values: &[Number]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| (value.as_f64().unwrap_or(0.0) as f32).to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_the_same_in_numbers_and_in_base64() {
        let vectors = || Vectors { values: vec![serde_json::from_str("[0.5,-1.25,3e-2]").unwrap()], tokens: Some(3) };
        let numbers = encode_reply(vectors(), false, "m", 0);
        assert_eq!(numbers["data"][0]["embedding"].to_string(), "[0.5,-1.25,3e-2]");
        let packed = encode_reply(vectors(), true, "m", 0);
        let bytes = STANDARD.decode(packed["data"][0]["embedding"].as_str().unwrap()).unwrap();
        let floats: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(floats, [0.5, -1.25, 0.03]);
    }

    #[test]
    fn tokens_of_another_model_are_refused() {
        for input in [json!([1, 2]), json!([[1], [2]])] {
            assert!(matches!(decode_request(json!({"model": "m", "input": input})), Err(Unreadable::Refused(_))));
        }
        assert!(matches!(decode_request(json!({"model": "m", "input": []})), Err(Unreadable::Invalid(_))));
    }
}
