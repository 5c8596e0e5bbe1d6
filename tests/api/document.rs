//! The OpenAPI document, held against the answers.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};

use jiff::Timestamp;
use serde_json::{Value, json};
use tests::http::{Answer, Request, connect};

use super::Served;

const RUNS: &str = "/api/v1/runs";
const RESTORES: &str = "/api/v1/restores";
const PROBLEM: &str = "application/problem+json";

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
    if let Some(known) = schema["enum"].as_array()
        && !known.contains(value)
    {
        return Err(format!("{value} is none of {known:?}"));
    }
    match value {
        Value::String(text) if schema["format"] == "date-time" => {
            text.parse::<Timestamp>().map(drop).map_err(|error| error.to_string())
        }
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

fn assert_conforms(value: &Value, schema: &Value, document: &Value) {
    conforms(value, schema, document).unwrap_or_else(|why| panic!("{why}: {value} is no {schema}"));
}

/// The schema itself, where this is the name of one.
fn resolved<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).unwrap(),
        None => schema,
    }
}

fn request_schema<'a>(document: &'a Value, path: &str) -> &'a Value {
    let content = &document["paths"][path]["post"]["requestBody"]["content"];
    resolved(&content["application/json"]["schema"], document)
}

/// The schema of the answer to whoever gets this.
fn answer_schema<'a>(document: &'a Value, path: &str) -> &'a Value {
    let content = &document["paths"][path]["get"]["responses"]["200"]["content"];
    resolved(&content["application/json"]["schema"], document)
}

/// What somebody asked for, and what was answered to that, are as the document says.
pub(super) fn accepted(document: &Value, path: &str, body: &Value, answer: &Answer) {
    let path = if path.ends_with("/cancel") { "/api/v1/runs/{run}/cancel" } else { path };
    let operation = &document["paths"][path]["post"];
    let content = &operation["responses"]["202"]["content"];
    assert_conforms(&answer.json(), &content["application/json"]["schema"], document);
    if operation.get("requestBody").is_some() {
        assert_conforms(body, request_schema(document, path), document);
    }
}

/// An answer says why not, as the document has it for its status.
fn assert_refused(
    document: &Value,
    (method, path): (&str, &str),
    (status, answer): (u16, &Answer),
) {
    assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some(PROBLEM), "{answer:?}");
    let responses = &document["paths"][path][method]["responses"];
    let class = format!("{}XX", status / 100);
    let response = responses.get(status.to_string()).unwrap_or(&responses[class.as_str()]);
    assert_conforms(&answer.json(), &response["content"][PROBLEM]["schema"], document);
    assert_eq!(answer.json()["status"], status);
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
    assert_conforms(&page, schema, &document);
    for (name, wrong) in
        [("id", json!("one")), ("queued", json!("yesterday")), ("colour", json!("red"))]
    {
        let mut page = page.clone();
        page["items"][0][name] = wrong;
        assert!(conforms(&page, schema, &document).is_err(), "{name}");
    }
    page["items"] = json!([{}]);
    assert!(conforms(&page, schema, &document).is_err());
}

