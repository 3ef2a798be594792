//! The defects.

macro_rules! flaws {
    ($($name:ident,)*) => {
        /// A defect of a provider.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Flaw { $($name,)* }

        impl Flaw {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

flaws! {
    // Physical names.
    KeyedByIdAlone, KeyedByLastScopePart, LowercasesIds, LowercasesScopes, HyphensForUnderscores,
    HyphensForDots, CutsIdsAt63, CutsIdsAt254, CutsScopesAt255, JoinsScopeAndIdByHyphens,
    EscapesWithoutEscapingTheEscape, HexForOddNames, HashesLongIdsIntoPlainNames,
    RefusesReservedIds, RefusesHiddenScopes, RefusesIdsOver128Bytes, RefusesScopesOver256Bytes,
    RefusesIdsThatBeginWithAHyphen, RefusesScopesThatBeginWithADot,
    // Access across scopes.
    InheritsFromTheParentScope, FallsBackToTheRoot, StoresInTheParentScopeToo,
    DeletesChildScopesToo, DeletesIdsWithThePrefix, ExistsIncludesChildScopes, ListsTheWholeTree,
    ListsByScopePrefix, ListsParentsToo,
    // Stored data.
    DropsUnknownFields, DropsZeroSalts, DropsWrappedKeys, DropsExpiry, DropsRotation,
    DropsCreators, TrimsCreators,
    RoundsNumbersAsFloats, KeepsSecondsOnly, CutsCiphertextAt4000, TrimsZeroBytes, LowercasesKeyIds,
    TrimsTagValues, DropsEmptyTags, DropsNonAsciiTags, RefusesNonAsciiTagsAsOther,
    WritesARefusedNonAsciiTag, ForgetsOnReopen,
    // Writes.
    WritesMetadataAfterData, DeletesBeforeWriting, UnlistsWhileWriting, RewritesTheWholeMap,
    InterleavesWriters, RefusesDeletedNames, RestoresDeletedValues, RefusesTheSameValue,
    SkipsTheSameData, ListsTemporaries,
    // Limits.
    RefusesTheLimitItself, AcceptsOneByteMore, CountsTheCiphertextOnly, RefusesSizeAsOther,
    ErasesOnRefusal, DropsExtraTags, CutsLongTags, RefusesTagsAtTheLimit, RefusesTagsAsOther,
    // Reads.
    AbsenceIsOther, UnknownScopeIsAnError, CachesForever, CachesDespiteOtherClients,
    ReadsMakeRevisions, ReadsCreate, ReadsChangeMetadata, ExistsReadsContents, ExistsIsCached,
    ExistsIsAlwaysTrue, ExistsCreates,
    // Deletes.
    DeleteOfAbsentIsNotFound, DeleteLeavesTheNameInLists, DeleteChecksFirst, DeleteReadsContents,
    DeleteDoesNothing,
    // Lists.
    ListsTwice, ListsTheFirstPageOnly, TreesTheFirstPageOnly, PagesByOffset,
    ListFailsOnVanishedCredentials, EmptyScopeIsNotFound, OrsTags, ComparesTagsWithoutCase,
    ComparesTagsByPrefix, TreatsBoundsAsInclusive, IgnoresBounds, IgnoresFilters,
    FiltersByTheFirstMetadata, ListReadsContents, FilterSkipsCorrupted, FilterNamesNoPath,
    TreeByPrefix, TreeWithoutTheRoot, TreeWithoutItsOwnScope, TreeLosesCase, TreeTwice,
    TreeIgnoresFilters,
    // Batch reads.
    ManySortsIds, ManyDropsDuplicates, ManyDropsTheMissing, ManyFailsAltogether, ManyOfNoIdsIsAll,
    ManyAnswersTheFirstBatchOnly, ManyNamesNoPath, ManyIgnoresTheScope,
    // Errors.
    ErrorsNameNothing, ErrorsNameAnotherOperation, ErrorsNameNoScope, CorruptedIsNotFound,
    CorruptedIsOther, CorruptedIsDecoded, CorruptedPrintsBytes, StoreReadsFirst,
    DebugPrintsContents, RefusalPrintsContents, DebugPrintsSecrets, OutagePrintsSecrets,
    OutageIsNotFound, OutageIsEmpty, OutageIsOk, OutageWritesAndReportsNoWrite,
    // Stalls.
    BlocksTheRuntime, HangsInAStall, StallIsOk, StallIsEmpty, StallIsOther, WritesAfterItTimedOut,
    WritesAfterItWasDropped, WritesAfterItWasRefused, WritesAfterItWasDroppedEarly,
    // Dropped futures.
    FirstStoreInParts, DeletesInParts, KeepsItsLockWhenDropped, ReadsRemoveTemporarily, SwapsInParts,
    RecoversInParts,
    // Description, abilities, shutdown and metrics.
    DescriptionChanges, ConnectsInTheConstructor, HasNoTimeout, HangsUnderLoad, ListsTooSlowly,
    AbilitiesAppearLate, HasNoCompareAndSet, HasNoSoftDelete, PanicsAtTheSecondShutdown, WorksAfterShutdown, LeaksATask,
    CountsManyAsOne, CountsAbsenceAsAnError,
    // Compare-and-set.
    SwapIgnoresRevisions, SwapWithoutARevisionOverwrites, SwapCreatesWithARevision, SwapChecksThenWrites,
    SwapLocksPerClient, SwapConflictIsInvalid, SwapWritesOnConflict, RevisionIsAHashOfContents,
    RevisionsStartOverAfterDelete, SwapReturnsTheOldRevision, SwapLosesMetadata,
    SwapRefusesDeletedNames, SwapIgnoresTheScope, RevisionReadLosesData,
    RevisionOfAbsentIsAConflict, RevisionReadDecodesCorrupted, SwapAlwaysConflictsAtFirst,
    // Recovery.
    RecoversWithoutMetadata, RecoveringALiveCredentialIsOk, RecoversTheFirstVersion, PurgesNothing,
    PurgesLiveCredentials, PurgeOfAbsentIsNotFound, ListsDeletedFirstPage, ListsDeletedTwice,
    ListsDeletedOfAllScopes, KeepsDeletedNextToStored, RecoversInAllScopes, PurgesInAllScopes,
    ForgetsDeletedOnReopen,
}
