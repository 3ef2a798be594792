//! The defects, each with what is wrong.

macro_rules! flaws {
    ($($name:ident,)*) => {
        /// What is wrong with a provider.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Flaw { $($name,)* }

        impl Flaw {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

flaws! {
    // Where things are kept.
    KeyedByIdAlone, KeyedByLastScopePart, LowercasesIds, LowercasesScopes, HyphensForUnderscores,
    HyphensForDots, CutsIdsAt63, CutsIdsAt254, CutsScopesAt255, JoinsScopeAndIdByHyphens,
    EscapesWithoutEscapingTheEscape, HexForOddNames, HashesLongIdsIntoPlainNames,
    RefusesReservedIds, RefusesHiddenScopes, RefusesIdsOver128Bytes, RefusesScopesOver256Bytes,
    RefusesIdsThatBeginWithAHyphen, RefusesScopesThatBeginWithADot,
    // Who sees and changes what.
    InheritsFromTheParentScope, FallsBackToTheRoot, StoresInTheParentScopeToo,
    DeletesChildScopesToo, DeletesIdsWithThePrefix, ExistsLooksBelow, ListsTheWholeTree,
    ListsByScopePrefix, ListsParentsToo,
    // What is kept.
    DropsUnknownFields, DropsZeroSalts, DropsWrappedKeys, DropsExpiry, DropsRotation,
    DropsCreators, TrimsCreators,
    RoundsNumbersAsFloats, KeepsSecondsOnly, CutsCiphertextAt4000, TrimsZeroBytes, LowercasesKeyIds,
    TrimsTagValues, DropsEmptyTags, DropsForeignTags, RefusesForeignTagsAsOther,
    WritesARefusedForeignTag, ForgetsOnReopen,
    // How it is written.
    WritesMetadataAfterData, DeletesBeforeWriting, UnlistsWhileWriting, RewritesTheWholeMap,
    InterleavesWriters, RefusesDeletedNames, RevivesDeletedValues, RefusesTheSameValue,
    SkipsTheSameData, ListsTemporaries,
    // Limits.
    RefusesTheLimitItself, TakesOneByteMore, CountsTheCiphertextOnly, RefusesSizeAsOther,
    ErasesOnRefusal, DropsExtraTags, CutsLongTags, RefusesTagsAtTheLimit, RefusesTagsAsOther,
    // Reads.
    AbsenceIsOther, UnknownScopeIsAnError, CachesForEver, CachesBesideOtherClients,
    ReadsMakeRevisions, ReadsCreate, ReadsChangeMetadata, ExistsReadsContents, ExistsIsCached,
    ExistsIsAlwaysTrue, ExistsCreates,
    // Deletes.
    DeleteOfNothingIsNotFound, DeleteLeavesTheName, DeleteChecksFirst, DeleteReadsContents,
    DeleteDoesNothing,
    // Lists.
    ListsTwice, ListsTheFirstPageOnly, TreesTheFirstPageOnly, PagesByOffset,
    ListFailsOnWhatVanishes, EmptyScopeIsNotFound, OrsTags, ComparesTagsWithoutCase,
    ComparesTagsByPrefix, TakesBoundsAsInclusive, IgnoresBounds, IgnoresFilters,
    FiltersByTheFirstStore, ListReadsContents, FilterSkipsCorrupted, FilterNamesNoPath,
    TreeByPrefix, TreeWithoutTheRoot, TreeWithoutItself, TreeLosesCase, TreeTwice,
    TreeIgnoresFilters,
    // Many at once.
    ManySortsIds, ManyDropsDuplicates, ManyDropsTheMissing, ManyFailsAltogether, ManyOfNothingIsAll,
    ManyAnswersTheFirstBatchOnly, ManyNamesNoPath, ManyIgnoresTheScope,
    // Errors.
    ErrorsNameNothing, ErrorsNameAnotherOperation, ErrorsNameNoScope, CorruptedIsNotFound,
    CorruptedIsOther, CorruptedIsDecoded, CorruptedPrintsBytes, StoreReadsFirst,
    DebugPrintsContents, RefusalPrintsContents, DebugPrintsSecrets, OutagePrintsSecrets,
    OutageIsNotFound, OutageIsEmpty, OutageIsOk, OutageWritesAndDenies,
    // Stalls.
    BlocksTheRuntime, HangsInAStall, StallIsOk, StallIsEmpty, StallIsOther, LandsAfterItWasGivenUp,
    LandsAfterItWasDropped, LandsAfterItWasDenied, LandsWhenDroppedEarly,
    // Dropped futures.
    FirstStoreInParts, DeletesInParts, KeepsItsLockWhenDropped, ReadsTakeAway, SwapsInParts,
    RecoversInParts,
    // What it says of itself.
    DescriptionChanges, ConnectsInTheConstructor, HasNoTimeout, HangsUnderLoad, ListsTooSlowly,
    AbilitiesComeLate, HasNoCompareAndSet, HasNoSoftDelete, PanicsAtTheSecondShutdown, WorksAfterShutdown, LeaksATask,
    CountsManyAsOne, CountsAbsenceAsAnError,
    // Compare-and-set.
    SwapIgnoresRevisions, SwapOfNothingOverwrites, SwapCreatesWithARevision, SwapChecksThenWrites,
    SwapLocksPerClient, SwapConflictIsInvalid, SwapWritesOnConflict, RevisionIsAHashOfContents,
    RevisionsStartOverAfterDelete, SwapGivesTheOldRevision, SwapLosesMetadata,
    SwapRefusesDeletedNames, SwapIgnoresTheScope, RevisionReadLosesData,
    RevisionOfNothingIsAConflict, RevisionReadDecodesCorrupted, SwapAlwaysConflictsAtFirst,
    // Recovery.
    RecoversWithoutMetadata, RecoversTheLiveAsOk, RecoversTheFirstVersion, PurgesNothing,
    PurgesTheLive, PurgeOfNothingIsNotFound, ListsDeletedFirstPage, ListsDeletedTwice,
    ListsDeletedOfAllScopes, KeepsDeletedBesideStored, RecoversInAllScopes, PurgesInAllScopes,
    ForgetsDeletedOnReopen,
}
