//! `/api/docs`: the API, from the document that is generated from the handlers.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::layout::{Content, Look, Section};
use crate::openapi;

/// Methods in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// `GET /api/docs`
pub(super) async fn show(look: Look) -> Response {
    let document = serde_json::to_value(openapi::document()).unwrap_or_default();
    let main = page(&document);
    look.answer(Ok(Content::new("API", Section::Api, main)))
}

/// An operation of the document, with its place.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    value: &'a Value,
}

impl Operation<'_> {
    fn group(&self) -> &str {
        self.value["tags"][0].as_str().unwrap_or("other")
    }

    fn parameters(&self, place: &str) -> Vec<&Value> {
        let all = self.value["parameters"].as_array();
        all.into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == place)
            .collect()
    }

    /// The schema of the JSON body that it takes.
    fn body(&self) -> Option<&Value> {
        let schema = &self.value["requestBody"]["content"]["application/json"]["schema"];
        (!schema.is_null()).then_some(schema)
    }
}

fn page(document: &Value) -> Markup {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            if let Some(value) = methods.get(method) {
                operations.push(Operation {
                    method,
                    path,
                    value,
                });
            }
        }
    }
    let mut groups: Vec<&str> = Vec::new();
    for operation in &operations {
        if !groups.contains(&operation.group()) {
            groups.push(operation.group());
        }
    }
    html! {
        div.stack {
            div.head {
                h1 { "API" }
                a.button href="/api/openapi.json" { "openapi.json" }
            }
            section.card {
                @for paragraph in document["info"]["description"].as_str().unwrap_or_default().split("\n\n") {
                    p { (paragraph) }
                }
                h2.label { "Start a scan, wait, and read what it found" }
                div.command {
                    pre #example { "curl -s -X POST 'http://127.0.0.1:5000/api/v1/scans?wait=true' -H 'content-type: application/json' -d '{\"targets\": [\"127.0.0.1\"], \"ports\": \"common\"}'" }
                    copy-button data-from="example" data-name="Copy the curl call" {}
                }
                p.soft.small { "Where log-in is on, add -H \"authorization: Bearer $TOKEN\"." }
            }
            @for group in groups {
                section.card aria-label=(group) {
                    h2 { (super::layout::capital(group)) }
                    @for operation in operations.iter().filter(|operation| operation.group() == group) {
                        (endpoint(operation, document))
                    }
                }
            }
        }
    }
}

fn endpoint(operation: &Operation<'_>, document: &Value) -> Markup {
    let Operation {
        method,
        path,
        value,
    } = operation;
    let summary = value["summary"].as_str().unwrap_or_default();
    html! {
        details.endpoint {
            summary {
                span.method { (method.to_uppercase()) }
                code { (path) }
                span.soft { (summary) }
            }
            div.stack {
                @if let Some(text) = value["description"].as_str().filter(|text| *text != summary) { p { (text) } }
                (parameters(operation))
                @if let Some(schema) = operation.body() {
                    h3 { "Body" }
                    (fields(schema, document))
                }
                (responses(value, document))
                (trial(operation, document))
            }
        }
    }
}

fn parameters(operation: &Operation<'_>) -> Markup {
    let all: Vec<&Value> = ["path", "query", "header"]
        .into_iter()
        .flat_map(|place| operation.parameters(place))
        .collect();
    html! {
        @if !all.is_empty() {
            h3 { "Parameters" }
            dl.facts {
                @for parameter in all {
                    dt { code { (parameter["name"].as_str().unwrap_or_default()) } }
                    dd {
                        span.soft { (parameter["in"].as_str().unwrap_or_default()) ", " (kind(&parameter["schema"])) @if parameter["required"] == true { ", required" } " " }
                        (parameter["description"].as_str().unwrap_or_default())
                    }
                }
            }
        }
    }
}

fn responses(value: &Value, document: &Value) -> Markup {
    html! {
        h3 { "Answers" }
        dl.facts {
            @for (status, response) in value["responses"].as_object().into_iter().flatten() {
                dt { code { (status) } }
                dd {
                    (response["description"].as_str().unwrap_or_default())
                    @if let Some(schema) = response["content"]["application/json"].get("schema").filter(|_| status.starts_with('2')) {
                        details { summary { "Fields" } (fields(schema, document)) }
                    }
                }
            }
        }
    }
}

