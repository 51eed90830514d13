// Random numbers whose seed is printed, and taken from METERTIME_SEED when a run is to be repeated.

/** A generator of whole numbers below its argument (mulberry32). */
export function randomNumbers(): (below: number) => number {
  let state = Number(process.env.METERTIME_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
  console.log(`METERTIME_SEED=${state}`);
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
