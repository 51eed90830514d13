// Pictures of one run of a case: the clock's error with what the clock says of it, frequency, Allan deviation.
import { ClockStatus } from '../../as/abi/codes.ts';
import { allanDeviation } from './allan.ts';
import type { Case } from './cases.ts';
import { runCase, type Witness } from './run.ts';
import { type Axis, type Panel, svgOf } from './svg.ts';

const columns = 900;
const colours = { error: '#c0392b', u: '#aed6f1', bound: '#eaeded', truth: '#7f8c8d', frequency: '#2471a3' };
const strong = { u: '#2471a3', bound: '#566573' };

/** What is seen of each stretch of the time axis: extremes, since a column stands for many readings. */
interface Column {
  hours: number;
  least: number;
  most: number;
  u: number;
  bound: number;
  truthPpb: number;
  clockPpb: number;
}

/** A picture of the case with this seed, as SVG. */
export function plotCase(of: Case, seed: number): string {
  const every = Math.min(of.readEverySeconds, Math.max(1, Math.floor(of.seconds / columns)));
  const perColumn = Math.ceil(of.seconds / every / columns);
  const seen: Column[] = [];
  const clockNs: number[] = [];
  const freeNs: number[] = [];
  const temperatures: { hours: number; celsius: number }[] = [];
  let readings = 0;
  const witness: Witness = (second, { status, errorNs, boundNs, uncertaintyNs }, world) => {
    if (status === ClockStatus.Unsynchronised) return;
    if (second >= of.leaveOutSeconds || of.leaveOutSeconds === of.seconds) {
      clockNs.push(errorNs);
      freeNs.push(world.oscillator.offsetNs[second]!);
    }
    const [ms, u, bound] = [errorNs / 1e6, uncertaintyNs / 1e6, boundNs / 1e6];
    if (readings++ % perColumn === 0) {
      const hours = second / 3600;
      const truthPpb = world.oscillator.ppb[second]!;
      seen.push({ hours, least: ms, most: ms, u, bound, truthPpb, clockPpb: world.frequencyPpb(second) });
      const celsius = world.oscillator.celsius?.[second];
      if (celsius !== undefined) temperatures.push({ hours, celsius });
    }
    const last = seen.at(-1)!;
    last.least = Math.min(last.least, ms);
    last.most = Math.max(last.most, ms);
    last.u = Math.max(last.u, u);
    last.bound = Math.max(last.bound, bound);
  };
  runCase({ ...of, readEverySeconds: every }, seed, witness);
  const hours = seen.map((column) => column.hours);
  const time: Axis = { label: 'h', from: 0, to: of.seconds / 3600 };
  const panels = [errorPanel(seen, hours, time, of), sizesPanel(seen, hours, time), frequencyPanel(seen, hours, time)];
  if (temperatures.length > 0) panels.push(temperaturePanel(temperatures, time));
  panels.push(allanPanel(clockNs, freeNs, every));
  return svgOf(`${of.title} (${of.name}, seed ${seed})`, panels);
}

/** The value that this share of them does not exceed. */
function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))] ?? 1;
}

function errorPanel(seen: readonly Column[], hours: readonly number[], time: Axis, of: Case): Panel {
  const counted = seen.filter((column) => column.hours * 3600 >= of.leaveOutSeconds);
  const shown = counted.length > 1 ? counted : seen;
  const size = Math.max(
    1.3 *
      quantile(
        shown.map(({ u }) => u),
        0.98,
      ),
    1.1 *
      quantile(
        shown.map(({ least, most }) => Math.max(-least, most)),
        1,
      ),
  );
  const band = (name: string, colour: string, of: (column: Column) => number) => {
    return { name, colour, x: hours, low: seen.map((each) => -of(each)), high: seen.map(of) };
  };
  return {
    title: 'error of the clock',
    x: time,
    y: { label: 'ms', from: -size, to: size },
    bands: [
      band('bound', colours.bound, ({ bound }) => bound),
      band('U (k = 2)', colours.u, ({ u }) => u),
      {
        name: 'error',
        colour: colours.error,
        x: hours,
        // Thick enough to be seen.
        low: seen.map(({ least }) => least - size / 300),
        high: seen.map(({ most }) => most + size / 300),
      },
    ],
    lines: [],
  };
}

function sizesPanel(seen: readonly Column[], hours: readonly number[], time: Axis): Panel {
  const errors = seen.map(({ least, most }) => Math.max(-least, most));
  const bounds = seen.map(({ bound }) => bound);
  return {
    title: 'sizes of error, U and bound',
    x: time,
    y: { label: 'ms', from: Math.max(quantile(errors, 0.02), 1e-5), to: 1.5 * quantile(bounds, 1), logarithmic: true },
    lines: [
      { name: 'bound', colour: strong.bound, x: hours, y: bounds },
      { name: 'U (k = 2)', colour: strong.u, x: hours, y: seen.map(({ u }) => u) },
      { name: 'error', colour: colours.error, x: hours, y: errors },
    ],
  };
}

function frequencyPanel(seen: readonly Column[], hours: readonly number[], time: Axis): Panel {
  const truth = seen.map(({ truthPpb }) => truthPpb / 1000);
  const clock = seen.map(({ clockPpb }) => clockPpb / 1000);
  const [least, most] = [quantile(truth, 0), quantile(truth, 1)];
  const margin = Math.max(0.3 * (most - least), 0.05);
  return {
    title: 'frequency of the oscillator',
    x: time,
    y: { label: 'ppm', from: least - margin, to: most + margin },
    lines: [
      { name: 'true', colour: colours.truth, x: hours, y: truth },
      { name: 'as the clock sees it', colour: colours.frequency, x: hours, y: clock },
    ],
  };
}

function temperaturePanel(all: readonly { hours: number; celsius: number }[], time: Axis): Panel {
  const celsius = all.map((each) => each.celsius);
  return {
    title: 'temperature',
    x: time,
    y: { label: '°C', from: quantile(celsius, 0) - 1, to: quantile(celsius, 1) + 1 },
    lines: [{ name: 'crystal', colour: colours.truth, x: all.map((each) => each.hours), y: celsius }],
  };
}

function allanPanel(clockNs: readonly number[], freeNs: readonly number[], every: number): Panel {
  const curves = [allanDeviation(freeNs, every), allanDeviation(clockNs, every)];
  const all = curves.flat().filter(({ deviation }) => deviation > 0);
  const deviations = all.map(({ deviation }) => deviation);
  const line = (name: string, colour: string, n: number) => {
    return {
      name,
      colour,
      x: curves[n]!.map(({ tau }) => tau),
      y: curves[n]!.map(({ deviation }) => deviation),
    };
  };
  return {
    title: 'Allan deviation',
    x: {
      label: 'averaging time, s',
      from: every,
      to: Math.max(...all.map(({ tau }) => tau), 10 * every),
      logarithmic: true,
    },
    y: {
      label: 'relative frequency',
      from: quantile(deviations, 0) / 2,
      to: quantile(deviations, 1) * 2,
      logarithmic: true,
    },
    lines: [line('oscillator', colours.truth, 0), line('clock', colours.error, 1)],
  };
}