/// The schema that a reference leads to.
fn resolved<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    match schema["$ref"]
        .as_str()
        .and_then(|text| text.rsplit('/').next())
    {
        Some(name) => &document["components"]["schemas"][name],
        None => schema,
    }
}

/// A type in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|text| text.rsplit('/').next())
    {
        return name.to_owned();
    }
    if let Some(choices) = schema["oneOf"]
        .as_array()
        .or_else(|| schema["anyOf"].as_array())
    {
        let words: Vec<String> = choices.iter().map(kind).collect();
        return words.join(" or ");
    }
    match &schema["type"] {
        Value::String(word) if word == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(word) => word.clone(),
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            words.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn fields(schema: &Value, document: &Value) -> Markup {
    let mut parts = vec![resolved(schema, document)];
    for part in schema["allOf"].as_array().into_iter().flatten() {
        parts.push(resolved(part, document));
    }
    if let Some(more) = parts[0]["allOf"].as_array() {
        parts.extend(more.iter().map(|part| resolved(part, document)));
    }
    html! {
        dl.facts {
            @for part in parts {
                @for (name, field) in part["properties"].as_object().into_iter().flatten() {
                    dt { code { (name) } }
                    dd { span.soft { (kind(field)) " " } (field["description"].as_str().unwrap_or_default()) }
                }
            }
        }
    }
}

/// A form that asks; without scripts, what only reads is an ordinary link.
fn trial(operation: &Operation<'_>, document: &Value) -> Markup {
    let is_read = operation.method == "get";
    if operation.path.ends_with("/events") {
        return html! {};
    }
    let path = operation.parameters("path");
    let query = operation.parameters("query");
    let id = format!(
        "{}-{}",
        operation.method,
        operation.path.replace(['/', '{', '}', '.'], "-")
    );
    let bare = path.is_empty();
    html! {
        details {
            summary { "Try it" }
            form method="get" action=[(is_read && bare).then_some(operation.path)] data-try=(operation.path) data-method=(operation.method.to_uppercase()) {
                div.grid3 {
                    @for parameter in path.into_iter().chain(query) {
                        @let name = parameter["name"].as_str().unwrap_or_default();
                        div.field {
                            label for={ (id) "-" (name) } { (name) }
                            input type="text" id={ (id) "-" (name) } name=(name) required[parameter["in"] == "path"];
                        }
                    }
                }
                @if let Some(schema) = operation.body() {
                    div.field {
                        label for={ (id) "-body" } { "Body" }
                        textarea id={ (id) "-body" } name="body" rows="4" { (example(schema, document)) }
                    }
                }
                button { (operation.method.to_uppercase()) }
            }
            output hidden { pre.banner tabindex="0" {} }
        }
    }
}

/// The least body that is valid: the required fields, with their examples.
fn example(schema: &Value, document: &Value) -> String {
    let schema = resolved(schema, document);
    let mut body = serde_json::Map::new();
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        let field = &schema["properties"][name];
        let value = match &field["example"] {
            Value::Null if field["type"] == "array" => Value::Array(Vec::new()),
            Value::Null => Value::String(String::new()),
            example => example.clone(),
        };
        body.insert(name.to_owned(), value);
    }
    serde_json::to_string_pretty(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_to_try_holds_what_is_required() {
        let document = serde_json::json!({"components": {"schemas": {"A": {
            "required": ["targets"],
            "properties": {"targets": {"type": "array", "example": ["127.0.0.1"]}, "ports": {}},
        }}}});
        let schema = serde_json::json!({"$ref": "#/components/schemas/A"});
        let body: Value = serde_json::from_str(&example(&schema, &document)).unwrap();
        assert_eq!(body, serde_json::json!({"targets": ["127.0.0.1"]}));
    }

    #[test]
    fn types_are_said_in_words() {
        let list = serde_json::json!({"type": "array", "items": {"$ref": "#/x/Scan"}});
        assert_eq!(kind(&list), "list of Scan");
        assert_eq!(
            kind(&serde_json::json!({"type": ["integer", "null"]})),
            "integer or null"
        );
    }
}
