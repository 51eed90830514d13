// Key establishment that must fail, and what the meter says about it: certificates, TLS, NTS-KE records.
import { type AddressInfo, createServer } from 'node:net';
import type { TlsOptions } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, KeError, MeterEvent, RtcStatus, StorageMap } from '../../as/abi/codes.ts';
import { HostClock } from '../../host/gateway/host-clock.ts';
import { SoftwareRtc } from '../../host/meter/parts.ts';
import { startChronyd } from '../../host/setup/chronyd.ts';
import { type IssuedCertificate, LabCa, type LeafRequest } from '../../host/setup/lab-ca.ts';
import { until } from '../../host/setup/until.ts';
import { aead15, cookie, end, KeServer, ntpv4, Record, record } from './ke-server.ts';
import { labMeter } from './lab.ts';

const dayMs = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * dayMs);

let ca: LabCa;
let other: LabCa;
let certificate: IssuedCertificate;
beforeAll(async () => {
  // Older than all its leaves, so that their dates are those of the path.
  ca = await LabCa.create('metertime lab root', { notBefore: daysAgo(365) });
  other = await LabCa.create('another root');
  certificate = await ca.issue({ names: ['127.0.0.1'] });
});

/** What a meter without time says of its first key establishment with the server at `port`. */
async function firstFailure(port: number, settings: { firstDatesUnchecked?: boolean } = {}) {
  const lab = labMeter(ca, { id: 'refusing', servers: [{ host: '127.0.0.1', port }], ...settings });
  try {
    lab.meter.start();
    const event = await lab.watch.event(MeterEvent.KeFailed);
    const time = await lab.watch.until('a report', () => lab.watch.times.find(({ keFailures }) => keFailures > 0));
    expect(time).toMatchObject({ status: ClockStatus.Unsynchronised, lastKeError: Number(event.a), authenticated: 0 });
    expect(event.text).toBe('127.0.0.1');
    return { error: KeError[Number(event.a)], detail: Number(event.b) };
  } finally {
    await lab.stop();
  }
}

describe("chronyd's certificate", () => {
  const names = ['127.0.0.1'];
  const cases: [string, Failure, (ca: LabCa, other: LabCa) => Promise<IssuedCertificate>][] = [
    ['of an unknown authority', Failure.Untrusted, (_, another) => another.issue({ names })],
    [
      'expired and of an unknown authority',
      Failure.Untrusted,
      (_, another) => another.issue({ names, notBefore: daysAgo(60), notAfter: daysAgo(30) }),
    ],
    ['for another name', Failure.WrongName, (mine) => mine.issue({ names: ['time.example', '127.0.0.9'] })],
    [
      'expired and for another name',
      Failure.WrongName,
      (mine) => mine.issue({ names: ['time.example'], notBefore: daysAgo(60), notAfter: daysAgo(30) }),
    ],
    ['for TLS clients', Failure.WrongUsage, (mine) => mine.issue({ names, extendedKeyUsage: ['clientAuth'] })],
    [
      'expired and for TLS clients',
      Failure.WrongUsage,
      (mine) => mine.issue({ names, extendedKeyUsage: ['clientAuth'], notBefore: daysAgo(60), notAfter: daysAgo(30) }),
    ],
    ['for signing code', Failure.WrongUsage, (mine) => mine.issue({ names, extendedKeyUsage: ['codeSigning'] })],
  ];
  it.each(cases)('%s: refused whatever the time', async (_name, failure, issue) => {
    const server = await startChronyd({ ca, certificate: await issue(ca, other) });
    try {
      expect(await firstFailure(server.kePort)).toEqual({ error: 'Connection', detail: failure });
    } finally {
      await server.stop();
    }
  });

  it('by an intermediate authority of the right one: taken', async () => {
    const intermediate = await ca.createIntermediate('metertime lab intermediate');
    const server = await startChronyd({ ca, certificate: await intermediate.issue({ names }) });
    const lab = labMeter(ca, { id: 'below', servers: [{ host: '127.0.0.1', port: server.kePort }] });
    try {
      lab.meter.start();
      await lab.watch.synchronised();
    } finally {
      await lab.stop();
      await server.stop();
    }
  });
});

