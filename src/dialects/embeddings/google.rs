//! Google's two ways: `batchEmbedContents` on Gemini, `predict` and `embedContent` on Vertex.

use serde_json::{Map, Number, Value, json};

use super::{Request, Vectors};
use crate::base::fields::Invalid;
use crate::ir::EmbeddingDialect;

/// The texts that `batchEmbedContents` takes at once.
const BATCH_MAX: usize = 100;

/// The bodies to send, in the order of the texts; none for a provider that is asked as OpenAI is.
pub fn encode_bodies(request: &Request, dialect: EmbeddingDialect, model: &str) -> Vec<Value> {
    let content = |text: &String| json!({"parts": [{"text": text}]});
    let dimensions = |body: &mut Map<String, Value>| {
        request.dimensions.map(|count| body.insert("outputDimensionality".to_owned(), count.into()));
    };
    match dialect {
        EmbeddingDialect::OpenAi => Vec::new(),
        EmbeddingDialect::BatchEmbedContents => {
            let one = |text: &String| {
                let mut one = Map::from_iter([("model".to_owned(), json!(format!("models/{model}"))), ("content".to_owned(), content(text))]);
                dimensions(&mut one);
                Value::Object(one)
            };
            request.texts.chunks(BATCH_MAX).map(|texts| json!({"requests": texts.iter().map(one).collect::<Vec<_>>()})).collect()
        }
        EmbeddingDialect::EmbedContent => {
            let one = |text: &String| {
                let mut one = Map::from_iter([("content".to_owned(), content(text))]);
                dimensions(&mut one);
                Value::Object(one)
            };
            request.texts.iter().map(one).collect()
        }
        EmbeddingDialect::Predict { at_once } => {
            let chunk = |texts: &[String]| {
                let instances: Vec<Value> = texts.iter().map(|text| json!({"content": text})).collect();
                let mut parameters = Map::new();
                dimensions(&mut parameters);
                json!({"instances": instances, "parameters": parameters})
            };
            request.texts.chunks(at_once.max(1)).map(chunk).collect()
        }
    }
}

/// Adds the vectors of one answer.
///
/// # Errors
/// [`Invalid`] when the body holds other than `expected` vectors.
pub fn decode_vectors(body: &Value, expected: usize, vectors: &mut Vectors) -> Result<(), Invalid> {
    let before = vectors.values.len();
    let lists = ["/embeddings", "/predictions"].iter().find_map(|pointer| body.pointer(pointer)?.as_array());
    let one = body.get("embedding").map(std::slice::from_ref);
    for entry in lists.map(Vec::as_slice).or(one).unwrap_or_default() {
        let values = entry.get("values").or_else(|| entry.pointer("/embeddings/values")).and_then(Value::as_array);
        let values = values.ok_or_else(|| Invalid::new("embeddings", "an embedding without values"))?;
        let number = |value: &Value| match value {
            Value::Number(number) => Some(number.clone()),
            _ => None,
        };
        let numbers: Option<Vec<Number>> = values.iter().map(number).collect();
        vectors.values.push(numbers.ok_or_else(|| Invalid::new("embeddings", "a value that is no number"))?);
        if let Some(tokens) = entry.pointer("/embeddings/statistics/token_count").and_then(Value::as_f64) {
            *vectors.tokens.get_or_insert(0) += tokens as u64;
        }
    }
    if let Some(tokens) = body.pointer("/usageMetadata/promptTokenCount").and_then(Value::as_u64) {
        *vectors.tokens.get_or_insert(0) += tokens;
    }
    match vectors.values.len() - before {
        found if found == expected => Ok(()),
        found => Err(Invalid::new("embeddings", format!("expected {expected} vectors, got {found}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(count: usize) -> Request {
        Request { texts: (0..count).map(|i| format!("text {i}")).collect(), dimensions: Some(256), base64: false }
    }

    #[test]
    fn texts_keep_their_order_over_several_requests() {
        let bodies = encode_bodies(&request(101), EmbeddingDialect::BatchEmbedContents, "gemini-embedding-001");
        assert_eq!(bodies.len(), 2);
        assert_eq!(bodies[1]["requests"][0]["content"]["parts"][0]["text"], "text 100");
        assert_eq!(bodies[0]["requests"][0]["model"], "models/gemini-embedding-001");
        assert_eq!(bodies[0]["requests"][0]["outputDimensionality"], 256);
        let bodies = encode_bodies(&request(3), EmbeddingDialect::Predict { at_once: 2 }, "text-embedding-005");
        assert_eq!(bodies[1], json!({"instances": [{"content": "text 2"}], "parameters": {"outputDimensionality": 256}}));
    }

    #[test]
    fn every_shape_of_an_answer_is_read_and_a_missing_vector_is_an_error() {
        for body in [
            json!({"embeddings": [{"values": [0.1]}], "usageMetadata": {"promptTokenCount": 4}}),
            json!({"embedding": {"values": [0.1]}, "usageMetadata": {"promptTokenCount": 4}}),
            json!({"predictions": [{"embeddings": {"values": [0.1], "statistics": {"token_count": 4, "truncated": false}}}]}),
        ] {
            let mut vectors = Vectors::default();
            decode_vectors(&body, 1, &mut vectors).unwrap();
            assert_eq!((vectors.values.len(), vectors.tokens), (1, Some(4)), "{body}");
            assert!(decode_vectors(&body, 2, &mut vectors).is_err());
        }
    }
}
