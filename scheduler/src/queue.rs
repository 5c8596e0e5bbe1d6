//! Which of the runs that wait begins next.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

/// How many runs there may be at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// On this host.
    pub runs: usize,
    /// To one repository.
    pub per_repository: usize,
    /// That tidy up.
    pub upkeep: usize,
    /// By how many others a run may be overtaken before it comes first.
    pub overtaken: usize,
    /// How many may wait.
    pub waiting: usize,
}

/// How urgent a run is. The least comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// Somebody asked for it and waits.
    Asked,
    /// A schedule did.
    Scheduled,
    /// It tidies up.
    Upkeep,
}

/// A run that waits, or goes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ticket<I> {
    /// The run.
    pub id: I,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether it tidies up, and may take hours.
    pub is_upkeep: bool,
    /// What no two runs may work on at once, such as an application, if there is such a thing.
    pub subject: Option<String>,
    /// The repository that it reads or writes.
    pub repository: String,
    /// Whether nothing else may work on the repository meanwhile.
    pub alone: bool,
}

/// The runs that wait and those that go on.
#[derive(Clone, Debug)]
pub struct Queue<I> {
    limits: Limits,
    /// With how many others have begun while it was ready.
    waiting: VecDeque<(Ticket<I>, usize)>,
    running: Vec<Ticket<I>>,
}

/// There are so many runs that no more may wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl<I: Clone + PartialEq> Queue<I> {
    /// Without any runs.
    pub fn new(limits: Limits) -> Self {
        Self { limits, waiting: VecDeque::new(), running: Vec::new() }
    }

    /// Other limits, from the next run on that begins.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Puts a run behind all that are as urgent.
    ///
    /// # Errors
    /// When too many wait already.
    pub fn add(&mut self, ticket: Ticket<I>) -> Result<(), Full> {
        if self.waiting.len() >= self.limits.waiting {
            return Err(Full);
        }
        let behind = self.waiting.partition_point(|(other, _)| other.priority <= ticket.priority);
        self.waiting.insert(behind, (ticket, 0));
        Ok(())
    }

    /// The run that begins now, if one may, among those that `is_ready` says may. It goes on until
    /// [`Queue::end`].
    ///
    /// One that has to wait for its turn holds up the others only where it is to be alone: otherwise
    /// there might always be somebody else at its repository.
    pub fn begin(&mut self, is_ready: impl Fn(&Ticket<I>) -> bool) -> Option<Ticket<I>> {
        if self.running.len() >= self.limits.runs {
            return None;
        }
        let mut kept_free: Vec<&str> = Vec::new();
        let mut chosen = None;
        for number in self.order() {
            let Some((ticket, _)) = self.waiting.get(number).filter(|(it, _)| is_ready(it)) else {
                continue;
            };
            if kept_free.contains(&ticket.repository.as_str()) {
                continue;
            }
            if self.may_begin(ticket) {
                chosen = Some(number);
                break;
            }
            if ticket.alone && !self.is_too_much_upkeep(ticket) {
                kept_free.push(&ticket.repository);
            }
        }
        let (ticket, _) = self.waiting.remove(chosen?)?;
        for (_, overtaken) in self.waiting.iter_mut().filter(|(other, _)| is_ready(other)) {
            *overtaken += 1;
        }
        self.running.push(ticket.clone());
        Some(ticket)
    }

    // Those first that too many have overtaken: otherwise there might always be something more urgent.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        let has_patience = |number: &usize| {
            self.waiting
                .get(*number)
                .is_some_and(|(_, overtaken)| *overtaken < self.limits.overtaken)
        };
        order.sort_by_key(has_patience);
        order
    }

    /// A run has ended.
    pub fn end(&mut self, id: &I) {
        self.running.retain(|ticket| ticket.id != *id);
    }

    /// Takes a run away that waits.
    pub fn remove(&mut self, id: &I) {
        self.waiting.retain(|(ticket, _)| ticket.id != *id);
    }

    /// The runs that wait, the next first.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &Ticket<I>> {
        self.waiting.iter().map(|(ticket, _)| ticket)
    }

    /// Takes all away that wait.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    fn is_too_much_upkeep(&self, ticket: &Ticket<I>) -> bool {
        let going_on = self.running.iter().filter(|ticket| ticket.is_upkeep).count();
        ticket.is_upkeep && going_on >= self.limits.upkeep
    }

    fn may_begin(&self, ticket: &Ticket<I>) -> bool {
        if self.is_too_much_upkeep(ticket) {
            return false;
        }
        let mut there = 0;
        for other in &self.running {
            if ticket.subject.is_some() && other.subject == ticket.subject {
                return false;
            }
            if other.repository == ticket.repository {
                if ticket.alone || other.alone {
                    return false;
                }
                there += 1;
            }
        }
        there < self.limits.per_repository
    }
}