describe('a certificate that is not valid now', () => {
  const names = ['127.0.0.1'];
  const windows: [string, Pick<LeafRequest, 'notBefore' | 'notAfter'>][] = [
    ['expired', { notBefore: daysAgo(60), notAfter: daysAgo(30) }],
    ['not valid yet', { notBefore: daysAgo(-30), notAfter: daysAgo(-60) }],
  ];

  it.each(windows)(
    '%s: taken by a meter without time to ask for it, and refused at that time',
    async (_name, window) => {
      const server = await startChronyd({ ca, certificate: await ca.issue({ names, ...window }) });
      const lab = labMeter(ca, { id: 'bold', servers: [{ host: '127.0.0.1', port: server.kePort }] });
      try {
        lab.meter.start();
        const refused = await lab.watch.event(MeterEvent.CertificateRefused);
        expect(Number(refused.a)).toBe(Math.floor(window.notBefore!.getTime() / 1000));
        expect(Number(refused.b)).toBe(Math.floor(window.notAfter!.getTime() / 1000));
        expect(lab.meter.time().status).toBe(ClockStatus.Unsynchronised);
        await lab.watch.until('a report', () => (lab.watch.times.at(-1)?.authenticated ?? 0) > 0);
        const codes = lab.watch.events.map(({ code }) => code);
        expect(codes).not.toContain(MeterEvent.ClockSet);
        expect(codes).not.toContain(MeterEvent.Synchronised);
        expect(lab.watch.times.every(({ status }) => status === ClockStatus.Unsynchronised)).toBe(true);
      } finally {
        await lab.stop();
        await server.stop();
      }
    },
  );

  it.each(windows)('%s: refused at once by a meter whose policy wants dates checked', async (_name, window) => {
    const server = await startChronyd({ ca, certificate: await ca.issue({ names, ...window }) });
    try {
      const failure = await firstFailure(server.kePort, { firstDatesUnchecked: false });
      expect(failure).toEqual({ error: 'Connection', detail: Failure.Expired });
    } finally {
      await server.stop();
    }
  });

  it.each(windows)('%s: refused by a meter that has time, which goes on in holdover', async (_name, window) => {
    const good = await startChronyd({ ca });
    const rtc = new SoftwareRtc(() => process.hrtime.bigint());
    const lab = labMeter(
      ca,
      { id: 'knowing', servers: [{ host: '127.0.0.1', port: good.kePort }] },
      { meter: { rtc } },
    );
    const state = () => lab.storage.contents.slice(StorageMap.StateA, StorageMap.StateB + StorageMap.StateBytes);
    const blank = Buffer.from(state());
    try {
      lab.meter.start();
      await lab.watch.synchronised();
      await until('the state written', () => rtc.read().status === RtcStatus.Running && !blank.equals(state()));
      await lab.meter.stop();
      await good.kill();
      const bad = await startChronyd({
        ca,
        certificate: await ca.issue({ names, ...window }),
        kePort: good.kePort,
        ntpPort: good.ntpPort,
      });
      try {
        const from = lab.watch.events.length;
        lab.meter.start();
        const failed = await lab.watch.event(MeterEvent.KeFailed, { from });
        expect([KeError[Number(failed.a)], Number(failed.b)]).toEqual(['Connection', Failure.Expired]);
        const time = lab.meter.time();
        expect(time.status).toBe(ClockStatus.Holdover);
        const errorNs = Number(time.utcNs - new HostClock().wallNs(process.hrtime.bigint()));
        expect(Math.abs(errorNs)).toBeLessThanOrEqual(Number(time.boundNs));
      } finally {
        await bad.stop();
      }
    } finally {
      await lab.stop();
      await good.stop();
    }
  });
});

