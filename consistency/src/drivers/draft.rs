//! What can be cloned before the freeze, so that in it only what changed is cloned again.

use super::{Job, Plan, clone, each};
use crate::clock::{self, Moment};
use crate::rounds::another_round_helps;

impl Plan {
    /// Clones trees while they are in use, as often as that leaves less for the freeze.
    pub(crate) fn draft(&self) {
        let mut took = Vec::new();
        while another_round_helps(&took) {
            let begin = Moment::now();
            if !self.draft_again() {
                return;
            }
            took.push(Moment::now().wait_from(begin));
        }
    }

    /// Does so once; false when there is nothing to do.
    pub(crate) fn draft_again(&self) -> bool {
        let drafted = self.jobs.iter().filter_map(|job| Some((job, job.drafted()?)));
        let able = |(_, recipe): &(&Job, &clone::Recipe)| clone::Clone::can_be_drafted(recipe);
        let drafted: Vec<_> = drafted.filter(able).collect();
        // Whatever changes from now on leaves another stamp, once all that is dirty was written.
        let moment = clock::file_time();
        self.sync();
        if !self.is_settled() {
            return false;
        }
        each(&drafted, |(job, recipe)| {
            let Some(place) = self.places.get(job.place) else { return };
            let (target, mut draft) = ((place.dir(), job.name.as_str()), job.draft());
            if draft.is_none() {
                *draft = clone::Clone::begin(recipe, target.0, target.1).ok();
            }
            if let Some(clone) = &mut *draft
                && let Err(error) = clone.update(recipe, target, clone::Mode::Draft(moment))
            {
                // What is left undone is done in the freeze, or told then.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a clone is not whole yet"
                );
            }
        });
        !drafted.is_empty()
    }
}
