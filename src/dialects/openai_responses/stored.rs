//! Responses that the gateway keeps: their items, and how a later request refers to them.

use serde_json::{Map, Value, json};

use super::response::OWN_IDS;
use crate::base::fields::Invalid;

/// Whether the identifier is of a response that the gateway gave out.
pub fn is_own(id: &str) -> bool {
    id.starts_with(OWN_IDS)
}

/// The response that an item's identifier belongs to; `None` for what the gateway did not give out.
pub fn response_of_item(id: &str) -> Option<String> {
    let (_, rest) = id.split_once('_')?;
    let (response, _) = rest.rsplit_once('_')?;
    let response = format!("resp_{response}");
    is_own(&response).then_some(response)
}

/// The items of `input`, each complete and with an identifier, as OpenAI lists them.
pub fn input_items(input: Value, response_id: &str) -> Vec<Value> {
    let items = match input {
        Value::String(text) => vec![json!({"role": "user", "content": text})],
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let response = response_id.strip_prefix("resp_").unwrap_or(response_id);
    items.into_iter().enumerate().map(|(i, item)| complete(item, response, i)).collect()
}

fn complete(item: Value, response: &str, i: usize) -> Value {
    let Value::Object(mut item) = item else { return item };
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    if kind == "item_reference" {
        return Value::Object(item);
    }
    if !item.get("id").is_some_and(Value::is_string) {
        let prefix = match kind.as_str() {
            "message" => "msg",
            "reasoning" => "rs",
            "function_call" => "fc",
            "custom_tool_call" => "ctc",
            _ => "item",
        };
        item.insert("id".into(), format!("{prefix}_{response}_in{i}").into());
    }
    if kind == "message" {
        item.insert("type".into(), "message".into());
        item.entry("status").or_insert_with(|| "completed".into());
        let part = if item.get("role").is_some_and(|role| role == "assistant") { "output_text" } else { "input_text" };
        if let Some(text) = item.get("content").and_then(Value::as_str).map(str::to_owned) {
            let mut content = Map::from_iter([("type".to_owned(), json!(part)), ("text".to_owned(), json!(text))]);
            if part == "output_text" {
                content.insert("annotations".into(), json!([]));
            }
            item.insert("content".into(), json!([content]));
        }
    }
    Value::Object(item)
}

/// A page of items: <https://platform.openai.com/docs/api-reference/responses/input-items>.
///
/// # Errors
/// [`Invalid`] for a `limit`, `order` or `after` that cannot be.
pub fn page(mut items: Vec<Value>, query: &str) -> Result<Value, Invalid> {
    let said = |key: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key).map(|(_, value)| value));
    let limit = match said("limit").map(str::parse::<usize>) {
        None => 20,
        Some(Ok(limit)) if (1..=100).contains(&limit) => limit,
        Some(_) => return Err(Invalid::new("limit", "expected a number from 1 to 100")),
    };
    match said("order") {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => return Err(Invalid::new("order", "expected asc or desc")),
    }
    let id = |item: &Value| item.get("id").cloned().unwrap_or_default();
    if let Some(after) = said("after") {
        let at = items.iter().position(|item| id(item) == after).ok_or_else(|| Invalid::new("after", "no item of that id is in the list"))?;
        items.drain(..=at);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let (first, last) = (items.first().map(id), items.last().map(id));
    Ok(json!({"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": has_more}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_tells_whose_it_is() {
        assert_eq!(response_of_item("msg_fgabc_0").as_deref(), Some("resp_fgabc"));
        assert_eq!(response_of_item("fc_fgabc_in2").as_deref(), Some("resp_fgabc"));
        assert_eq!(response_of_item("msg_0ad5fc"), None);
    }

    #[test]
    fn a_page_goes_on_where_the_one_before_ended() {
        let items =
            input_items(json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"type": "reasoning", "id": "rs_1"}]), "resp_fgx");
        let ids = |query: &str| {
            let page = page(items.clone(), query).unwrap();
            (
                page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
                page["has_more"].clone(),
            )
        };
        assert_eq!(ids("limit=2&order=asc"), (vec!["msg_fgx_in0".to_owned(), "msg_fgx_in1".into()], json!(true)));
        assert_eq!(ids("after=msg_fgx_in1&order=asc"), (vec!["rs_1".to_owned()], json!(false)));
        assert!(page(items.clone(), "limit=0").is_err());
    }
}
