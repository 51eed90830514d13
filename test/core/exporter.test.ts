// Which AEAD and which keys a meter uses: all four AEADs end to end, the order of preference, the exporter's contexts and
// record 1024 with its fall-back (RFC 8915 4.1.5, 5.1; RFC 5297; RFC 8452).
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, KeError, Message, MeterEvent } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { aeadRecord, compliantRecord, endOfMessage, keAeads, keAnswer, keRecords, record } from './nts-reference.ts';
import { type SimulatedMeter, startedWith } from './simulated-meter.ts';
import { exporterContext } from './simulated-server.ts';

beforeAll(async () => {
  await buildCore();
});

const exportsOf = (sim: SimulatedMeter) =>
  sim.sentOf(Message.TlsExport).map(({ tag, length, context }) => [tag, length, Buffer.from(context).toString('hex')]);
const context = (aead: number, direction: number) => exporterContext(aead, direction).toString('hex');
const keRequests = (sim: SimulatedMeter) => sim.sentOf(Message.TlsWrite).map(({ data }) => Buffer.from(data));
const asksForCompliant = (request: Uint8Array) => keRecords(request).some(({ type }) => type === 1024);
const keFailure = (sim: SimulatedMeter) => {
  sim.runUntil('a failure', () => sim.eventCodes().includes(MeterEvent.KeFailed), 60);
  const { a, b } = sim.events.find(({ code }) => code === MeterEvent.KeFailed)!;
  expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
  return [KeError[Number(a)], Number(b)];
};

describe('each AEAD, end to end (RFC 8915 5.1, 5.6)', () => {
  it.each([
    ['AEAD_AES_SIV_CMAC_256', 15, 32],
    ['AEAD_AES_SIV_CMAC_384', 16, 48],
    ['AEAD_AES_SIV_CMAC_512', 17, 64],
    ['AEAD_AES_128_GCM_SIV', 30, 16],
  ])('%s', (_, aead, keyBytes) => {
    const sim = startedWith((behaviour) => {
      behaviour.aeads = [aead];
    });
    sim.runUntilSynchronised();
    sim.run(300);
    expect(exportsOf(sim)).toEqual([0, 1].map((direction) => [direction, keyBytes, context(aead, direction)]));
    expect(sim.report).toMatchObject({ aead, cookies: 8, keAttempts: 1, rejected: 0 });
    expect(sim.report!.authenticated).toBe(sim.requests.length);
    expect(sim.requests.every(({ keys }) => keys === sim.servers[0]!.keys)).toBe(true);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e6);
  });

  it('the nonce is as long as the AEAD wants it: 12 bytes for GCM-SIV, 16 for SIV (RFC 8915 5.6)', () => {
    for (const [aead, bytes] of [
      [30, 12],
      [15, 16],
    ] as const) {
      const sim = startedWith((behaviour) => {
        behaviour.aeads = [aead];
      });
      sim.runUntilSynchronised();
      const nonces = sim.requests.map(({ fields }) => fields.at(-1)!.value.readUInt16BE(0));
      expect(new Set(nonces)).toEqual(new Set([bytes]));
    }
  });
});

describe('the offer (RFC 8915 4.1.5)', () => {
  it('is 30, 15, 16, 17 where the settings say nothing, with record 1024 that is not critical', () => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    const [request] = keRequests(sim);
    expect(keAeads(request!)).toEqual([30, 15, 16, 17]);
    expect(keRecords(request!).map(({ type, critical }) => [type, critical])).toEqual([
      [1, true],
      [4, true],
      [1024, false],
      [0, true],
    ]);
  });

  it.each([[[17, 15]], [[16]], [[15, 30]]])('is that of the settings, in their order: %j', (aeads) => {
    const sim = startedWith(
      (behaviour) => {
        behaviour.aeads = [15, 16, 17, 30];
      },
      { settings: { aeads } },
    );
    sim.runUntilSynchronised();
    sim.run(10);
    const [request] = keRequests(sim);
    expect(keAeads(request!)).toEqual(aeads);
    expect(asksForCompliant(request!)).toBe(aeads.includes(30));
    expect(sim.report!.aead).toBe(aeads[0]);
  });

  it('is refused as a whole by a server that has none of it', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [Buffer.concat([record(1, [0, 0]), record(4, []), endOfMessage()])];
    });
    expect(keFailure(sim)).toEqual(['NoCommonAead', 0]);
  });

  it.each([15, 30])('an AEAD that the settings do not offer is refused, though the core has it: %i', (aead) => {
    const sim = startedWith(
      (behaviour) => {
        behaviour.onKe = () => [keAnswer(8, 100, aead)];
      },
      { settings: { aeads: [16, 17] } },
    );
    expect(keFailure(sim)).toEqual(['AeadNotOffered', aead]);
    expect(exportsOf(sim)).toEqual([]);
  });

  it('becomes the plainest there is for a server that does not understand it (RFC 8915 4.1.3)', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = (request) => [
        asksForCompliant(request) ? Buffer.concat([record(2, [0, 1]), endOfMessage()]) : keAnswer(),
      ];
    });
    expect(keFailure(sim)).toEqual(['PeerBadRequest', 1]);
    sim.runUntilSynchronised();
    expect(keAeads(keRequests(sim)[1]!)).toEqual([15]);
    expect(Number(sim.servers[0]!.opened[1]! - sim.servers[0]!.opened[0]!)).toBeGreaterThanOrEqual(10e9);
  });

  it('is not made again for a day to a server that refuses even that (RFC 8915 4.1.3)', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [Buffer.concat([record(2, [0, 1]), endOfMessage()])];
    });
    sim.run(86_000);
    expect(keRequests(sim).map((request) => keAeads(request))).toEqual([[30, 15, 16, 17], [15]]);
    sim.run(1_000);
    expect(keRequests(sim).length).toBe(3);
  });
});

