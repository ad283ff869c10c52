//! The API against its own document.

use std::path::Path;

use serde_json::Value;

use crate::common::{Server, request};

/// The document as it is kept for readers.
fn kept() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

#[test]
fn the_kept_document_is_what_the_handlers_say() {
    let made = portolan_server::openapi::json();
    if std::env::var_os("PORTOLAN_WRITE_DOCS").is_some() {
        std::fs::write(kept(), &made).unwrap();
    }
    let kept = std::fs::read_to_string(kept()).unwrap_or_default();
    assert!(
        kept == made,
        "docs/openapi.json is not current: run this test with PORTOLAN_WRITE_DOCS=1"
    );
}

/// Holds a value against a schema: types, required and known properties, items.
fn hold(value: &Value, schema: &Value, document: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        let found = document.pointer(pointer);
        return hold(
            value,
            found.unwrap_or_else(|| panic!("{reference}")),
            document,
            place,
        );
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        if value.is_null() {
            assert!(
                choices.iter().any(|one| one["type"] == "null"),
                "{place} is null"
            );
            return;
        }
        let some = choices.iter().find(|one| one["type"] != "null").unwrap();
        return hold(value, some, document, place);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut all = serde_json::Map::new();
        for part in parts {
            let part = match part["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                None => part,
            };
            if let Some(properties) = part["properties"].as_object() {
                all.extend(properties.clone());
            }
        }
        for (name, inner) in value.as_object().unwrap() {
            let known = all
                .get(name)
                .unwrap_or_else(|| panic!("{place}.{name} is not documented"));
            hold(inner, known, document, &format!("{place}.{name}"));
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.contains(&found) || (found == "integer" && types.contains(&"number"));
    assert!(fits, "{place} is {found}, the document says {types:?}");
    if let Value::Array(items) = value {
        for (number, item) in items.iter().enumerate() {
            hold(
                item,
                &schema["items"],
                document,
                &format!("{place}[{number}]"),
            );
        }
    }
    if let (Value::Object(object), Some(properties)) = (value, schema["properties"].as_object()) {
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().unwrap();
            assert!(object.contains_key(name), "{place}.{name} is required");
        }
        for (name, inner) in object {
            let known = properties.get(name);
            let known = known.unwrap_or_else(|| panic!("{place}.{name} is not documented"));
            hold(inner, known, document, &format!("{place}.{name}"));
        }
    }
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let server = Server::new();
    server.scan("127.0.0.0/31", "22-30,80").await;
    server.scan("127.0.0.0/31", "22-30,80").await;
    server
        .post("/api/v1/tokens", &serde_json::json!({"name": "t"}))
        .await;
    let document = server.get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else {
            continue;
        };
        let address = path
            .replace("{id}", "2")
            .replace("{ip}", "127.0.0.1")
            .replace("{protocol}", "tcp")
            .replace("{port}", "22");
        let address = match path.as_str() {
            "/api/v1/diff" => "/api/v1/diff?from=1&to=2".to_owned(),
            // It stays open; its messages are held elsewhere.
            "/api/v1/events" => continue,
            _ => address,
        };
        let answer = server.get(&address).await;
        assert_eq!(
            answer.status,
            200,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        let content = operation["responses"]["200"]["content"]
            .as_object()
            .unwrap();
        let kind = answer.header("content-type").split(';').next().unwrap();
        let schema = content
            .get(kind)
            .unwrap_or_else(|| panic!("{path} answers with {kind}"));
        if kind == "application/json" && path != "/api/v1/diff" {
            hold(&answer.json(), &schema["schema"], &document, path);
        }
        // What is wrong is as documented too.
        let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
        let host = [("host", "evil.example")];
        let refused = server.send(request("GET", &address, &host, None)).await;
        hold(&refused.json(), &problem["schema"], &document, path);
        checked += 1;
    }
    assert!(checked >= 22, "{checked}");
}

#[tokio::test]
async fn every_documented_address_is_there_for_each_of_its_methods() {
    let server = Server::new();
    let document = server.get("/api/v1/openapi.json").await.json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !["get", "post", "delete"].contains(&method.as_str()) {
                continue;
            }
            assert!(
                operation["summary"].is_string(),
                "{method} {path} has no summary"
            );
            let address = path.replace("{id}", "7").replace("{ip}", "127.0.0.7");
            let address = address.replace("{protocol}", "tcp").replace("{port}", "7");
            if address == "/api/v1/events" {
                continue;
            }
            let method = method.to_uppercase();
            let answer = server.send(request(&method, &address, &[], None)).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(
                !text.contains("there is nothing at"),
                "{method} {path}: {text}"
            );
        }
    }
}
