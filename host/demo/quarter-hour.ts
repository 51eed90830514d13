// The demo's act about what the time is for: a quarter of an hour of tariffs and records in accelerated time, with the
// network lost in between, and all of it verified at the end.
// What always holds: a line is told when what it says was observed: at the broker, by the meter's application, or in the
// meter's storage; otherwise the act throws, and the demo fails.
import { Ring } from '../../as/abi/codes.ts';
import type { TariffSwitch } from '../meter/parts.ts';
import type { TimePayload } from '../mqtt/payloads.ts';
import type { RecordJson } from '../record/json.ts';
import type { Report } from '../record/verify.ts';
import { durationText } from '../text/names.ts';
import { nsPerSecond } from '../text/utc.ts';
import type { Cast, Stage } from './acts.ts';
import { magnitude } from './clock-check.ts';
import { DemoError, unlessAborted, waitFor } from './errors.ts';
import { Evidence, type EvidenceFiles } from './evidence.ts';
import { calibrationId, FastMeter, type MorningSwitch, nextMorning, periodMinutes, speed } from './fast-meter.ts';
import { gatewayName } from './lab.ts';
import { findingText, localClock, localDate, recordText } from './quarter-hour-texts.ts';

const id = 'meter-3';
/** It begins this long before the tariffs switch. */
const beforeSwitchSeconds = 7 * 60;
/** The network is cut this long after it. */
const cutAfterSeconds = 60;
/** Charging, with which it ends, lasts at least this long. */
const chargingSeconds = 60;
const quarterHourSeconds = 15 * 60;
/** Of the machine's time: each step takes seconds where nobody else needs the processor. */
const stepTimeoutMs = 120_000;
/** Also of UTC: legal time is off by whole quarters of an hour. */
const periodSeconds = BigInt(periodMinutes * 60);

/** The act while it is played. */
interface Play extends Stage {
  readonly cast: Cast;
  readonly morning: MorningSwitch;
  readonly fast: FastMeter;
  readonly evidence: Evidence;
  /** What the meter told its application to bill by. */
  readonly told: readonly TariffSwitch[];
}

/** Plays the act. @returns the files that it leaves for whoever wants to verify them too */
export async function showQuarterHour(stage: Stage, cast: Cast): Promise<EvidenceFiles> {
  const morning = nextMorning();
  const startNs = BigInt(morning.utcSeconds - beforeSwitchSeconds) * nsPerSecond;
  const date = localDate(startNs, morning.offsetSeconds);
  const from = localClock(startNs, morning.offsetSeconds).slice(0, 5);
  stage.story.heading(`A quarter of an hour, ${speed} times as fast`);
  stage.story.paragraph(
    `What the time is for: a third meter, in software, bills by two tariffs and records what it registers. For it and a time server of its own, time runs ${speed} times as fast, and it is ${date}, ${from} in Berlin. Tariff 2 applies at night, tariff 1 from 06:00 on; registration periods have ${periodMinutes} minutes.`,
  );
  const play = await prepare(stage, cast, morning);
  await powerOn(play);
  await passTheSwitch(play);
  await loseTheNetwork(play);
  await findTheNetwork(play);
  await charge(play);
  await unlessAborted(stage.signal, play.fast.powerOff());
  verifyAll(play);
  return play.evidence.files;
}