#[test]
fn what_is_asked_for_is_as_the_document_says() {
    let served = Served::start();
    let document = &served.document;
    let backup = json!({
        "task": "backup", "application": "files", "repository": "main", "tags": ["first"],
        "full": true, "read_data": false, "reason": "before the upgrade",
    });
    let restore = json!({
        "point": "latest", "application": "files", "repository": "main",
        "to": served.world.path("target"), "in_place": false, "delete": false, "reason": null,
    });
    for (path, body) in [(RUNS, &backup), (RESTORES, &restore)] {
        // The answer to this is held against the document, too.
        let run = served.ended(&served.post(path, body));
        assert_eq!(run["outcome"], "succeeded", "{run}");
        let schema = request_schema(document, path);
        let known: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
        let sent: BTreeSet<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(sent, known, "{path}: all that can be asked for");
        for required in schema["required"].as_array().unwrap() {
            let mut less = body.clone();
            less.as_object_mut().unwrap().remove(required.as_str().unwrap());
            assert!(conforms(&less, schema, document).is_err(), "{path}: {less}");
            assert_eq!(served.post(path, &less).status, 422, "{path}: {less}");
        }
    }
    for (name, wrong) in [("task", json!("dance")), ("tags", json!("x")), ("colour", json!("red"))]
    {
        let mut body = backup.clone();
        body[name] = wrong;
        assert!(conforms(&body, request_schema(document, RUNS), document).is_err(), "{body}");
        assert_eq!(served.post(RUNS, &body).status, 422, "{body}");
    }
    for task in ["prune", "check", "verify"] {
        let answer = served.post(RUNS, &json!({ "task": task, "application": null }));
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

#[test]
fn refusals_and_what_waits_are_as_the_document_says() {
    let served = Served::start();
    let document = &served.document;
    let body = json!({ "task": "backup", "application": "files" });
    let run = served.ended(&served.post(RUNS, &body));
    let ended = format!("{RUNS}/{}/cancel", run["id"]);
    let token = served.token(&["theirs", "--role", "operator", "--app", "other"]);
    let post = Request::new("POST", RUNS).json(&body);
    let restore = json!({ "point": "latest", "application": "files", "to": "relative" });
    let get = |path: &str| served.ask(&Request::new("GET", &format!("{RUNS}{path}")));
    let nothing = json!({});
    for (method, path, status, answer) in [
        ("get", "", 400, get("?limit=0")),
        ("post", "", 400, served.ask(&Request::new("POST", RUNS).body("{ \"task\": "))),
        ("post", "", 401, served.ask_from_elsewhere(&post)),
        ("post", "", 403, served.ask_from_elsewhere(&post.clone().token(&token))),
        ("get", "/{run}", 404, get("/4711")),
        ("post", "/{run}/cancel", 404, served.post(&format!("{RUNS}/4711/cancel"), &nothing)),
        ("post", "/{run}/cancel", 409, served.post(&ended, &nothing)),
        ("post", "", 422, served.post(RUNS, &json!({ "task": "dance" }))),
    ] {
        let path = format!("{RUNS}{path}");
        assert_refused(document, (method, path.as_str()), (status, &answer));
    }
    assert_refused(document, ("post", RESTORES), (422, &served.post(RESTORES, &restore)));
    // Faster than they are made.
    let mut waiting = Vec::new();
    let refused = loop {
        let answer = served.post(RUNS, &body);
        if answer.status != 202 {
            break answer;
        }
        waiting.push(answer);
        assert!(waiting.len() < 1000, "nobody says that it is too much");
    };
    assert_refused(document, ("post", RUNS), (429, &refused));
    let last = waiting.last().unwrap().header("location").unwrap();
    let called_off = served.post(&format!("{last}/cancel"), &nothing);
    assert_eq!((called_off.status, &called_off.json()["outcome"]), (202, &json!("cancelled")));
    let page = get("?limit=200").json();
    assert_conforms(&page, answer_schema(document, RUNS), document);
    let states = page["items"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap());
    let states: BTreeSet<_> = states.collect();
    assert!(states.contains("waiting") && states.contains("ended"), "{states:?}");
}

#[test]
fn what_is_told_as_it_happens_is_as_the_document_says() {
    let served = Served::start();
    let document = &served.document;
    let body = json!({ "task": "backup", "application": "files" });
    served.ended(&served.post(RUNS, &body));
    // The stream itself is text; what it carries is what can be asked for.
    let run = answer_schema(document, "/api/v1/runs/{run}");
    let events = answer_schema(document, "/api/v1/events");
    let event = &events["properties"]["items"]["items"];
    let stream = connect(&served.socket()).unwrap();
    let request = Request::new("GET", "/api/v1/events/stream").header("Last-Event-ID", "0");
    request.send(&stream).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let (mut kind, mut kinds) = (String::new(), BTreeSet::new());
    while kinds.len() < 2 {
        let line = lines.next().unwrap();
        if let Some(name) = line.strip_prefix("event: ") {
            name.clone_into(&mut kind);
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let told: Value = serde_json::from_str(data).unwrap();
        let (schema, other) = if kind == "run" { (run, event) } else { (event, run) };
        assert_conforms(&told, schema, document);
        assert!(conforms(&told, other, document).is_err(), "{told}");
        kinds.insert(kind.clone());
    }
    assert_eq!(kinds, BTreeSet::from(["event".to_owned(), "run".to_owned()]));
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
