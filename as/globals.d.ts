// Constants that the build sets (asconfig.json, scripts/build-core.mjs): for the type checker; the compiler knows them.

/** Time servers that the core can use at once, 1 to 4. */
declare const SERVERS_MAX: i32;
