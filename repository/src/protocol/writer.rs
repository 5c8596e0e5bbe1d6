//! What a session has promised, and whether it may commit.

use std::time::Duration;

use format::ids::ObjectId;
use format::session::{Outcome, SessionEnd};

/// How often a session says that it is still at work, by its own monotonic time.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_mins(5);

/// A heartbeat to be written: `hb/<session>/<number>`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Beat {
    /// Its number, counted from 0.
    pub number: u64,
    /// The generation that it promises.
    pub generation: u64,
}

/// How far a session has come, as far as generations matter.
///
/// The promise: it commits no point that relies on what is condemned at the generation that its
/// newest heartbeat names. Between two looks it may use an index that knows less, and a pack that
/// vanished meanwhile is then no error; but before the commit everything is looked up again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Progress {
    promised: u64,
    beats: u64,
    beaten: Duration,
    loaded: Option<u64>,
    walked: Option<u64>,
    /// Nothing newer is promised any more.
    is_held: bool,
}

/// What a session does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Store the segments of its own packs, read the condemned lists up to this generation, and
    /// load the index without what they name; then tell [`Progress::loaded`]. When everything was
    /// gone through before, this is the last time: a prune that begins now waits for this session.
    Load(u64),
    /// Go through everything that the point is to have. What the loaded index has not, and the
    /// session itself has not stored, is stored. Then tell [`Progress::walked`].
    Walk,
    /// Create the outcome; the segments of all its own packs are stored before that. Heartbeats go
    /// on and promise nothing newer: a prune of a later generation waits for this session.
    Commit,
}

/// How the outcome that a session finds under its name came about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It is the session's own: the point exists.
    Committed,
    /// A prune ended the session. Its packs are like those of any session that has ended; start
    /// again under a new id.
    Fenced,
    /// Nobody should have written it.
    Foreign,
}

impl Progress {
    /// A session that has registered under one generation, and then looked at the generations
    /// again and found `newest`. Write the heartbeat before anything else, if there is one.
    pub fn registered(generation: u64, newest: u64, now: Duration) -> (Self, Option<Beat>) {
        let mut progress = Self {
            promised: generation,
            beats: 0,
            beaten: now,
            loaded: None,
            walked: None,
            is_held: false,
        };
        let beat = (newest > generation).then(|| progress.beat(newest, now));
        (progress, beat)
    }

    /// Whether it is time to look at the generations and to write a heartbeat.
    pub fn is_beat_due(&self, now: Duration) -> bool {
        now.saturating_sub(self.beaten) >= HEARTBEAT_PERIOD
    }

    /// The next heartbeat, given the newest generation just seen. It binds from now on: somebody may
    /// see it even when the store says that it failed.
    pub fn beat(&mut self, newest: u64, now: Duration) -> Beat {
        // A promise that is made while the outcome is on its way could not be kept any more, and each
        // that is made during the last pass would need another one.
        if !self.is_held {
            self.promised = self.promised.max(newest);
        }
        let beat = Beat { number: self.beats, generation: self.promised };
        self.beats = self.beats.saturating_add(1);
        self.beaten = now;
        beat
    }

    /// The generation that it has promised.
    pub fn promised(&self) -> u64 {
        self.promised
    }

    /// The index has been loaded without what is condemned at `generation`, which is the one that
    /// [`Next::Load`] named, even if a newer one was promised meanwhile.
    pub fn loaded(&mut self, generation: u64) {
        (self.loaded, self.walked) = (Some(generation), None);
    }

    /// Everything has been looked up in the index that is loaded, or was stored by the session.
    pub fn walked(&mut self) {
        self.walked = self.loaded;
    }

    /// What to do next. To be asked after each pass, when the segments are stored; what it says is
    /// to be done. Once it has said [`Next::Commit`], or [`Next::Load`] after a pass, no later
    /// generation is promised: however many prunes begin, everything is gone through twice at most.
    pub fn advance(&mut self) -> Next {
        if self.loaded.is_none() {
            Next::Load(self.promised)
        } else if self.walked.is_some() && self.walked != Some(self.promised) {
            self.is_held = true;
            Next::Load(self.promised)
        } else if self.walked.is_none() {
            Next::Walk
        } else {
            self.is_held = true;
            Next::Commit
        }
    }
}

