// What the native fuzzer starts from, as a C header: a start event, a provisioned storage, an answer of NTS-KE.
import { encodeSeedSlot, encodeSettings } from '../../host/provision/settings-block.ts';
import { aeadRecord, compliantRecord, endOfMessage, nextProtocol, record } from '../core/nts-reference.ts';
import { buildUnixSeconds, plainSettings, startPayload } from '../fuzz/direct-meter.ts';

const startUtcNs = (buildUnixSeconds + 1_000_000n) * 1_000_000_000n;

const hosts = ['time.test', 'b.test', 'c.test', 'd.test'];

/** A settings block that the core accepts, with as many servers. */
export const settingsBlockOf = (servers: number) =>
  encodeSettings(
    { ...plainSettings, servers: hosts.slice(0, servers).map((host) => ({ host, port: 4460 })) },
    Uint8Array.from({ length: 16 }, (_, i) => i + 1),
  );
export const settingsBlock = settingsBlockOf(1);
export const seedSlot = encodeSeedSlot(
  Uint8Array.from({ length: 32 }, (_, i) => i + 1),
  1,
);

/** An answer of NTS-KE with eight cookies of `bytes` bytes. */
export function keAnswer(bytes: number, aead = 15, extra: readonly Uint8Array[] = []): Buffer {
  const cookies = Array.from({ length: 8 }, (_, i) => record(5, new Uint8Array(bytes).fill(i + 1), false));
  return Buffer.concat([nextProtocol(), aeadRecord(aead), ...extra, ...cookies, endOfMessage()]);
}

/** Answers in the order of `SERVER_KINDS` of harness/device.c. */
const keAnswers = [keAnswer(64, 30, [compliantRecord()]), ...[15, 16, 17, 30].map((aead) => keAnswer(64, aead))];

/** `fuzz_data.h`; `lines` are added in front. */
export function dataHeader(lines: readonly string[]): string {
  const bytes = (name: string, data: Uint8Array) => `static const uint8_t ${name}[] = {${[...data].join(', ')}};`;
  const table = (name: string, all: readonly Uint8Array[]) => {
    const most = Math.max(...all.map(({ length }) => length));
    const rows = all.map((data) => `{${data.length}, {${[...data].join(', ')}}}`);
    return `static const struct { uint32_t length; uint8_t bytes[${most}]; } ${name}[] = {${rows.join(', ')}};`;
  };
  return [
    '// Made by test/native-fuzz/data.ts.',
    '#ifndef FUZZ_DATA_H_',
    '#define FUZZ_DATA_H_',
    '#include <stdint.h>',
    ...lines,
    `#define FUZZ_BUILD_UNIX_SECONDS ${buildUnixSeconds}ll`,
    `#define FUZZ_START_UTC_NS ${startUtcNs}ull`,
    '__attribute__((unused))',
    bytes('fuzz_start', startPayload(0)),
    '__attribute__((unused))',
    table('fuzz_settings', [1, 2, 3, 4].map(settingsBlockOf)),
    '__attribute__((unused))',
    bytes('fuzz_seed', seedSlot),
    '__attribute__((unused))',
    table('fuzz_ke_answers', keAnswers),
    '#endif',
    '',
  ].join('\n');
}
