// The demo's acts: the stage, two meters from power-on to reported time, a forged answer, what the reader may try.
// What always holds: an act ends only when what it shows was observed; otherwise it throws, and the demo fails.
import { Reject } from '../../as/abi/codes.ts';
import { GatewayService } from '../cli/gateway-service.ts';
import { version } from '../cli/program-info.ts';
import { signedNs } from '../cli/units.ts';
import { loadSettings } from '../config/settings.ts';
import { formatLine, loggerTo } from '../log.ts';
import { durationText } from '../text/names.ts';
import { nsPerSecond } from '../text/utc.ts';
import { BrokerView, shortPayload } from './broker-view.ts';
import type { Cleanup } from './cleanup.ts';
import { type ClockCheck, checkClock, magnitude } from './clock-check.ts';
import { DemoError, unlessAborted, waitFor } from './errors.ts';
import type { EvidenceFiles } from './evidence.ts';
import { forgeNext } from './forgery.ts';
import { gatewayName, type Lab, makeDemoFolder, requireServers, startLab, writeGatewaySettings } from './lab.ts';
import { boardName, buildMeterFirmware, type DemoMeter, makeMeter, meterKind, poll } from './meters.ts';
import { legend, type Story } from './story.ts';
import { type Explain, MeterWatch, makeExplain } from './watch.ts';

/** What every act needs. */
export interface Stage {
  readonly story: Story;
  readonly cleanup: Cleanup;
  /** Aborted when the demo is to end. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends the demo as failed, whatever act is under way. */
  readonly fail: (error: DemoError) => void;
}

/** What runs once the stage is set. */
export interface Cast {
  readonly lab: Lab;
  readonly service: GatewayService;
  readonly broker: BrokerView;
  readonly meters: readonly { readonly meter: DemoMeter; readonly watch: MeterWatch }[];
  /** The last lines of the logs of gateway and servers. */
  log(): string;
}

const wrongRtc = new Date('2020-01-01T00:00:00Z');
const forgedSeconds = 3_600;
/** Answers within the first seconds after power-on. */
const firstAnswers = 4;

// ---------------------------------------------------------------- the stage

/** Builds the firmware and starts everything but the meters. */
export async function setTheStage(stage: Stage): Promise<Cast> {
  const { story, cleanup, signal } = stage;
  story.heading('The stage');
  story.paragraph('Everything runs on this computer and ends with the demo.');
  story.paragraph(legend);
  requireServers();
  const image = await makeFirmware(stage);
  const lab = await startLab(makeDemoFolder(cleanup), story, cleanup, signal);

  const broker = new BrokerView();
  await unlessAborted(signal, broker.start(lab.brokerUrl, signal));
  cleanup.add('subscriber', () => broker.stop());

  const explain: Explain = makeExplain();
  const meters = [{ id: 'meter-1' }, { id: 'meter-2', rtcStart: wrongRtc }].map((each) => ({
    meter: makeMeter({ ...each, folder: lab.folder, kePort: lab.kePort, ...(image === undefined ? {} : { image }) }),
    watch: new MeterWatch({ id: each.id, story, signal, explain }),
  }));

  const log: string[] = [];
  const service = new GatewayService({
    settings: loadSettings(writeGatewaySettings(lab)),
    version,
    log: loggerTo((record) => {
      if (record.level !== 'debug') log.push(formatLine(record));
      if (log.length > 20) log.shift();
    }),
  });
  service.gateway.on('meter', (met) => meters.find(({ watch }) => watch.id === met.id)?.watch.attachMeter(met));
  const starting = service.start();
  cleanup.add('gateway', () => starting.then(() => service.stop()).catch(() => {}));
  await unlessAborted(signal, starting);
  story.line('gateway', 'ok', 'has a line to each meter; lends them its network, does not tell them the time');
  return { lab, service, broker, meters, log: () => [...log, lab.log()].join('\n') };
}

/** Builds the firmware. @returns the image; undefined where the meters are to run in software, which is told */
async function makeFirmware({ story, cleanup, signal, env }: Stage): Promise<string | undefined> {
  const kind = meterKind(env);
  if (!kind.emulated) {
    const text = `${kind.reason}: the meters run in software, with the same core.wasm in this process`;
    story.line('firmware', 'note', text, { emulated: false });
    return undefined;
  }
  const board = `a Cortex-M3 (board ${boardName})`;
  const building = buildMeterFirmware(signal);
  // One that is broken off removes what it has made so far.
  cleanup.add('firmware', () => building.catch(() => {}));
  const report = await story.during('firmware', `is being compiled for ${board}`, () =>
    unlessAborted(signal, building),
  );
  const { flash, ram, rebuilt } = report;
  const use = ({ usedBytes, budgetBytes }: typeof flash) =>
    `${(usedBytes / 1024).toFixed(1)} of ${(budgetBytes / 1024).toFixed(0)} KiB`;
  story.line('firmware', 'ok', `for ${board}: flash ${use(flash)}, RAM ${use(ram)}`, {
    emulated: true,
    rebuilt,
    flashBytes: flash.usedBytes,
    ramBytes: ram.usedBytes,
  });
  return report.elfPath;
}