async function prepare(stage: Stage, cast: Cast, morning: MorningSwitch): Promise<Play> {
  const { signal, cleanup, fail, story } = stage;
  const { lab, service } = cast;
  const told: TariffSwitch[] = [];
  const certificate = await unlessAborted(signal, lab.ca.issue({ names: ['localhost'] }));
  const creating = FastMeter.create({
    id,
    folder: lab.folder,
    gateway: service.gateway,
    certificate,
    startUtcSeconds: morning.utcSeconds - beforeSwitchSeconds,
    onTariff: (tariff) => told.push(tariff),
    onEnd: (reason) => fail(new DemoError('meter-ended', `${id}: ${reason}`)),
  });
  cleanup.add(`${id}'s time server`, () => creating.then(({ server }) => server.unplug()).catch(() => {}));
  const fast = await unlessAborted(signal, creating);
  cleanup.add(id, () => fast.powerOff());
  const topic = `metertime/${gatewayName}/${id}`;
  const evidence = new Evidence({ folder: lab.folder, meter: id, topic, ...fast.files });
  cleanup.add('subscriber to records', () => evidence.stop());
  await unlessAborted(signal, evidence.start(lab.brokerUrl, signal));
  evidence.onRecord = (record) => {
    if (!signal.aborted) story.line('broker', 'ok', recordText(record), recordFacts(record));
  };
  return { ...stage, cast, morning, fast, evidence, told };
}

/** Waits, and on a terminal shows the local time meanwhile. */
function pass<T>(play: Play, what: string, condition: () => T | undefined | false): Promise<T> {
  const { story, signal, fast } = play;
  return story.during(
    id,
    () => `${clock(play, fast.utcNs())}, waits for ${what}`,
    () => waitFor(signal, what, stepTimeoutMs, condition),
  );
}

function clock({ morning }: Play, utcNs: bigint): string {
  return localClock(utcNs, morning.offsetSeconds);
}

/** The last report of its time, where it is one that fits. */
function reported({ cast }: Play, status: string, sinceUtcNs = 0n): TimePayload | undefined {
  const time = cast.broker.lastTime(id)?.payload;
  if (time?.status !== status || time.utcNs === null || BigInt(time.utcNs) < sinceUtcNs) return undefined;
  return time;
}

function lastRecord({ evidence }: Play, fits: (record: RecordJson) => boolean): RecordJson | undefined {
  return evidence.records.findLast(fits);
}

// ---------------------------------------------------------------- with a network

async function powerOn(play: Play): Promise<void> {
  const { story, signal, fast, evidence } = play;
  const calibration = `its clock has a calibration (${calibrationId}), without which no record would say S: legal time`;
  story.line(id, 'ok', `power on; ${calibration}`, { event: 'power-on' });
  await unlessAborted(signal, fast.powerOn());
  const time = await pass(play, 'its first time', () => reported(play, 'synchronised'));
  story.line(
    id,
    'ok',
    `synchronised with NTS through the same gateway at ${clock(play, BigInt(time.utcNs!))}; error certainly below ${durationText(time.boundNs ?? 0)}`,
    { event: 'synchronised', boundNs: time.boundNs },
  );
  const tariff = await pass(play, 'its tariff', () => evidence.tariff?.tariff === 2 && evidence.tariff);
  const next =
    tariff.next?.utc == null ? '' : `; tariff ${tariff.next.tariff} from ${clock(play, utcNsOf(tariff.next.utc))} on`;
  story.line(id, 'ok', `bills by tariff ${tariff.tariff}${next}`, { event: 'tariff', tariff: tariff.tariff });
}

function utcNsOf(utc: string): bigint {
  return BigInt(Date.parse(utc)) * 1_000_000n;
}

async function passTheSwitch(play: Play): Promise<void> {
  const { story, told, morning } = play;
  const switched = await pass(play, 'tariff 1', () => told.find(({ tariff }) => tariff === 1));
  const since = switched.sinceUnixSeconds;
  if (since !== morning.utcSeconds) {
    throw new DemoError(
      'not-shown',
      `${id}: expected tariff 1 from Unix second ${morning.utcSeconds} on, came ${since}`,
    );
  }
  const at = clock(play, BigInt(since) * nsPerSecond);
  story.line(id, 'ok', `tells its application to bill by tariff 1 from ${at} on`, { event: 'switched', at });
  await pass(play, 'the record of the switch', () => switchRecords(play)[0]);
}

/** From tariff 2 to tariff 1; the first record after the start is of a switch too, from none to tariff 2. */
function switchRecords({ evidence }: Play): RecordJson[] {
  return evidence.records.filter(({ tariff, reasons }) => tariff === 2 && reasons.includes('switch'));
}

