// Constants that the build sets (asconfig.json, scripts/build-core.mjs): for the type checker; the compiler knows them.

/** Time servers that the core can use at once, 1 to 4. */
declare const SERVERS_MAX: i32;

/** 1 where the core has tariffs, records and a logbook: that of four servers; 0 where it is time alone. */
declare const TARIFF: i32;

/** 1 where software can be replaced over the link: on boards with two slots for it; 0 where nothing of that is in the core. */
declare const UPDATE: i32;