// ---------------------------------------------------------------- from power-on to authenticated time

/** Switches the meters on, one after the other, each until it has the time. */
export async function powerOnMeters(stage: Stage, { meters, service }: Cast): Promise<void> {
  const { story, cleanup, signal, fail } = stage;
  for (const [index, { meter, watch }] of meters.entries()) {
    const { id, rtcStart } = meter;
    story.heading(index === 0 ? 'A meter is switched on' : 'A second one, with a wrong battery clock');
    const clock = rtcStart === undefined ? 'right, which it cannot know' : `wrong: ${rtcStart.getUTCFullYear()}`;
    story.line(id, 'ok', `power on${emulated(stage) ? ' (emulated by QEMU)' : ''}; its battery clock is ${clock}`, {
      event: 'power-on',
    });
    watch.poweredOn();
    const starting = meter.powerOn({
      gateway: service.gateway,
      onSession: (session) => watch.attachSession(session),
      onEnd: (reason) => fail(new DemoError('meter-ended', `${id}: ${reason}`)),
    });
    cleanup.add(id, () => starting.then(() => meter.powerOff()).catch(() => {}));
    await unlessAborted(signal, starting);
    await story.during(id, 'on its way to the time', () =>
      waitFor(signal, `authenticated time on ${id}`, 60_000, () => watch.isSynchronised),
    );
  }
  const watches = meters.map(({ watch }) => watch);
  await story.during('meters', 'ask a few times more, to know the time better', () =>
    waitFor(signal, `${firstAnswers} authenticated answers for each meter`, 40_000, () =>
      watches.every(({ time }) => time !== undefined && time.authenticated >= firstAnswers),
    ),
  );
  for (const { id, time } of watches) {
    const { authenticated, offsetNs, uncertaintyNs, boundNs } = time!;
    story.line(
      id,
      'ok',
      `after ${authenticated} answers: offset to the server ${signedNs(offsetNs)} ± ${durationText(uncertaintyNs)} (95 %), error certainly below ${durationText(boundNs)}`,
      { event: 'measured', offsetNs, boundNs },
    );
  }
}

function emulated({ env }: Stage): boolean {
  return meterKind(env).emulated;
}

// ---------------------------------------------------------------- the broker

/** Shows what the broker has, as a subscriber sees it. */
export async function showBroker({ story, signal }: Stage, { broker, meters }: Cast): Promise<void> {
  const ids = meters.map(({ watch }) => watch.id);
  story.heading('What arrives at the broker');
  story.paragraph(`Any program that subscribes to metertime/# gets this (shortened; of ${ids[0]} only):`);
  const leaves = ['state', 'info', 'time', 'event'];
  const wanted = ids.flatMap((id) => leaves.map((leaf) => `metertime/${gatewayName}/${id}/${leaf}`));
  const viewOf = (topic: string) => broker.topics.find((each) => each.topic === topic);
  await waitFor(
    signal,
    'the reports of both meters at the broker',
    20_000,
    () =>
      wanted.every((topic) => viewOf(topic) !== undefined) &&
      ids.every((id) => broker.lastTime(id)?.payload.status === 'synchronised'),
  );
  const topics = [`metertime/${gatewayName}/state`, ...wanted.slice(0, leaves.length)];
  const views = topics.map(viewOf).filter((view) => view !== undefined);
  const width = Math.max(...views.map(({ topic }) => topic.length));
  story.details(views.map((view) => `${view.topic.padEnd(width)} ${shortPayload(view)}`));
  const events = (id: string) => broker.reports.filter((each) => each.kind === 'event' && each.meter === id).length;
  story.line(
    'broker',
    'ok',
    `both meters are online and synchronised; ${ids.map((id) => `${events(id)} events of ${id}`).join(', ')}`,
    { event: 'reported', topics: broker.topics.map(({ topic }) => topic) },
  );
}

// ---------------------------------------------------------------- the forged answer

