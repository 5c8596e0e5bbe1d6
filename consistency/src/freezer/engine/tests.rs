//! An engine that answers as it is told.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use super::*;
use crate::freezer::tests::nowhere;

/// What the engine does, and what it was asked.
#[derive(Debug, Default)]
struct State {
    paused: bool,
    asked: Vec<&'static str>,
    /// The status of its answers to a pause and to an unpause, if not as usual.
    pause: Option<u16>,
    unpause: Option<u16>,
    /// It hangs up instead of answering a pause, which it does all the same.
    hangs_up: bool,
    /// Somebody pauses the container again as soon as it was unpaused.
    pauses_again: bool,
    /// It takes so long for a pause.
    delay: Duration,
}

struct Listener {
    _directory: tempfile::TempDir,
    target: EnginePause,
    state: Arc<Mutex<State>>,
}

impl Listener {
    fn start(state: State) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(Mutex::new(state));
        let served = Arc::clone(&state);
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&served);
                thread::spawn(move || serve(stream.unwrap(), &state));
            }
        });
        let (container, root) = ("c0ffee".into(), std::process::id());
        let target = EnginePause { socket, container, root, cgroup: None };
        Self { _directory: directory, target, state }
    }

    fn asked(&self) -> Vec<&'static str> {
        self.state.lock().unwrap().asked.clone()
    }
}

fn serve(mut stream: UnixStream, state: &Mutex<State>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.extend(byte);
    }
    let request = String::from_utf8(request).unwrap();
    assert!(request.contains("c0ffee"), "{request}");
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let (status, body) = if request.starts_with("GET /containers/json") {
        lock().asked.push("look");
        (200, if lock().paused { "[{\"Id\":\"c0ffee\"}]" } else { "[]" })
    } else if request.contains("/unpause ") {
        let mut state = lock();
        state.asked.push("unpause");
        state.paused = state.pauses_again;
        (state.unpause.unwrap_or(204), "")
    } else {
        lock().asked.push("pause");
        thread::sleep(lock().delay);
        let mut state = lock();
        state.paused |= state.pause.is_none();
        if state.hangs_up {
            return;
        }
        (state.pause.unwrap_or(204), "")
    };
    let _ = write!(stream, "HTTP/1.0 {status} Told\r\nApi-Version: 1.47\r\n\r\n{body}");
}

fn settled(engine: &mut Engine) -> Result<(), Trouble> {
    let start = Instant::now();
    while !engine.settle(&mut nowhere)? {
        assert!(start.elapsed() < Duration::from_secs(5), "not paused: {engine:?}");
        thread::sleep(engine.pause());
    }
    Ok(())
}

// As the warden does it; answers what went wrong on the way.
fn thawed(engine: &mut Engine) -> Vec<Trouble> {
    let (start, mut troubles) = (Instant::now(), Vec::new());
    loop {
        match engine.thaw() {
            Ok(true) => return troubles,
            Ok(false) => assert!(engine.awaits_answer()),
            Err(trouble) => troubles.push(trouble),
        }
        assert!(start.elapsed() < Duration::from_secs(10), "not thawed: {engine:?}");
        thread::sleep(engine.pause());
    }
}

#[test]
fn a_container_is_paused_and_the_thaw_is_read_back() {
    let listener = Listener::start(State::default());
    let mut engine = Engine::open(&listener.target).unwrap();
    let mut gauge = PausedGauge::open(&listener.target).unwrap();
    assert!(!engine.is_foreign().unwrap() && !gauge.is_paused().unwrap());
    engine.freeze(&mut nowhere).unwrap();
    settled(&mut engine).unwrap();
    assert!(gauge.is_paused().unwrap());
    assert!(Engine::open(&listener.target).unwrap().is_foreign().unwrap());
    assert_eq!(thawed(&mut engine), []);
    assert!(!gauge.is_paused().unwrap());
    assert_eq!(thawed(&mut engine), [], "nothing is left to do");
    let asked = listener.asked();
    assert_eq!(asked[asked.len() - 4..], ["look", "unpause", "look", "look"], "{asked:?}");
}

#[test]
fn somebody_elses_pause_is_not_undone() {
    let listener = Listener::start(State { pause: Some(409), paused: true, ..State::default() });
    let mut engine = Engine::open(&listener.target).unwrap();
    engine.freeze(&mut nowhere).unwrap();
    assert_eq!(settled(&mut engine), Err(Trouble::Engine { status: 409 }));
    assert_eq!(thawed(&mut engine), []);
    assert_eq!(listener.asked(), ["pause"]);
}

#[test]
fn a_pause_that_may_have_been_made_is_undone() {
    let failed = State { pause: Some(500), ..State::default() };
    let hung_up = State { hangs_up: true, ..State::default() };
    for state in [failed, hung_up] {
        let listener = Listener::start(state);
        let mut engine = Engine::open(&listener.target).unwrap();
        engine.freeze(&mut nowhere).unwrap();
        settled(&mut engine).unwrap_err();
        assert_eq!(thawed(&mut engine), []);
        assert_eq!(listener.asked(), ["pause", "unpause", "look"]);
    }
}

#[test]
fn a_thaw_comes_after_the_pause_that_is_being_made() {
    let delay = Duration::from_millis(300);
    let listener = Listener::start(State { delay, ..State::default() });
    let mut engine = Engine::open(&listener.target).unwrap();
    engine.freeze(&mut nowhere).unwrap();
    assert_eq!(engine.settle(&mut nowhere), Ok(false));
    assert_eq!(thawed(&mut engine), []);
    assert_eq!(listener.asked(), ["pause", "unpause", "look"]);
    assert!(!listener.state.lock().unwrap().paused);
}

#[test]
fn whoever_dies_meanwhile_leaves_one_that_can_be_unpaused() {
    let state = State { paused: true, unpause: Some(500), ..State::default() };
    let listener = Listener::start(state);
    let mut engine = Engine::open_to_thaw(&listener.target).unwrap();
    // What the engine answers does not matter where the container runs.
    assert_eq!(thawed(&mut engine), []);
}

#[test]
fn a_pause_after_our_thaw_is_left_alone() {
    let listener = Listener::start(State { pauses_again: true, ..State::default() });
    let mut engine = Engine::open(&listener.target).unwrap();
    engine.freeze(&mut nowhere).unwrap();
    settled(&mut engine).unwrap();
    assert_eq!(thawed(&mut engine), []);
    assert_eq!(listener.asked(), ["pause", "unpause", "look"]);
    assert!(listener.state.lock().unwrap().paused);
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let listener = Listener::start(State::default());
    let socket = listener.target.socket.with_file_name("gone.sock");
    let error = Engine::open(&EnginePause { socket, ..listener.target.clone() }).unwrap_err();
    assert!(error.to_string().contains("gone.sock"), "{error}");
}
