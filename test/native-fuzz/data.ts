// What the native fuzzer starts from, as a C header: a start event, a provisioned storage, an answer of NTS-KE.
import { encodeSeedSlot, encodeSettings } from '../../host/provision/settings-block.ts';
import { aeadRecord, endOfMessage, nextProtocol, record } from '../core/nts-reference.ts';
import { buildUnixSeconds, plainSettings, startPayload } from '../fuzz/direct-meter.ts';

const startUtcNs = (buildUnixSeconds + 1_000_000n) * 1_000_000_000n;

/** Settings items of a block that the core accepts. */
export const settingsBlock = encodeSettings(
  plainSettings,
  Uint8Array.from({ length: 16 }, (_, i) => i + 1),
);
export const seedSlot = encodeSeedSlot(
  Uint8Array.from({ length: 32 }, (_, i) => i + 1),
  1,
);

/** An answer of NTS-KE with eight cookies of `bytes` bytes. */
export function keAnswer(bytes: number): Buffer {
  const cookies = Array.from({ length: 8 }, (_, i) => record(5, new Uint8Array(bytes).fill(i + 1), false));
  return Buffer.concat([nextProtocol(), aeadRecord(), ...cookies, endOfMessage()]);
}

/** `fuzz_data.h`; `lines` are added in front. */
export function dataHeader(lines: readonly string[]): string {
  const bytes = (name: string, data: Uint8Array) => `static const uint8_t ${name}[] = {${[...data].join(', ')}};`;
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
    bytes('fuzz_settings', settingsBlock),
    '__attribute__((unused))',
    bytes('fuzz_seed', seedSlot),
    '__attribute__((unused))',
    bytes('fuzz_ke_answer', keAnswer(64)),
    '#endif',
    '',
  ].join('\n');
}