// ---------------------------------------------------------------- without

async function loseTheNetwork(play: Play): Promise<void> {
  const { story, signal, fast } = play;
  const cutNs = BigInt(play.morning.utcSeconds + cutAfterSeconds) * nsPerSecond;
  const before = await pass(play, 'what comes', () => reported(play, 'synchronised', cutNs));
  await unlessAborted(signal, fast.server.unplug());
  story.line('network', 'note', `is cut at ${clock(play, fast.utcNs())}: the time server cannot be reached`, {
    event: 'cut',
  });
  const after = await pass(play, 'holdover', () => reported(play, 'holdover'));
  const grown = (name: 'uncertaintyNs' | 'boundNs') =>
    `${durationText(before[name] ?? 0)} to ${durationText(after[name] ?? 0)}`;
  story.line(
    id,
    'note',
    `holdover: its last answer is ${durationText(after.sampleAgeNs ?? 0)} old. The uncertainty (95 %) has grown from ${grown('uncertaintyNs')}, what the error is certainly below from ${grown('boundNs')}`,
    { event: 'holdover', uncertaintyNs: after.uncertaintyNs, boundNs: after.boundNs },
  );
  await pass(play, 'a record in holdover', () =>
    lastRecord(play, ({ status, reasons }) => status.clock === 'holdover' && reasons.includes('period')),
  );
  const { differenceNs: errorNs, marginNs, boundNs, withinBound } = fast.check();
  if (!withinBound) {
    const bound = durationText(boundNs);
    throw new DemoError(
      'not-shown',
      `${id} is off by ${durationText(errorNs)}, which is outside its bound of ${bound}`,
    );
  }
  story.line(
    id,
    'ok',
    `goes on billing, as its rules allow: its clock is off by ${durationText(magnitude(errorNs))} (to within ${durationText(marginNs)}), which it knows to be below ${durationText(boundNs)}`,
    { event: 'held', errorNs, boundNs },
  );
}

async function findTheNetwork(play: Play): Promise<void> {
  const { story, signal, fast } = play;
  await unlessAborted(signal, fast.server.plugIn());
  const backNs = fast.utcNs();
  story.line('network', 'note', `is back at ${clock(play, backNs)}`, { event: 'back' });
  const time = await pass(play, 'an answer of the time server', () => reported(play, 'synchronised', backNs));
  const keysSince = time.nts.keysSinceUtc;
  const keys = keysSince !== null && utcNsOf(keysSince) > backNs ? 'new keys' : 'the keys that it had';
  story.line(
    id,
    'ok',
    `synchronised again at ${clock(play, BigInt(time.lastSynchronisationUtcNs ?? time.utcNs!))}, with ${keys}; error certainly below ${durationText(time.boundNs ?? 0)}`,
    { event: 'synchronised', boundNs: time.boundNs },
  );
  await pass(play, 'the record of it', () =>
    lastRecord(play, ({ status, reasons, capture }) => {
      return status.clock === 'synchronised' && reasons.includes('status') && BigInt(capture.utcNs!) > backNs;
    }),
  );
}

// ---------------------------------------------------------------- what is signed and verified

