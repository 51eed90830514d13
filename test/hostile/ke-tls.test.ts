// RFC 8915 3 and 4: TLS as it must not be. Certificates, versions and protocols that a client must refuse, each by a
// meter of its own without any time, which comes back once the server behaves; and dates of certificates, which a meter
// without time may check later, but must.
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, KeError, MeterEvent, RtcStatus } from '../../as/abi/codes.ts';
import { SoftwareRtc } from '../../host/meter/parts.ts';
import { RecordType, record, u16 } from '../../host/setup/ke-records.ts';
import { type IssuedCertificate, LabCa, type LeafRequest } from '../../host/setup/lab-ca.ts';
import { HostileLab, type LabOptions, refusesCookies, type Surroundings, startSurroundings } from './lab.ts';
import { HostileServer, type KeMisbehaviour } from './server.ts';

const dayMs = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * dayMs);
const names = ['127.0.0.1'];

let surroundings: Surroundings;
let another: LabCa;
beforeAll(async () => {
  surroundings = await startSurroundings();
  another = await LabCa.create('another root');
});
afterAll(async () => {
  expect(surroundings.server.faults).toEqual([]);
  await surroundings.server.stop();
});

const withCertificate = ({ chainPem, privateKeyPem }: IssuedCertificate): KeMisbehaviour => ({
  tls: { cert: chainPem, key: privateKeyPem },
});

async function refused(misbehaviour: KeMisbehaviour, settings: LabOptions = {}) {
  const lab = new HostileLab(surroundings, settings);
  try {
    const { error, detail } = await lab.refusesKe(misbehaviour);
    return [error, Failure[detail]];
  } finally {
    await lab.stop();
  }
}

describe('refused whatever the time', () => {
  const cases: [string, keyof typeof Failure, Partial<LeafRequest>, LabCa?][] = [
    ['for another name', 'WrongName', { names: ['time.example', '127.0.0.9'] }],
    ['for a name that begins like ours', 'WrongName', { names: ['127.0.0.1.example'] }],
    ['for no name', 'WrongName', { names: [] }],
    ['for TLS clients', 'WrongUsage', { extendedKeyUsage: ['clientAuth'] }],
    ['for signing code', 'WrongUsage', { extendedKeyUsage: ['codeSigning'] }],
    ['with a key that may not sign', 'WrongUsage', { keyUsage: ['keyEncipherment'] }],
  ];
  it.each(cases)('RFC 8915 3, RFC 6125: a certificate %s', async (_name, failure, request) => {
    const expired = { notBefore: daysAgo(60), notAfter: daysAgo(30) };
    const good = await surroundings.ca.issue({ names, ...request });
    const old = await surroundings.ca.issue({ names, ...request, ...expired });
    expect(await refused(withCertificate(good))).toEqual(['Connection', failure]);
    expect(await refused(withCertificate(old))).toEqual(['Connection', failure]);
  });

  it('RFC 8915 3, RFC 5280 6: a certificate of an unknown authority', async () => {
    const issued = await another.issue({ names });
    expect(await refused(withCertificate(issued))).toEqual(['Connection', 'Untrusted']);
  });

  it('RFC 8915 3, RFC 5280 6: a certificate of an unknown authority that calls itself like ours', async () => {
    const namesake = await LabCa.create('metertime lab root');
    expect(await refused(withCertificate(await namesake.issue({ names })))).toEqual(['Connection', 'Untrusted']);
  });

  it("RFC 8915 3, RFC 5280 6: a certificate under another server's", async () => {
    const chain = (await surroundings.ca.issue({ names })).chainPem;
    const issued = await another.issue({ names });
    const mixed = { ...issued, chainPem: issued.chainPem + chain };
    expect(await refused(withCertificate(mixed))).toEqual(['Connection', 'Untrusted']);
  });
});

