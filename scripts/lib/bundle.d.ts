/** Defined, and true, in dist/metertime.mjs only. */
declare const METERTIME_BUNDLE: true;