/** A transaction, at the end of which the meter signs. */
async function charge(play: Play): Promise<void> {
  const { story, fast, evidence, morning, cast } = play;
  const recordOf = (reason: string) => () => lastRecord(play, ({ reasons }) => reasons.includes(reason));
  fast.meter.transaction(true);
  const begin = await pass(play, 'the record of the begin of charging', recordOf('transaction-begin'));
  const soonestNs = BigInt(begin.capture.utcNs!) + BigInt(chargingSeconds) * nsPerSecond;
  const quarterNs = BigInt(morning.utcSeconds - beforeSwitchSeconds + quarterHourSeconds) * nsPerSecond;
  // What the meter signs is to be the last that it writes: nothing else is to be due soon.
  const isQuiet = (utcNs: bigint) => (utcNs / nsPerSecond) % periodSeconds < (periodSeconds * 4n) / 5n;
  await pass(play, 'the end of charging', () => {
    const utcNs = fast.utcNs();
    return utcNs >= soonestNs && utcNs >= quarterNs && isQuiet(utcNs);
  });
  cast.service.gateway.meter(id)?.once('head', () => {
    fast.clock.fast = false;
  });
  fast.meter.transaction(false);
  const end = await pass(play, 'the record of the end of charging', recordOf('transaction-end'));
  const head = await pass(
    play,
    'the signature',
    () => (evidence.head?.records?.sequence ?? 0) >= end.sequence && evidence.head,
  );
  const covered = `record ${head.records!.sequence} and all before it, and its logbook up to entry ${head.logbook?.sequence}`;
  story.line(id, 'ok', `signs with its own key (Ed25519): ${covered}`, { event: 'signed' });
}

function verifyAll(play: Play): void {
  const { story, evidence, told } = play;
  const { records } = evidence;
  const switches = told.filter(({ tariff }) => tariff === 1).length;
  const recorded = switchRecords(play).length;
  if (switches !== 1 || recorded !== 1) {
    const came = `told it ${switches} times and recorded it ${recorded} times`;
    throw new DemoError('not-shown', `${id}: expected one switch to tariff 1, it ${came}`);
  }
  const broker = ringOf(evidence.verify(), 'records');
  story.line(
    'verify',
    'ok',
    `what the broker received: ${broker.entries} entries, ${records.length} of them records, one of them of the switch; all seals, all links and the signature hold, nothing is missing`,
    { event: 'verified', entries: broker.entries, records: records.length, switches: recorded },
  );
  const stored = evidence.readStorage(Ring.Records).report;
  const logbook = evidence.readStorage(Ring.Logbook);
  const events = logbook.told.flatMap((entry) => (entry.format === 'log' ? [entry.event] : []));
  const [kept, log] = [ringOf(stored, 'records'), ringOf(logbook.report, 'logbook')];
  story.line(
    'logbook',
    'ok',
    `in the meter's own storage: the same ${kept.entries}, and ${log.entries} of its logbook (${events.join(', ')}), hold likewise`,
    { event: 'stored', records: kept.entries, logbook: log.entries, events },
  );
  findOneBit(play);
}

function findOneBit(play: Play): void {
  const { story, evidence } = play;
  const { sequence } = switchRecords(play)[0]!;
  evidence.changeOneBit(sequence);
  const { ok, findings } = evidence.verify(evidence.files.changed);
  const found = [...new Set(findings.map(findingText))];
  if (ok || !found.includes(`seal of record ${sequence}`)) {
    throw new DemoError('not-shown', `a copy with one bit of record ${sequence} changed was not found out`);
  }
  story.line(
    'verify',
    'refused',
    `a copy with one bit of the energy in record ${sequence} changed: ${found.join(', ')}`,
    {
      event: 'change-found',
      sequence,
      found,
    },
  );
}

/** What a report says of a ring. @throws DemoError where anything does not hold */
function ringOf({ ok, rings, findings }: Report, name: string): Report['rings'][number] {
  const ring = rings.find((each) => each.ring === name);
  if (ok && ring !== undefined && ring.seals.held === ring.entries) return ring;
  const [first] = findings;
  const what =
    first === undefined
      ? 'they are not there'
      : `${findingText(first)}: expected ${first.expected}; came ${first.came}`;
  throw new DemoError('not-shown', `the ${name} of ${id} do not hold: ${what}`);
}

/** For JSON. */
function recordFacts({
  sequence,
  reasons,
  marks,
  tariff,
  status,
  capture,
  boundNs,
  uncertaintyNs,
}: RecordJson): object {
  const { letter, ptb, clock } = status;
  const legal = capture.legal;
  return {
    event: 'record',
    sequence,
    reasons,
    marks,
    tariff,
    letter,
    ptb: ptb.name,
    clock,
    legal,
    boundNs,
    uncertaintyNs,
  };
}
