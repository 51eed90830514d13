// metertime ke against chronyd and against servers of a test's own that answer badly.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { type IssuedCertificate, LabCa } from '../../host/setup/lab-ca.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { runMetertime } from './cli-run.ts';

const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
const caFile = join(folder, 'ca.pem');
const open: Server[] = [];
let ca: LabCa;
let issued: IssuedCertificate;
let chronyd: Chronyd;

beforeAll(async () => {
  await buildCore();
  ca = await LabCa.create();
  issued = await ca.issue({ names: ['localhost', '127.0.0.1'] });
  writeFileSync(caFile, ca.certificatePem);
  chronyd = await startChronyd({ ca });
});
afterAll(async () => {
  await chronyd?.stop();
  for (const server of open) server.close();
  rmSync(folder, { recursive: true });
});

/** A TLS server that answers as the test says; returns HOST:PORT. */
async function serve(answer: (socket: TLSSocket) => void, options: TlsOptions = {}): Promise<string> {
  const server = createServer({
    cert: issued.chainPem,
    key: issued.privateKeyPem,
    ALPNProtocols: ['ntske/1'],
    ...options,
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    answer(socket);
  });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function ke(server: string, ...args: string[]) {
  return runMetertime(['ke', server, '--ca', caFile, ...args]);
}

const end = [0x80, 0, 0, 0];
const nextProtocol = [0x80, 1, 0, 2, 0, 0];
const aead = (id: number) => [0x80, 4, 0, 2, id >> 8, id & 0xff];
const cookie = [0, 5, 0, 4, 1, 2, 3, 4];

describe('metertime ke', () => {
  it('explains a key establishment with chronyd', async () => {
    const { exitCode, stdout, stderr } = await ke(`127.0.0.1:${chronyd.kePort}`);
    expect(stderr).toBe('');
    expect(exitCode).toBe(ExitCode.Ok);
    for (const line of [
      /^NTS key establishment with 127\.0\.0\.1, port \d+$/m,
      /^TLS +: TLS 1\.3, TLS_\w+$/m,
      /^ALPN +: ntske\/1$/m,
      /^TLS handshake +: \d+\.\d ms$/m,
      /^Certificates, from the server to the trust anchor: verified$/m,
      /^ {2}1 {2}CN=metertime lab root$/m,
      // Thirty only within the second in which the authority made it.
      /^ {5}ec prime256v1, valid from .* \((?:29|30) days left\)$/m,
      /^Request, \d+ bytes$/m,
      /^ +4 +! +AEAD Algorithm Negotiation +AES-128-GCM-SIV \(30\),\n {40,}AES-SIV-CMAC-256 \(15\),\n.*384 \(16\),\n.*512 \(17\)$/m,
      /^ +4 +! +AEAD Algorithm Negotiation +AES-SIV-CMAC-256 \(15\)$/m,
      /^ +AEAD +: AEAD_AES_SIV_CMAC_256 \(15\), keys of 256 bits$/m,
      /^ +Exporter context : names AEAD_AES_SIV_CMAC_256 \(15\), as RFC 8915 5\.1 says$/m,
      new RegExp(`^ +7 +! +NTPv4 Port Negotiation +NTP port ${chronyd.ntpPort}$`, 'm'),
      /^8 × +5 +New Cookie for NTPv4 +\d+ bytes, for one request$/m,
      /^ {2}32 bytes, server to client: label EXPORTER-network-time-security, context 0000000f01$/m,
      /^✓ keys established: AEAD_AES_SIV_CMAC_256, 8 cookies$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
  });

  it('gives the same as JSON', async () => {
    const { stdout } = await ke(`127.0.0.1:${chronyd.kePort}`, '--json');
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      ...{ ok: true, aead: 15, cookies: 8, address: '127.0.0.1' },
      tls: { version: 'TLSv1.3', alpn: 'ntske/1' },
      certificates: { verified: true },
      request: { bytes: 26, incompleteBytes: 0 },
      offered: [30, 15, 16, 17],
      negotiated: { aead: 15, contextAead: 15 },
    });
    expect(result.answer.records).toContainEqual(
      expect.objectContaining({ type: 7, text: `NTP port ${chronyd.ntpPort}` }),
    );
    expect(result.timings.totalMs).toBeGreaterThan(result.timings.handshakeMs);
  });

  it.each<[string, (socket: TLSSocket) => void, string, RegExp]>([
    ['closes without a record', (socket) => socket.end(), 'empty', /the server closed without any record/],
    [
      'is cut off',
      (socket) => socket.end(Uint8Array.from(nextProtocol)),
      'truncated',
      /the server closed before the End of Message record/,
    ],
    [
      'says bad request',
      (socket) => socket.end(Uint8Array.from([0x80, 2, 0, 2, 0, 1, ...end])),
      'peer-bad-request',
      /the server calls the request bad/,
    ],
    [
      'gives no cookie',
      (socket) => socket.end(Uint8Array.from([...nextProtocol, 0x80, 4, 0, 2, 0, 15, ...end])),
      'no-cookies',
      /the server sent no cookie/,
    ],
    [
      'chooses what was not offered',
      (socket) => socket.end(Uint8Array.from([...nextProtocol, 0x80, 4, 0, 2, 0, 31, ...end])),
      'aead-not-offered',
      /an AEAD that was not offered \(31\)/,
    ],
  ])('tells what is wrong with a server that %s', async (_name, answer, error, message) => {
    const server = await serve((socket) => socket.once('data', () => answer(socket)));
    const { exitCode, stdout } = await ke(server);
    expect(exitCode).toBe(ExitCode.Failed);
    expect(stdout).toMatch(new RegExp(`✗ failed: .*${message.source}`));
    expect(JSON.parse((await ke(server, '--json')).stdout)).toMatchObject({ ok: false, error });
  });

  it('offers the AEADs that it is told to, and refuses what it did not offer', async () => {
    const requests: Buffer[] = [];
    const seventeen = await serve((socket) =>
      socket.once('data', (request: Buffer) => {
        requests.push(request);
        socket.end(Uint8Array.from([...nextProtocol, ...aead(17), ...cookie, ...end]));
      }),
    );
    const offered = await ke(seventeen, '--aead', 'AES-SIV-CMAC-512', '--aead', '15,16');
    expect(offered.stdout).toMatch(/^✓ keys established: AEAD_AES_SIV_CMAC_512, /m);
    expect(offered.stdout).toMatch(/^ {2}64 bytes, client to server: label .*, context 0000001100$/m);
    // Next protocol, the three in this order, no record 1024 as AEAD 30 is not among them, end.
    expect([...requests[0]!]).toEqual([...nextProtocol, 0x80, 4, 0, 6, 0, 17, 0, 15, 0, 16, ...end]);
    const refused = await ke(seventeen, '--aead', 'AEAD_AES_128_GCM_SIV,15', '--json');
    expect(refused.exitCode).toBe(ExitCode.Failed);
    expect(JSON.parse(refused.stdout)).toMatchObject({
      ...{ ok: false, error: 'aead-not-offered', code: 17, offered: [30, 15] },
    });
    const none = await ke(`127.0.0.1:${chronyd.kePort}`, '--aead', '17');
    expect(none.stdout).toMatch(/✗ failed: the server has none of the AEAD algorithms offered/);
  });

  it.each([
    ['echoed', [0, 0], 'names AEAD_AES_128_GCM_SIV \\(30\\), as RFC 8915 5.1 says', 30, ['1e00', '1e01']],
    [
      'not echoed',
      undefined,
      'names AEAD_AES_SIV_CMAC_256 \\(15\\), as servers without record 1024 do',
      15,
      ['0f00', '0f01', '1e00', '1e01'],
    ],
  ])(
    'says which exporter context counts for AEAD 30 with record 1024 %s',
    async (text, length, named, contextAead, contexts) => {
      const echo = length === undefined ? [] : [4, 0, ...length];
      const answer = [...nextProtocol, ...aead(30), ...echo, ...cookie, ...end];
      const server = await serve((socket) => socket.once('data', () => socket.end(Uint8Array.from(answer))));
      const { stdout } = await ke(server);
      expect(stdout).toMatch(/^ +AEAD +: AEAD_AES_128_GCM_SIV \(30\), keys of 128 bits$/m);
      expect(stdout).toMatch(new RegExp(`^ +Record 1024 +: ${text}$`, 'm'));
      expect(stdout).toMatch(new RegExp(`^ +Exporter context : ${named}$`, 'm'));
      const result = JSON.parse((await ke(server, '--json')).stdout);
      expect(result.negotiated).toEqual({ aead: 30, contextAead, compliantExporter: contextAead === 30 });
      expect(
        result.exports.map(({ context }: { context: string }) => Buffer.from(context, 'hex').toString('hex', 3)),
      ).toEqual(contexts);
      expect(result.exports.filter(({ spare }: { spare: boolean }) => spare)).toHaveLength(contexts.length - 2);
    },
  );

  it('tells TLS 1.2, no ALPN, unknown authority, wrong name and expired certificates apart', async () => {
    const day = 86_400_000;
    const notBefore = new Date(Date.now() - 3 * day);
    const expired = await ca.issue({ names: ['127.0.0.1'], notBefore, notAfter: new Date(Date.now() - day) });
    const other = await ca.issue({ names: ['other.example'] });
    const pem = ({ chainPem, privateKeyPem }: IssuedCertificate): TlsOptions => ({
      cert: chainPem,
      key: privateKeyPem,
    });
    const cases: [string, TlsOptions, string[], RegExp][] = [
      ['tls-version', { maxVersion: 'TLSv1.2' }, [], /does not speak TLS 1\.3/],
      ['alpn', { ALPNProtocols: [] }, [], /expected protocol ntske\/1, the server chose none/],
      ['wrong-name', pem(other), [], /is for another name/],
      [
        'expired',
        pem(expired),
        [],
        /the dates of the server's certificate path do not hold: .*expired at .*, checked at 20/,
      ],
    ];
    for (const [failure, options, args, message] of cases) {
      const server = await serve((socket) => socket.end(), options);
      const { exitCode, stdout } = await ke(server, ...args);
      expect(stdout).toMatch(message);
      expect(exitCode).toBe(ExitCode.Failed);
      expect(JSON.parse((await ke(server, '--json', ...args)).stdout)).toMatchObject({ ok: false, failure });
    }
    const late = await serve((socket) => socket.end(), pem(expired));
    expect((await ke(late)).stdout).toMatch(/expired (24|25) hours ago\)[\s\S]*--ignore-dates looks at the rest/);
    expect(JSON.parse((await ke(late, '--ignore-dates', '--json')).stdout)).toMatchObject({
      error: 'empty',
      certificates: { verified: true },
    });
    expect((await ke(late, '--ignore-dates')).stdout).toMatch(/^Certificates, .*: verified, dates not checked$/m);
    const until = Date.now() + 30 * day;
    const early = await ca.issue({
      names: ['127.0.0.1'],
      notBefore: new Date(until - day),
      notAfter: new Date(until),
    });
    const unborn = (await ke(await serve((socket) => socket.end(), pem(early)))).stdout;
    expect(unborn).toMatch(/^Certificates as the server sent them: not verified \(not valid now\)$/m);
    expect(unborn).toMatch(/not valid for another 2[89] days\)[\s\S]*do not hold: .*not valid before/);
    expect(unborn).not.toMatch(/expired/);
    // Valid only after its authority, which is good for ten years.
    const never = await ca.issue({
      names: ['127.0.0.1'],
      notBefore: new Date(Date.now() + 4000 * day),
      notAfter: new Date(Date.now() + 4001 * day),
    });
    const unchecked = (await ke(await serve((socket) => socket.end(), pem(never)), '--ignore-dates')).stdout;
    expect(unchecked).toMatch(/not verified \(valid at no time\)$/m);
    expect(unchecked).toMatch(/✗ failed: the dates of .* do not hold: the path is valid at no time: .*\n$/);
    expect(unchecked).not.toMatch(/dates are checked|--ignore-dates/i);
    const untrusted = await runMetertime(['ke', `127.0.0.1:${chronyd.kePort}`]);
    expect(untrusted.stdout).toMatch(/not verified \(untrusted\)[\s\S]*add it with --ca FILE/);
    expect(untrusted.exitCode).toBe(ExitCode.Failed);
  });

  it('gives up on a server that says nothing', async () => {
    const silent = createTcpServer((socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const { exitCode, stdout } = await ke(`127.0.0.1:${port}`, '--timeout', '0.5');
    expect(stdout).toMatch(/✗ failed: no End of Message came within the time or size allowed/);
    expect(exitCode).toBe(ExitCode.Failed);
    silent.close();
  });

  it('says what is wrong with its arguments', async () => {
    for (const [args, message] of [
      [['https://x'], /without "https:\/\/"/],
      [['x', '--timeout', '0'], /more than 0/],
      [['x', '--aead', 'AES-GCM'], /"AES-GCM": expected one of AES-128-GCM-SIV \(30\), AES-SIV-CMAC-256 \(15\)/],
      [['x', '--aead', '15', '--aead', '30,15'], /AES-SIV-CMAC-256 came twice/],
      [['x', '--ca', join(folder, 'absent.pem')], /absent\.pem/],
    ] as const) {
      const { exitCode, stderr } = await runMetertime(['ke', ...args]);
      expect(stderr).toMatch(message);
      expect(exitCode).toBe(ExitCode.Usage);
    }
  });
});