describe('a certificate that is not valid now', () => {
  const windows: [string, Pick<LeafRequest, 'notBefore' | 'notAfter'>][] = [
    ['expired', { notBefore: daysAgo(60), notAfter: daysAgo(30) }],
    ['not valid yet', { notBefore: daysAgo(-30), notAfter: daysAgo(-60) }],
  ];

  it.each(windows)('RFC 8915 8.5: %s: refused at once where dates are always checked', async (_name, window) => {
    const issued = await surroundings.ca.issue({ names, ...window });
    // The floor must be within what the good certificate allows.
    const buildUnixSeconds = Math.floor(Date.now() / 1000);
    const settings = { firstDatesUnchecked: false, buildUnixSeconds };
    const failure = await refused(withCertificate(issued), settings);
    expect(failure).toEqual(['Connection', 'Expired']);
  });

  it.each(windows)('RFC 8915 8.5: %s: refused at the time to which it leads', async (_name, window) => {
    const issued = await surroundings.ca.issue({ names, ...window });
    const lab = new HostileLab(surroundings);
    try {
      surroundings.server.script.ke.push(withCertificate(issued));
      lab.start();
      const event = await lab.pass('a certificate refused', () =>
        lab.watch.events.find(({ code }) => code === MeterEvent.CertificateRefused),
      );
      expect(Number(event.a)).toBe(Math.floor(window.notBefore!.getTime() / 1000));
      expect(Number(event.b)).toBe(Math.floor(window.notAfter!.getTime() / 1000));
      expect(lab.meter.time().status).toBe(ClockStatus.Unsynchronised);
      expect(lab.watch.events.map(({ code }) => code)).not.toContain(MeterEvent.ClockSet);
      await lab.synchronised();
    } finally {
      await lab.stop();
    }
  });

  it.each(windows)('RFC 8915 8.5: %s: refused by a meter that has time', async (_name, window) => {
    const issued = await surroundings.ca.issue({ names, ...window });
    const lab = new HostileLab(surroundings);
    try {
      lab.start();
      await lab.synchronised();
      expect(await lab.refusesNextKe(withCertificate(issued))).toEqual(['Connection', 'Expired']);
    } finally {
      await lab.stop();
    }
  });
});

it('RFC 8915 8.5: a meter with a real-time clock that counts holds over while the certificate is refused', async () => {
  const { world, server, ca } = surroundings;
  const expired = await ca.issue({ names, notBefore: daysAgo(60), notAfter: daysAgo(30) });
  const rtc = new SoftwareRtc(() => world.nowTicks());
  const lab = new HostileLab(surroundings, { rtc });
  try {
    lab.start();
    await lab.synchronised();
    // A meter sets its clock a while later, and at the beginning of a second.
    await lab.pass('a real-time clock that was set', () => rtc.read().status === RtcStatus.Running);
    await lab.meter.stop();
    server.script.ke.push(withCertificate(expired));
    server.always = refusesCookies;
    const from = lab.watch.events.length;
    lab.start();
    const failed = await lab.pass(
      'a failure',
      () => lab.watch.events.slice(from).find(({ code }) => code === MeterEvent.KeFailed),
      { stepMs: 1_000 },
    );
    server.always = undefined;
    expect(Failure[Number(failed.b)]).toBe('Expired');
    expect(lab.meter.time().status).toBe(ClockStatus.Holdover);
    lab.expectRight();
    await lab.synchronised();
  } finally {
    await lab.stop();
  }
});

describe('taken', () => {
  it('RFC 8915 3, RFC 5280 6: a certificate of an authority below the trusted one', async () => {
    const below = await surroundings.ca.createIntermediate('metertime lab intermediate');
    surroundings.server.script.ke.push(withCertificate(await below.issue({ names })));
    const lab = new HostileLab(surroundings);
    try {
      lab.start();
      await lab.synchronised();
      expect(lab.last).toMatchObject({ keAttempts: 1, keFailures: 0 });
    } finally {
      await lab.stop();
    }
  });

  it('RFC 8915 4.2: another server, while this one fails', async () => {
    const { ca, world, server } = surroundings;
    const other = await HostileServer.start({ certificate: await ca.issue({ names }), utcNs: () => world.utcNs() });
    const servers = [server, other].map(({ kePort }) => ({ host: '127.0.0.1', port: kePort }));
    const lab = new HostileLab(surroundings, { servers, agreement: 1 });
    try {
      server.script.ke.push({ records: ({ end }) => [record(RecordType.error, u16(2)), end] });
      lab.start();
      await lab.pass('a time', () => lab.meter.time().status === ClockStatus.Synchronised);
      await lab.pass('both', () => server.sent.length > 0 && other.sent.length > 0);
      const failed = lab.watch.events.find(({ code }) => code === MeterEvent.KeFailed);
      expect(Number(failed?.a)).toBe(KeError.PeerInternal);
      expect(other.faults).toEqual([]);
    } finally {
      await lab.stop();
      await other.stop();
    }
  });
});

