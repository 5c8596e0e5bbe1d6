//! The rules of the protocol, each of which the model can leave out.

/// A rule.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Rule {
    LookAgain,
    PassOverCondemned,
    EveryList,
    OwnPacksOfThisSession,
    ListedPacks,
    CheckAfterMove,
    NoMoveInCommit,
    NonceReadBack,
    ListBeforeGeneration,
    GenerationBeforeSessions,
    Wait,
    FenceIsStored,
    SecondMark,
    MarkAfterWait,
    CondemnedIsNoHome,
    EveryCopyStays,
    IndexedHome,
    SegmentsOfPacks,
    EndedSessionsOnly,
    OwnList,
    FenceStays,
    ForgetStays,
    ForgottenBeforePins,
    PinsCount,
    PinnedOutcomeStays,
    LookAfterPin,
    // Their removal loses no data; see `worlds.rs`.
    FreshListing,
    FreshPlan,
    RegisteredRepack,
    PointsBeforePacks,
}

use Rule::*;

impl Rule {
    /// The rules that keep the data.
    pub(crate) const SAFETY: [Self; 26] = [
        LookAgain,
        PassOverCondemned,
        EveryList,
        OwnPacksOfThisSession,
        ListedPacks,
        CheckAfterMove,
        NoMoveInCommit,
        NonceReadBack,
        ListBeforeGeneration,
        GenerationBeforeSessions,
        Wait,
        FenceIsStored,
        SecondMark,
        MarkAfterWait,
        CondemnedIsNoHome,
        EveryCopyStays,
        IndexedHome,
        SegmentsOfPacks,
        EndedSessionsOnly,
        OwnList,
        FenceStays,
        ForgetStays,
        ForgottenBeforePins,
        PinsCount,
        PinnedOutcomeStays,
        LookAfterPin,
    ];

    /// The rules that save work, or false alarms, and without which no data is lost.
    pub(crate) const THRIFT: [Self; 4] =
        [FreshListing, FreshPlan, RegisteredRepack, PointsBeforePacks];

    /// The rule in words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            LookAgain => "a session looks at the generations again after it has registered",
            PassOverCondemned => "a session relies on nothing that is condemned",
            EveryList => "what is condemned once stays condemned",
            OwnPacksOfThisSession => "after a fence the session's packs are like all others",
            ListedPacks => "a pack counts only when it is listed",
            CheckAfterMove => "a session that has moved looks everything up again",
            NoMoveInCommit => "a session does not move while it commits",
            NonceReadBack => "an outcome that exists is read back",
            ListBeforeGeneration => "the condemned list is stored before its generation",
            GenerationBeforeSessions => "sessions are listed after the generation is stored",
            Wait => "a prune waits for the sessions of older generations",
            FenceIsStored => "a session that stands still is waited for until its fence is stored",
            SecondMark => "a prune marks a second time before it deletes",
            MarkAfterWait => "the second mark begins after the wait",
            CondemnedIsNoHome => "a condemned pack is no home of a chunk in the second mark",
            EveryCopyStays => "every copy of a chunk without a home stays",
            IndexedHome => "a pack that no segment names is no home",
            SegmentsOfPacks => "a segment stays while a pack that is there needs it",
            EndedSessionsOnly => "only packs of ended sessions are condemned",
            OwnList => "a condemned list that exists is somebody else's",
            FenceStays => "fences are never deleted",
            ForgetStays => "forget records are never deleted",
            ForgottenBeforePins => "forget records are listed before pins",
            PinsCount => "a pinned point is live",
            PinnedOutcomeStays => "the outcome of a pinned point stays",
            LookAfterPin => "a reader looks for the forget record after it has made its pin",
            FreshListing => "packs are listed after the condemned lists are read",
            FreshPlan => "a prune whose list came too late plans anew",
            RegisteredRepack => "a prune registers before it moves chunks",
            PointsBeforePacks => "points are listed before packs",
        }
    }
}
