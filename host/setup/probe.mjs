// Asks a time server whether it serves: one plain NTP query, one NTS key establishment. For readiness checks and tests
// of the lab's servers; metertime itself never uses an answer from here. Plain JavaScript, so that node can also run it
// inside a network namespace:  node probe.mjs ntp HOST PORT  |  node probe.mjs ke HOST PORT CA-FILE
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect as connectTcp, isIP } from 'node:net';
import { connect } from 'node:tls';

/**
 * @typedef {{ leap: number, version: number, mode: number, stratum: number, unixMs: number }} NtpAnswer unixMs: when the
 *   server says that it answered
 * @typedef {{ critical: boolean, type: number, body: Buffer }} KeRecord
 */

/**
 * Whether a TCP port takes connections.
 * @param {string} host
 * @param {number} port
 * @returns {Promise<boolean>}
 */
export function accepts(host, port) {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port });
    const end = (/** @type {boolean} */ result) => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

/**
 * One client query (RFC 5905, 7.3) without authentication.
 * @param {string} host an IP address
 * @param {number} port
 * @param {number} [timeoutMs]
 * @returns {Promise<NtpAnswer>}
 */
export function probeNtp(host, port, timeoutMs = 500) {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIP(host) === 6 ? 'udp6' : 'udp4');
    const end = (/** @type {() => void} */ then) => {
      clearTimeout(timer);
      socket.close();
      then();
    };
    const timer = setTimeout(() => end(() => reject(new Error(`no NTP answer from ${host}:${port}`))), timeoutMs);
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('message', (packet) => {
      const first = packet[0] ?? 0;
      // RFC 5905, 7.3: the transmit timestamp, since 1900, era 0.
      const unixMs = packet.length < 48 ? 0 : (Number(packet.readBigUInt64BE(40)) / 2 ** 32 - 2_208_988_800) * 1000;
      end(() =>
        resolve({ leap: first >> 6, version: (first >> 3) & 7, mode: first & 7, stratum: packet[1] ?? 0, unixMs }),
      );
    });
    const request = Buffer.alloc(48);
    request[0] = (4 << 3) | 3; // version 4, client
    request.writeUInt32BE(0x6d657472, 40);
    socket.send(request, port, host);
  });
}

/**
 * One key establishment (RFC 8915, 4): offers NTPv4 and AEAD_AES_SIV_CMAC_256.
 * @param {string} host
 * @param {number} port
 * @param {string} ca trust anchor, PEM
 * @param {{ timeoutMs?: number, alpn?: string[] }} [options]
 * @returns {Promise<{ protocol: string, alpn: string | false, records: KeRecord[] }>}
 */
export function probeNtsKe(host, port, ca, { timeoutMs = 3000, alpn = ['ntske/1'] } = {}) {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      ca,
      servername: isIP(host) === 0 ? host : '',
      minVersion: 'TLSv1.3',
      ALPNProtocols: alpn,
    });
    /** @type {Buffer[]} */
    const chunks = [];
    const timer = setTimeout(() => socket.destroy(new Error(`no NTS-KE answer from ${host}:${port}`)), timeoutMs);
    socket.on('secureConnect', () => {
      // Next protocol: NTPv4; AEAD: 15; end of message. All critical.
      socket.write(Buffer.from('80010002000080040002000f80000000', 'hex'));
    });
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.on('end', () => {
      clearTimeout(timer);
      const records = splitRecords(Buffer.concat(chunks));
      const result = { protocol: socket.getProtocol() ?? '', alpn: socket.alpnProtocol ?? false, records };
      socket.end();
      resolve(result);
    });
  });
}

/**
 * @param {Buffer} bytes
 * @returns {KeRecord[]}
 */
function splitRecords(bytes) {
  const records = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const head = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    records.push({ critical: head >= 0x8000, type: head & 0x7fff, body: bytes.subarray(at + 4, at + 4 + length) });
    at += 4 + length;
  }
  return records;
}

const [script, kind, host = '', port = '', caFile = ''] = process.argv.slice(1);
if (script?.endsWith('/probe.mjs') && import.meta.url.endsWith('/probe.mjs')) {
  try {
    const answer =
      kind === 'ke'
        ? await probeNtsKe(host, Number(port), readFileSync(caFile, 'utf8'))
        : await probeNtp(host, Number(port));
    console.log(JSON.stringify(answer));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