describe('TLS', () => {
  const cases: [string, KeMisbehaviour, keyof typeof KeError, keyof typeof Failure][] = [
    ['RFC 8915 3: TLS 1.2', { tls: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } }, 'Connection', 'TlsVersion'],
    ['RFC 8915 4: no ALPN', { tls: { ALPNProtocols: undefined } }, 'Alpn', 'Alpn'],
    ['RFC 8915 4: ALPN of something else', { tls: { ALPNProtocols: ['http/1.1'] } }, 'Alpn', 'Alpn'],
    ['RFC 8915 4: ALPN of the next version', { tls: { ALPNProtocols: ['ntske/2'] } }, 'Alpn', 'Alpn'],
    ['RFC 8915 4: a protocol that was not offered', { tls: { ALPNProtocols: ['ntske/10', 'ntske'] } }, 'Alpn', 'Alpn'],
    ['RFC 8915 3: something else than TLS', { tcp: (socket) => void socket.end('220 hello\r\n') }, 'Connection', 'Tls'],
    ['RFC 8915 3: a connection that is closed at once', { tcp: (socket) => void socket.end() }, 'Connection', 'Reset'],
    [
      'RFC 8915 3: a connection that is reset',
      { tcp: (socket) => void socket.resetAndDestroy() },
      'Connection',
      'Reset',
    ],
    [
      'RFC 8446 5.1: a TLS record of 65,535 bytes',
      { tcp: (socket) => void socket.end(Buffer.concat([Buffer.of(22, 3, 3, 255, 255), Buffer.alloc(65_535)])) },
      'Connection',
      'Tls',
    ],
    [
      'RFC 8446 5.1: a TLS record of no bytes',
      { tcp: (socket) => void socket.end(Buffer.of(22, 3, 3, 0, 0)) },
      'Connection',
      'Reset',
    ],
    [
      'RFC 8446 6: an alert',
      { tcp: (socket) => void socket.end(Buffer.of(21, 3, 3, 0, 2, 2, 80)) },
      'Connection',
      'Tls',
    ],
    [
      'RFC 8446 6.1: a stream that ends without close_notify, and without an answer',
      { write: (socket) => void socket.destroy() },
      'Empty',
      'None',
    ],
  ];
  it.each(cases)('%s', async (_name, misbehaviour, error, failure) => {
    expect(await refused(misbehaviour)).toEqual([error, failure]);
  });

  it('RFC 8446 4.6.1: sessions are never resumed', async () => {
    const lab = new HostileLab(surroundings);
    const reused: boolean[] = [];
    const watching: KeMisbehaviour = {
      write: (socket, answer) => {
        reused.push(socket.isSessionReused());
        socket.end(answer);
      },
    };
    try {
      surroundings.server.script.ke.push(watching);
      lab.start();
      await lab.synchronised();
      await lab.newKeys(watching);
      expect(reused).toEqual([false, false]);
    } finally {
      await lab.stop();
    }
  });

  it('RFC 8915 4: a port where nobody listens', async () => {
    const nobody = createServer();
    await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve));
    const { port } = nobody.address() as { port: number };
    await new Promise((resolve) => nobody.close(resolve));
    const lab = new HostileLab(surroundings, { servers: [{ host: '127.0.0.1', port }] });
    try {
      lab.start();
      const event = await lab.watch.event(MeterEvent.KeFailed);
      expect(Failure[Number(event.b)]).toBe('Connect');
    } finally {
      await lab.stop();
    }
  });
});
