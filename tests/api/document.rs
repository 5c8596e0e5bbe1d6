//! The OpenAPI document, held against the answers.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::http::Request;

use super::Served;

/// Whether a value is what a schema says, with nothing missing and nothing besides.
fn conforms(value: &Value, schema: &Value, document: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(&reference[1..]).ok_or(format!("no {reference}"))?;
        return conforms(value, target, document);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().any(|schema| conforms(value, schema, document).is_ok());
        return if fits { Ok(()) } else { Err(format!("{value} is none of {choices:?}")) };
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => return Err(format!("no type: {schema}")),
        one => vec![one.clone()],
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.iter().any(|known| known == kind) {
        return Err(format!("{value} is no {types:?}"));
    }
    match value {
        Value::Array(items) => {
            items.iter().try_for_each(|item| conforms(item, &schema["items"], document))
        }
        Value::Object(fields) => {
            let Some(known) = schema["properties"].as_object() else { return Ok(()) };
            for (name, field) in fields {
                let schema = known.get(name).ok_or(format!("`{name}` is not documented"))?;
                conforms(field, schema, document).map_err(|why| format!("{name}: {why}"))?;
            }
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            match required.iter().find(|name| !fields.contains_key(name.as_str().unwrap())) {
                Some(missing) => Err(format!("{missing} is missing")),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

#[test]
fn answers_are_as_the_document_says() {
    let served = Served::start();
    let known = served.get("/api/v1/applications");
    assert_eq!(known["items"].as_array().unwrap().len(), 2, "before anything is done: {known}");
    let body = json!({ "task": "backup", "application": "files", "tags": ["first"] });
    let run = served.ended(&served.post("/api/v1/runs", &body));
    let document = served.get("/api/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let (mut checked, mut names) = (0, BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            assert!(names.insert(operation["operationId"].to_string()), "twice: {operation}");
        }
        let Some(operation) = item.get("get") else { continue };
        let name = if path.contains("policies") { "monthly" } else { "files" };
        let concrete = path
            .replace("{run}", &run["id"].to_string())
            .replace("{point}", run["point"].as_str().unwrap())
            .replace("{name}", name);
        if path.ends_with("/stream") {
            continue;
        }
        let schema = |status: &str, kind: &str| {
            operation["responses"][status]["content"][kind]["schema"].clone()
        };
        let answer = served.get(&concrete);
        let right = conforms(&answer, &schema("200", "application/json"), &document);
        right.unwrap_or_else(|why| panic!("{path}: {why}: {answer}"));
        let wrong = served.ask(&Request::new("GET", &format!("{concrete}-none?limit=0")));
        // Where there is no engine, it may have the application.
        let class = if wrong.status == 503 { "5XX" } else { "4XX" };
        assert!([400, 404, 503].contains(&wrong.status), "{path}: {wrong:?}");
        assert_eq!(wrong.header("content-type"), Some("application/problem+json"));
        let problem = schema(class, "application/problem+json");
        conforms(&wrong.json(), &problem, &document).unwrap_or_else(|why| panic!("{path}: {why}"));
        checked += 1;
    }
    assert_eq!(checked, 11);
    // The check itself finds something.
    let list = &document["paths"]["/api/v1/runs"]["get"]["responses"]["200"]["content"];
    let schema = &list["application/json"]["schema"];
    let mut page = served.get("/api/v1/runs");
    page["items"][0]["id"] = json!("one");
    assert!(conforms(&page, schema, &document).is_err());
    page["items"] = json!([{}]);
    assert!(conforms(&page, schema, &document).is_err());
}

#[test]
fn what_makes_no_sense_is_answered_with_a_problem_that_names_it() {
    let served = Served::start();
    let backup = |more: Value| {
        let mut body = json!({ "task": "backup", "application": "files" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        served.post("/api/v1/runs", &body)
    };
    let restore = |more: Value| {
        let mut body = json!({ "point": "latest", "application": "files", "to": "/x" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        served.post("/api/v1/restores", &body)
    };
    let get = |path: &str| served.ask(&Request::new("GET", &format!("/api/v1/{path}")));
    let nonsense = Request::new("POST", "/api/v1/runs").body("{ \"task\": ");
    let huge = Request::new("POST", "/api/v1/runs").body(&" ".repeat(1 << 20));
    let wrong = Request::new("DELETE", "/api/v1/runs");
    let far = Request::new("GET", "/api/v1/events/stream").header("Last-Event-ID", "x");
    let key = Request::new("POST", "/api/v1/runs").header("Idempotency-Key", &"k".repeat(300));
    for (status, answer, names) in [
        (400, served.ask(&nonsense), "EOF"),
        (400, served.ask(&key.json(&json!({ "task": "prune" }))), "Idempotency-Key"),
        (400, served.ask(&far), "Last-Event-ID"),
        (405, served.ask(&wrong), "not done"),
        (413, served.ask(&huge), "length limit"),
        (422, backup(json!({ "task": "dance" })), "dance"),
        (422, backup(json!({ "colour": "red" })), "colour"),
        (422, backup(json!({ "repository": "nowhere" })), "nowhere"),
        (422, backup(json!({ "task": "prune" })), "application"),
        (422, backup(json!({ "read_data": true })), "read_data"),
        (422, restore(json!({ "to": "relative" })), "to"),
        (422, restore(json!({ "delete": true })), "in_place"),
        (422, restore(json!({ "application": "" })), "application"),
        (422, restore(json!({ "repository": "nowhere" })), "nowhere"),
        (400, get("runs?limit=0"), "limit"),
        (400, get("runs?limit=201"), "limit"),
        (400, get("runs?limit=many"), "invalid digit"),
        (400, get("runs?after=x"), "after"),
        (400, get("runs?task=dance"), "dance"),
        (400, get("runs?colour=red"), "colour"),
        (400, get("points?after=x"), "after"),
        (400, get("points?repository=x"), "repository"),
        (400, get("points?since=yesterday"), "since"),
        (400, get("runs/first"), "first"),
        (404, get("runs/4711"), "4711"),
        (404, get("points/none"), "none"),
        (404, get("policies/none"), "none"),
        (404, get("nowhere"), "nothing"),
    ] {
        assert_eq!(answer.status, status, "{names}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
        let problem = answer.json();
        assert_eq!((&problem["status"], &problem["type"]), (&json!(status), &json!("about:blank")));
        assert!(problem["detail"].as_str().unwrap().contains(names), "{names}: {problem}");
    }
    // Where there is no engine, it may have the application.
    for answer in [backup(json!({ "application": "none" })), get("applications/none")] {
        assert!([404, 503].contains(&answer.status), "{answer:?}");
        let names = if answer.status == 404 { "none" } else { "docker" };
        assert!(answer.json()["detail"].as_str().unwrap().contains(names), "{answer:?}");
    }
    assert_eq!(served.get("/api/v1/runs")["items"], json!([]), "nothing came of it");
}
