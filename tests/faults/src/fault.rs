//! The ways in which a store fails.

/// What goes wrong with one operation, as the program sees it at the port.
///
/// What HTTP makes of a fault is for [`crate::s3`]: at the port 429 and 503 are one, and so are a
/// connection that is cut while a body is sent and one that never came about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// Nothing is done, and trying again will not help.
    Before,
    /// It is done, and the acknowledgement is lost.
    After,
    /// Nothing is done, and nobody says so for ten minutes.
    Timeout,
    /// It is done, and nobody says so for ten minutes.
    LateTimeout,
    /// The name is said to be taken, and nothing is there: a 409 for two creates at once.
    Conflict,
    /// It is done, and the name is said to be taken: a 412 for our own write, sent twice.
    OwnWrite,
    /// Nothing is done, and trying again may help: 429, 503, a connection that was cut.
    Refused,
    /// The first half of a pack is stored, and the connection is cut. Other objects are refused.
    TornPut,
    /// An object ends too early.
    ShortGet,
    /// A range is of another place.
    WrongRange,
    /// One bit of what is read is another.
    FlippedBit,
    /// A listing lacks the object that was created last.
    StaleList,
    /// A listing lacks its second half.
    DroppedPage,
    /// A listing has its first half twice.
    RepeatedPage,
    /// The process dies before the operation is done.
    Kill,
    /// The process dies when the operation is done.
    KillAfter,
}

/// What an operation does, as far as faults care.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// A whole object is read.
    Get,
    /// Part of an object is read.
    GetRange,
    /// A folder is listed.
    List,
    /// An object is created.
    Create,
    /// An object is deleted.
    Delete,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Before,
        Self::After,
        Self::Timeout,
        Self::LateTimeout,
        Self::Conflict,
        Self::OwnWrite,
        Self::Refused,
        Self::TornPut,
        Self::ShortGet,
        Self::WrongRange,
        Self::FlippedBit,
        Self::StaleList,
        Self::DroppedPage,
        Self::RepeatedPage,
        Self::Kill,
        Self::KillAfter,
    ];

    /// Whether nobody is told that something is wrong.
    pub fn is_silent(self) -> bool {
        matches!(
            self,
            Self::ShortGet
                | Self::WrongRange
                | Self::FlippedBit
                | Self::StaleList
                | Self::DroppedPage
                | Self::RepeatedPage
        )
    }

    /// Whether this can happen to such an operation.
    pub fn applies_to(self, operation: Operation) -> bool {
        use Operation::{Create, Delete, Get, GetRange, List};
        match self {
            Self::Before | Self::Timeout | Self::Refused | Self::Kill => true,
            Self::After | Self::LateTimeout | Self::KillAfter => {
                matches!(operation, Create | Delete)
            }
            Self::Conflict | Self::OwnWrite | Self::TornPut => operation == Create,
            Self::ShortGet | Self::FlippedBit => matches!(operation, Get | GetRange),
            Self::WrongRange => operation == GetRange,
            Self::StaleList | Self::DroppedPage | Self::RepeatedPage => operation == List,
        }
    }
}
