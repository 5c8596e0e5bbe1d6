//! A target that does not thaw at first.

use std::time::Duration;

use super::*;
use crate::freezer::{FreezerError, Note};

/// Refuses so many thaws.
#[derive(Debug)]
struct Stubborn(u32);

impl Freezer for Stubborn {
    fn processes(&self) -> Result<Vec<u32>, FreezerError> {
        Ok(Vec::new())
    }

    fn is_foreign(&mut self) -> Result<bool, Trouble> {
        Ok(false)
    }

    fn freeze(&mut self, _note: Note<'_>) -> Result<(), Trouble> {
        Ok(())
    }

    fn settle(&mut self, _note: Note<'_>) -> Result<bool, Trouble> {
        Ok(true)
    }

    fn thaw(&mut self) -> Result<bool, Trouble> {
        self.0 = self.0.saturating_sub(1);
        Ok(self.0 == 0)
    }

    fn pause(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn a_thaw_that_fails_is_told_and_tried_again_ten_times_a_second() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(directory.path(), "run", &[]).unwrap();
    let mut hold = Hold::new(7, 0, Box::new(Stubborn(3)));
    assert!(hold.freeze(&mut journal).is_none());
    assert!(matches!(hold.tick(&mut journal), Some(Report::Frozen { target: 7, .. })));
    assert!(hold.tick(&mut journal).is_none());
    hold.release();
    for _ in 0..2 {
        let due = hold.next().unwrap();
        while Moment::now() < due {
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = Moment::now();
        let report = hold.tick(&mut journal);
        assert_eq!(report, Some(Report::ThawFailed { target: 7, trouble: Trouble::Stuck }));
        let wait = hold.next().unwrap().micros_since(before);
        assert!((100_000..200_000).contains(&wait), "{wait}");
        assert!(hold.is_held() && hold.tick(&mut journal).is_none(), "not before it is due");
    }
    while hold.next().is_some_and(|due| Moment::now() < due) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(matches!(hold.tick(&mut journal), Some(Report::Thawed { target: 7, .. })));
    assert!(!hold.is_held());
}