/// What it means that `out/<session>` is `found`, for the session whose outcome has the nonce `own`.
///
/// To be asked whenever creating the outcome did not simply succeed: an acknowledgement can be lost,
/// and the second try then finds the first.
pub fn ending(own: ObjectId, found: &Outcome) -> Ending {
    match found.end {
        _ if found.nonce == own => Ending::Committed,
        SessionEnd::Fenced => Ending::Fenced,
        SessionEnd::Commit(_) | SessionEnd::Repacked => Ending::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    #[test]
    fn a_session_that_never_moved_walks_once() {
        let (mut progress, beat) = Progress::registered(3, 3, START);
        assert_eq!(beat, None);
        assert_eq!(progress.advance(), Next::Load(3));
        progress.loaded(3);
        assert_eq!(progress.advance(), Next::Walk);
        assert_eq!(progress.beat(3, START), Beat { number: 0, generation: 3 });
        progress.walked();
        assert_eq!(progress.advance(), Next::Commit);
    }

    #[test]
    fn a_move_makes_another_pass_during_which_nothing_newer_is_promised() {
        let (mut progress, beat) = Progress::registered(3, 5, START);
        assert_eq!(beat, Some(Beat { number: 0, generation: 5 }));
        assert_eq!(progress.advance(), Next::Load(5));
        // It moves while it loads, while it walks, and after it has walked.
        assert_eq!(progress.beat(6, START), Beat { number: 1, generation: 6 });
        progress.loaded(5);
        assert_eq!(progress.advance(), Next::Walk);
        assert_eq!(progress.beat(7, START), Beat { number: 2, generation: 7 });
        progress.walked();
        assert_eq!(progress.beat(8, START), Beat { number: 3, generation: 8 });
        assert_eq!(progress.advance(), Next::Load(8));
        assert_eq!(progress.beat(9, START), Beat { number: 4, generation: 8 });
        assert_eq!(progress.advance(), Next::Load(8));
        progress.loaded(8);
        assert_eq!(progress.beat(10, START), Beat { number: 5, generation: 8 });
        assert_eq!(progress.advance(), Next::Walk);
        progress.walked();
        assert_eq!(progress.beat(11, START), Beat { number: 6, generation: 8 });
        assert_eq!(progress.advance(), Next::Commit);
    }

    #[test]
    fn nothing_is_promised_while_the_outcome_is_on_its_way() {
        let (mut progress, _) = Progress::registered(3, 3, START);
        progress.loaded(3);
        progress.walked();
        assert_eq!(progress.advance(), Next::Commit);
        assert_eq!(progress.beat(4, START), Beat { number: 0, generation: 3 });
        assert_eq!(progress.advance(), Next::Commit);
    }

    #[test]
    fn a_promise_is_never_taken_back() {
        let (mut progress, _) = Progress::registered(3, 3, START);
        assert_eq!(progress.beat(2, START), Beat { number: 0, generation: 3 });
        assert_eq!(progress.promised(), 3);
    }

    #[test]
    fn heartbeats_are_due_by_the_sessions_own_time() {
        let (mut progress, _) = Progress::registered(0, 0, START);
        assert!(!progress.is_beat_due(START + Duration::from_secs(299)));
        assert!(progress.is_beat_due(START + HEARTBEAT_PERIOD));
        progress.beat(0, START + HEARTBEAT_PERIOD);
        assert!(!progress.is_beat_due(START + HEARTBEAT_PERIOD));
    }

    #[test]
    fn the_nonce_says_whose_outcome_it_is() {
        let (own, other) = (ObjectId::new([1; 16]), ObjectId::new([2; 16]));
        let found = |nonce, end| ending(own, &Outcome { nonce, end, previous: None });
        assert_eq!(found(own, SessionEnd::Repacked), Ending::Committed);
        assert_eq!(found(other, SessionEnd::Fenced), Ending::Fenced);
        assert_eq!(found(other, SessionEnd::Repacked), Ending::Foreign);
    }
}
