// The lab's time server in this process: a meter has its time, which need not be the machine's; what it does not answer;
// and that it comes back where it was.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { NtsServer } from '../../host/setup/nts-server.ts';
import { until } from '../../host/setup/until.ts';
import { labMeter } from '../e2e/lab.ts';

/** Its clock is a day ahead. */
const aheadNs = 86_400n * 1_000_000_000n;
const utcNs = () => BigInt(Date.now()) * 1_000_000n + aheadNs;

let ca: LabCa;
let server: NtsServer;

beforeEach(async () => {
  ca = await LabCa.create();
  server = await NtsServer.start({ certificate: await ca.issue({ names: ['localhost'] }), utcNs });
});

afterEach(() => server.unplug());

/** What comes back to a datagram within a moment in which a good one would have been answered. */
async function answersTo(packet: Uint8Array, good: Uint8Array): Promise<Buffer[]> {
  const socket = createSocket('udp4');
  const answers: Buffer[] = [];
  socket.on('message', (answer) => answers.push(answer));
  try {
    socket.send(packet, server.ntpPort, '127.0.0.1');
    socket.send(good, server.ntpPort, '127.0.0.1');
    await until('an answer to the good one', () => answers.length > 0);
    return answers;
  } finally {
    socket.close();
  }
}

/** A request with a cookie that it never gave. */
function strangersRequest(): Buffer {
  const field = (type: number, value: Uint8Array) => {
    const head = Buffer.alloc(4);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(4 + value.length, 2);
    return Buffer.concat([head, value]);
  };
  const header = Buffer.alloc(48);
  header[0] = 0x23;
  const authenticator = Buffer.concat([Buffer.from([0, 16, 0, 16]), randomBytes(32)]);
  return Buffer.concat([
    header,
    field(0x0104, randomBytes(32)),
    field(0x0204, randomBytes(100)),
    field(0x0404, authenticator),
  ]);
}

describe('the lab server in this process', () => {
  it('gives a meter the time of its own clock, and is back after it was unplugged', async () => {
    const lab = labMeter(ca, { id: 'm1', servers: [{ host: 'localhost', port: server.kePort }] });
    try {
      lab.meter.start();
      await lab.watch.synchronised();
      const { utcNs: shownNs, boundNs } = lab.meter.time();
      const errorNs = shownNs - utcNs();
      // Date.now() counts milliseconds.
      expect(errorNs < 0n ? -errorNs : errorNs).toBeLessThan(boundNs + 50_000_000n);

      await server.unplug();
      const answered = server.answers;
      const refused = connect(server.kePort, '127.0.0.1');
      const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
      expect(error.code).toBe('ECONNREFUSED');
      const away = await lab.watch.nextTime('a poll without an answer', ({ reach }) => (reach & 1) === 0);
      expect(server.answers).toBe(answered);

      await server.plugIn();
      const back = await lab.watch.nextTime(
        'an answer',
        ({ reach, authenticated }) => (reach & 1) === 1 && authenticated > away.authenticated,
      );
      expect(back.rejected).toBe(0);
    } finally {
      await lab.stop();
    }
  });

  it('says nothing to what is no request with NTS, and NAK to a cookie that it never gave', async () => {
    const stranger = strangersRequest();
    const plain = Buffer.alloc(48, 0);
    plain[0] = 0x23;
    const answers = await answersTo(plain, stranger);
    expect(answers).toHaveLength(1);
    // RFC 8915 5.7: a kiss of stratum 0 with the code NTSN.
    expect(answers[0]![1]).toBe(0);
    expect(answers[0]!.toString('latin1', 12, 16)).toBe('NTSN');
    expect(server.answers).toBe(0);
  });
});