describe('TLS', () => {
  const whole = Buffer.concat([ntpv4, aead15, cookie, end]);
  const cases: [string, TlsOptions, string, number][] = [
    ['1.2 only', { maxVersion: 'TLSv1.2' }, 'Connection', Failure.TlsVersion],
    ['without ALPN', { ALPNProtocols: undefined }, 'Alpn', Failure.Alpn],
    ['with another protocol in ALPN', { ALPNProtocols: ['http/1.1'] }, 'Alpn', Failure.Alpn],
  ];
  it.each(cases)('%s: refused', async (_name, options, error, detail) => {
    const server = await KeServer.start(certificate, whole, options);
    try {
      expect(await firstFailure(server.port)).toEqual({ error, detail });
    } finally {
      await server.stop();
    }
  });

  it('with a key that may not sign: refused', async () => {
    const usage = await ca.issue({ names: ['127.0.0.1'], keyUsage: ['keyEncipherment'] });
    const server = await KeServer.start(usage, whole);
    try {
      expect(await firstFailure(server.port)).toEqual({ error: 'Connection', detail: Failure.WrongUsage });
    } finally {
      await server.stop();
    }
  });

  it('on a port where nobody listens: said as such', async () => {
    const server = await KeServer.start(certificate, whole);
    const { port } = server;
    await server.stop();
    expect(await firstFailure(port)).toEqual({ error: 'Connection', detail: Failure.Connect });
  });

  it('on a port that speaks something else: said as such', async () => {
    const server = createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .end('220 hello\r\n'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    try {
      const { port } = server.address() as AddressInfo;
      expect(await firstFailure(port)).toEqual({ error: 'Connection', detail: Failure.Tls });
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe('NTS-KE records', () => {
  const code = (value: number) => [value >> 8, value & 0xff];
  const cases: [string, Buffer[], keyof typeof KeError, number?][] = [
    ['nothing at all', [], 'Empty'],
    ['an answer without its end', [ntpv4, aead15, cookie], 'Truncated'],
    ['half a record', [ntpv4, aead15, cookie.subarray(0, 50)], 'Truncated'],
    ['error 0', [record(Record.error, code(0)), end], 'PeerUnrecognizedCritical', 0],
    ['error 1', [record(Record.error, code(1)), end], 'PeerBadRequest', 1],
    ['error 2', [record(Record.error, code(2)), end], 'PeerInternal', 2],
    ['an error of the future', [record(Record.error, code(4711)), end], 'PeerUnknown', 4711],
    ['an error after all the rest', [ntpv4, aead15, cookie, record(Record.error, code(2)), end], 'PeerInternal', 2],
    ['an error without a code', [record(Record.error), end], 'Malformed', Record.error],
    ['a warning', [ntpv4, aead15, record(Record.warning, code(5)), cookie, end], 'Warning', 5],
    ['a critical record of the future', [ntpv4, aead15, record(4000, [1]), cookie, end], 'UnknownCritical', 4000],
    ['no next protocol', [aead15, cookie, end], 'NextProtocol'],
    ['two next protocols', [ntpv4, ntpv4, aead15, cookie, end], 'NextProtocol'],
    ['another protocol', [record(Record.nextProtocol, code(9)), aead15, cookie, end], 'NextProtocol', 9],
    ['no protocol in common', [record(Record.nextProtocol), end], 'NoNtpv4'],
    ['no AEAD', [ntpv4, cookie, end], 'Aead'],
    ['two AEADs', [ntpv4, aead15, aead15, cookie, end], 'Aead'],
    ['no AEAD in common', [ntpv4, record(Record.aead), end], 'NoCommonAead'],
    ['an AEAD that was not offered', [ntpv4, record(Record.aead, code(16)), cookie, end], 'AeadNotOffered', 16],
    ['no cookie', [ntpv4, aead15, end], 'NoCookies'],
    ['an empty cookie', [ntpv4, aead15, record(Record.cookie, [], false), end], 'CookieLength', 0],
    [
      'a cookie of 257 bytes',
      [ntpv4, aead15, record(Record.cookie, Buffer.alloc(257), false), end],
      'CookieLength',
      257,
    ],
    ['a server of no bytes', [ntpv4, aead15, record(Record.server), cookie, end], 'ServerRecord', Record.server],
    [
      'a server with a space',
      [ntpv4, aead15, record(Record.server, Buffer.from('a b')), cookie, end],
      'ServerRecord',
      Record.server,
    ],
    ['a port of one byte', [ntpv4, aead15, record(Record.port, [1]), cookie, end], 'ServerRecord', Record.port],
    ['port 0', [ntpv4, aead15, record(Record.port, code(0)), cookie, end], 'ServerRecord', Record.port],
    ['an end that is not critical', [ntpv4, aead15, cookie, record(Record.end, [], false)], 'EndOfMessage'],
    ['an end with a body', [ntpv4, aead15, cookie, record(Record.end, [0])], 'EndOfMessage'],
    ['something after the end', [ntpv4, aead15, cookie, end, Buffer.of(0)], 'TrailingData'],
    ['a flood', [ntpv4, aead15, ...Array.from({ length: 400 }, () => cookie), end], 'Timeout'],
  ];
  it.each(cases)('%s', async (_name, records, error, detail) => {
    const server = await KeServer.start(certificate, Buffer.concat(records));
    try {
      const failure = await firstFailure(server.port);
      expect(failure.error).toBe(error);
      if (detail !== undefined) expect(failure.detail).toBe(detail);
    } finally {
      await server.stop();
    }
  });
});

describe.concurrent('a server that does not help', () => {
  it('is given up when it never answers', async () => {
    const server = await KeServer.start(certificate, undefined);
    const lab = labMeter(ca, { id: 'patient', servers: [{ host: '127.0.0.1', port: server.port }] });
    try {
      lab.meter.start();
      const event = await lab.watch.event(MeterEvent.KeFailed, { timeoutMs: 40_000 });
      expect([KeError[Number(event.a)], Number(event.b)]).toEqual(['Connection', Failure.Timeout]);
    } finally {
      await lab.stop();
      await server.stop();
    }
  });

  it('is left for the next one, which serves', async () => {
    const bad = await KeServer.start(certificate, Buffer.concat([record(Record.error, [0, 2]), end]));
    const good = await startChronyd({ ca });
    const lab = labMeter(ca, {
      id: 'turning',
      servers: [
        { host: '127.0.0.1', port: bad.port },
        { host: '127.0.0.1', port: good.kePort },
      ],
    });
    try {
      lab.meter.start();
      const time = await lab.watch.synchronised();
      expect(time).toMatchObject({ keAttempts: 2, keFailures: 1, lastKeError: KeError.PeerInternal });
    } finally {
      await lab.stop();
      await bad.stop();
      await good.stop();
    }
  });
});