describe('record 1024: keys of AEAD 30 from the context that RFC 8915 5.1 asks for', () => {
  it('echoed: only these keys are asked for', () => {
    const sim = startedWith((behaviour) => {
      behaviour.aeads = [30, 15];
    });
    sim.runUntilSynchronised();
    expect(exportsOf(sim)).toEqual([0, 1].map((direction) => [direction, 16, context(30, direction)]));
  });

  it('not echoed: the keys of the context of AEAD 15 come first, and serve where the server has these', () => {
    const sim = startedWith((behaviour) => {
      behaviour.aeads = [30];
      behaviour.compliance = 'unknown';
    });
    sim.runUntilSynchronised();
    sim.run(120);
    expect(exportsOf(sim)).toEqual([
      [0, 16, context(15, 0)],
      [1, 16, context(15, 1)],
      [2, 16, context(30, 0)],
      [3, 16, context(30, 1)],
    ]);
    expect(sim.report).toMatchObject({ aead: 30, naks: 0, keAttempts: 1 });
    expect(sim.eventCodes()).not.toContain(MeterEvent.KeysSwitched);
  });

  it('not echoed, and a NAK: the other keys are tried, without a new key establishment', () => {
    const sim = startedWith((behaviour) => {
      behaviour.aeads = [30];
      behaviour.compliance = 'silent';
    });
    sim.runUntilSynchronised();
    sim.run(120);
    expect(sim.eventCodes()).toContain(MeterEvent.KeysSwitched);
    expect(sim.eventCodes()).not.toContain(MeterEvent.Nak);
    expect(sim.report).toMatchObject({ aead: 30, naks: 1, keAttempts: 1 });
    const known = sim.requests.map((request) => request.server.knows(request));
    expect(known).toEqual(known.map((_, i) => i > 0));
  });

  it('not echoed, and a NAK to either key: new keys, when the back-off allows it', () => {
    const sim = startedWith((behaviour) => {
      behaviour.aeads = [30];
      behaviour.compliance = 'silent';
      behaviour.onRequest = (request) => [request.server.kiss(request, 'NTSN')];
    });
    const { opened } = sim.servers[0]!;
    sim.runUntil('another key establishment', () => opened.length > 1);
    expect(sim.eventCodes().filter((code) => code === MeterEvent.KeysSwitched).length).toBe(1);
    expect(sim.eventCodes()).toContain(MeterEvent.Nak);
    expect(Number(opened[1]! - opened[0]!)).toBeGreaterThanOrEqual(10e9);
  });

  it('keys that served once are never switched: a NAK to them leads to new ones', () => {
    const sim = startedWith((behaviour) => {
      behaviour.aeads = [30];
      behaviour.compliance = 'unknown';
    });
    sim.runUntilSynchronised();
    sim.run(60);
    sim.behaviour.onRequest = (request) => [request.server.kiss(request, 'NTSN')];
    sim.runUntil('a NAK', () => sim.eventCodes().includes(MeterEvent.Nak));
    expect(sim.eventCodes()).not.toContain(MeterEvent.KeysSwitched);
  });

  it('echoed with another AEAD changes nothing', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [keAnswer(8, 100, 16, [compliantRecord()])];
    });
    sim.runUntilSynchronised();
    expect(exportsOf(sim)).toEqual([0, 1].map((direction) => [direction, 48, context(16, direction)]));
  });

  it('unasked for is one that is not known: skipped, or refused where critical (RFC 8915 4.1.1)', () => {
    const answer = (critical: boolean) => [keAnswer(8, 100, 15, [record(1024, [1], critical)])];
    const settings = { aeads: [15] };
    const skipped = startedWith((behaviour) => (behaviour.onKe = () => answer(false)), { settings });
    skipped.runUntilSynchronised();
    const refused = startedWith((behaviour) => (behaviour.onKe = () => answer(true)), { settings });
    expect(keFailure(refused)).toEqual(['UnknownCritical', 1024]);
  });

  it('with a body is malformed', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [Buffer.concat([record(1, [0, 0]), aeadRecord(30), record(1024, [0], false)])];
    });
    expect(keFailure(sim)).toEqual(['Malformed', 1024]);
  });
});

describe('keys from the gateway', () => {
  it('of another length are refused', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onExport = (key) => key.subarray(1);
    });
    expect(keFailure(sim)[0]).toBe('Export');
  });

  it('that do not come, or not all of them, are not waited for longer than 15 s', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onExport = (key, { tag }) => (tag === 0 ? key : undefined);
    });
    expect(keFailure(sim)[0]).toBe('Timeout');
    expect(Number(sim.time.nowNs)).toBeLessThan(16e9);
  });

  it('still come after the server said goodbye (RFC 8446 6.1)', () => {
    const sim = startedWith((behaviour) => {
      behaviour.closeReason = Failure.None;
    });
    sim.runUntilSynchronised();
    expect(sim.eventCodes()).not.toContain(MeterEvent.KeFailed);
  });
});