/** Has the relay forge an answer, and shows that it is refused and moves nothing. */
export async function forgeAnswer({ story, signal }: Stage, { meters, broker, lab }: Cast): Promise<void> {
  const watches = meters.map(({ watch }) => watch);
  story.heading('A forged answer');
  story.paragraph(
    "Now somebody has taken over the relay. The server's next answer is moved by one hour and sent on, just before the genuine one. Only the seal cannot be made to fit: that takes the keys, which meter and server alone have.",
  );
  const before = new Map<MeterWatch, ClockCheck>();
  for (const watch of watches) {
    const check = await lookAtClock(signal, watch);
    before.set(watch, check);
    story.line(watch.id, 'ok', `its clock seen from outside: ${checkText(check)}`, { event: 'clock-before' });
  }
  const refusedBefore = new Map(watches.map((watch) => [watch, watch.refused.length]));

  const forging = forgeNext(lab.relay, forgedSeconds);
  const forgery = await story.during('attacker', 'waits for a meter to ask', () =>
    waitFor(signal, 'a question of a meter', 10 * poll.maxSeconds * 1000, () => unlessAborted(signal, forging)),
  );
  story.line(
    'attacker',
    'note',
    `sends a meter an answer that says ${clockTime(forgery.forged)} UTC; it is ${clockTime(forgery.genuine)}`,
    { event: 'forged', forged: forgery.forged, genuine: forgery.genuine },
  );
  const victim = await waitFor(signal, 'the refusal of the forged answer', 15_000, () =>
    watches.find((watch) => watch.refused.slice(refusedBefore.get(watch)).includes(Reject.Authentication)),
  );
  // Each question has had its answer: the genuine one, behind the forged one, was taken.
  await waitFor(signal, 'the genuine answer', 15_000, () => {
    const { time } = victim;
    return time !== undefined && time.rejected > 0 && time.authenticated === time.sent;
  });
  story.line(victim.id, 'ok', 'takes the genuine answer right behind it', { event: 'genuine-accepted' });

  const after = await lookAtClock(signal, victim);
  const movedNs = magnitude(after.differenceNs - before.get(victim)!.differenceNs);
  if (movedNs > nsPerSecond) {
    throw new DemoError('not-shown', `${victim.id} moved its clock by ${durationText(movedNs)} on a forged answer`);
  }
  story.line(victim.id, 'ok', `its clock did not follow: ${checkText(after)}`, {
    event: 'clock-after',
    movedNs,
  });
  const report = await waitFor(signal, 'the refusal at the broker', 15_000, () => {
    const found = broker.reports.find(
      (each) => each.kind === 'event' && each.meter === victim.id && each.payload.event === 'answer-refused',
    );
    return found?.kind === 'event' ? found : undefined;
  });
  const topic = `metertime/${gatewayName}/${victim.id}/event`;
  story.line('broker', 'ok', 'its operators can see it:', { event: 'refusal-reported', topic });
  story.details([`${topic} ${shortPayload({ topic, payload: { ...report.payload } })}`]);
}

/** Compares a meter's clock with this computer's. @throws DemoError when the difference lies outside its bound */
async function lookAtClock(signal: AbortSignal, { meter, id }: MeterWatch): Promise<ClockCheck> {
  if (meter === undefined) throw new DemoError('not-shown', `${id} is not connected`);
  const check = await unlessAborted(signal, checkClock(meter));
  if (!check.withinBound) {
    const bound = durationText(check.boundNs);
    throw new DemoError('not-shown', `${id} is ${checkText(check)}, which is outside its bound of ${bound}`);
  }
  return check;
}

function checkText({ differenceNs, marginNs }: ClockCheck): string {
  return `${signedNs(differenceNs)} from this computer's (to within ${durationText(marginNs)})`;
}

// ---------------------------------------------------------------- the end

/** What happened, and what to try. */
export function closing(
  { story }: Stage,
  { lab }: Cast,
  { once, evidence }: { readonly once: boolean; readonly evidence: EvidenceFiles },
): void {
  story.heading('Your turn');
  story.paragraph(
    'The meters went from no time at all to a proven one, told it to the broker, and did not fall for the forgery; and what one of them recorded by it can be verified to the last bit.',
  );
  story.paragraph(
    `The broker is at ${lab.brokerUrl}. ${once ? 'Without --once the demo goes on, and in another terminal you can try:' : 'Try in another terminal:'}`,
  );
  const trust = `--keys ${evidence.keys}`;
  const commands = [
    ['what the broker knows of the meters', `npx metertime status --mqtt ${lab.brokerUrl}`],
    ['what the meters report, as it comes', `npx metertime monitor ${lab.brokerUrl}`],
    ['another meter, in software, gets the time', `npx metertime sync localhost:${lab.kePort} --ca ${lab.caFile}`],
    ['the records of the third meter', `npx metertime verify ${evidence.records} ${trust} --head ${evidence.head}`],
    ['the copy with one bit changed', `npx metertime verify ${evidence.changed} ${trust}`],
    ['the logbook in its storage', `npx metertime logbook --storage ${evidence.storage} ${trust}`],
  ] as const;
  const lines = commands.flatMap(([what, command]) => [`  ${story.paint('dim', `# ${what}`)}`, `  ${command}`]);
  story.verbatim('', ...lines);
}

function clockTime(date: Date): string {
  return date.toISOString().slice(11, 19);
}
