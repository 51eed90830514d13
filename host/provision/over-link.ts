// Settings and first seed into a meter that has none, over its link. The meter takes them once: what has settings, also
// damaged ones, refuses them, and nothing over the link reads them back.
import { randomBytes } from 'node:crypto';
import { CommandResult, Message, type SettingsError, StorageMap } from '../../as/abi/codes.ts';
import { LinkEnd, type LinkKeys } from '../link/link-end.ts';
import { blockPartBytes, type Done, type Info } from '../link/messages.ts';
import type { LinkTransport } from '../link/transport.ts';
import { nameOf, settingsErrorNames } from '../text/names.ts';
import { commandResultNames } from '../text/record-names.ts';
import { linkKeyOf } from './meter-keys.ts';
import { encodeSeedSlot, encodeSettings, type MeterSettings, settingsLimits } from './settings-block.ts';
import { ProvisionError } from './storage-file.ts';

/** What a meter says of itself. */
export interface MeterAtBench {
  readonly board: string;
  readonly firmwareVersion: string;
  /** Time servers that it can ask at once. */
  readonly serversMax: number;
}

export interface LinkProvisioned extends MeterAtBench {
  /** Whether it had settings with this id before: then nothing was written. */
  readonly before: boolean;
}

export interface LinkProvisionOptions {
  /** Not started yet; closed at the end. */
  readonly transport: LinkTransport;
  /** 16 random bytes (`newRootKey`). */
  readonly rootKey: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  /** How long the meter may say nothing, ms. */
  readonly silenceMs?: number;
  /** What is being done, for people. */
  readonly onStep?: (text: string) => void;
  /** Leaves the link when the settings are written: a gateway follows that the meter is to start at. */
  readonly gatewayFollows?: boolean;
  /** From here on the meter may have the settings, whatever comes. */
  readonly onLast?: () => void;
  /** May refuse a meter without settings, before anything is written. */
  readonly check?: (meter: MeterAtBench) => void;
}

/** A root key for a meter: 16 random bytes. */
export function newRootKey(): Uint8Array {
  return new Uint8Array(randomBytes(settingsLimits.rootKeyBytes));
}

const wholeBytes = StorageMap.SeedB - StorageMap.Settings;

/** What stands at the begin of a provisioned storage: settings, then a first seed. */
function storageHead(settings: MeterSettings, rootKey: Uint8Array): Buffer {
  const head = Buffer.alloc(wholeBytes);
  head.set(encodeSettings(settings, rootKey), StorageMap.Settings);
  head.set(encodeSeedSlot(randomBytes(settingsLimits.seedBytes), 1), StorageMap.SeedA);
  return head;
}

/**
 * Provisions the meter at a link and, unless a gateway follows, waits until it has started with its settings.
 * @throws {ProvisionError} provision-silent, provision-refused, provision-link, provision-aborted; whatever `check` throws
 * @throws {SettingsBlockError} settings-value
 */
export async function provisionOverLink(
  settings: MeterSettings,
  options: LinkProvisionOptions,
): Promise<LinkProvisioned> {
  const { transport, rootKey, onStep = () => {} } = options;
  const head = storageHead(settings, rootKey);
  const linkKey = linkKeyOf(rootKey, settings.id);
  const key = (id: string) => (id !== settings.id || settings.sealedLink !== true ? 'open' : linkKey);
  const meter = new MeterAtLink(transport, key, options.silenceMs ?? 15_000, options.signal);
  try {
    onStep(`waiting for a meter at ${transport.name}`);
    const info = await meter.info(() => true);
    const { board, firmwareVersion, serversMax, meterId } = info;
    const blank = { board, firmwareVersion, serversMax };
    if (meterId === settings.id) return { ...blank, before: true };
    if (meterId !== '') {
      throw alreadyProvisioned(transport.name, meterId);
    }
    options.check?.(blank);
    for (let offset = 0; offset < wholeBytes; offset += blockPartBytes) {
      onStep(`writing settings, ${offset} of ${wholeBytes} bytes`);
      if (offset + blockPartBytes >= wholeBytes) options.onLast?.();
      await meter.write(offset, head.subarray(offset, Math.min(offset + blockPartBytes, wholeBytes)));
    }
    if (options.gatewayFollows === true) return { ...blank, before: false };
    onStep('waiting for the meter to start with its settings');
    await meter.info(({ meterId }) => meterId === settings.id);
    return { ...blank, before: false };
  } finally {
    head.fill(0);
    await meter.close();
  }
}

function alreadyProvisioned(link: string, meter: string): ProvisionError {
  return new ProvisionError(
    'provision-refused',
    `${link}: meter ${meter} is provisioned already, and takes no other settings over its link; write its storage anew instead`,
  );
}

/** A meter that is asked one thing after the other. */
class MeterAtLink {
  readonly #end: LinkEnd;
  readonly #waiting = new Set<(message: Info | Done) => void>();
  readonly #silenceMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #refusing = new Set<(error: ProvisionError) => void>();
  #refusal: ProvisionError | undefined;
  #info: Info | undefined;
  #token = 0;

  constructor(transport: LinkTransport, linkKeys: LinkKeys, silenceMs: number, signal: AbortSignal | undefined) {
    this.#silenceMs = silenceMs;
    this.#signal = signal;
    this.#end = new LinkEnd({ transport, linkKeys });
    // One whose link is sealed has settings.
    this.#end.on('turnedAway', (id) => {
      this.#refusal = alreadyProvisioned(transport.name, id);
      for (const refuse of this.#refusing) refuse(this.#refusal);
    });
    this.#end.on('message', ({ message }) => {
      if (message.type === Message.Event) this.#end.send({ type: Message.EventAck, sequence: message.sequence });
      if (message.type === Message.Info) this.#info = message;
      if (message.type === Message.Info || message.type === Message.Done)
        for (const take of this.#waiting) take(message);
    });
    this.#end.start();
  }

  close(): Promise<void> {
    return this.#end.stop();
  }

  /** Whoever the meter says it is, as soon as that is as wanted. */
  async info(wanted: (info: Info) => boolean): Promise<Info> {
    if (this.#info !== undefined && wanted(this.#info)) return this.#info;
    return await this.#next((message) => (message.type === Message.Info && wanted(message) ? message : undefined));
  }

  async write(offset: number, part: Uint8Array): Promise<void> {
    const token = ++this.#token;
    const done = this.#next((message) =>
      message.type === Message.Done && message.token === token ? message : undefined,
    );
    if (!this.#end.send({ type: Message.Provision, token, offset, part })) {
      // Nobody waits for its answer.
      done.catch(() => {});
      throw new ProvisionError(
        'provision-link',
        `${this.#end.transport.name}: the link went down; nothing was written`,
      );
    }
    const { result, detail } = await done;
    if (result === CommandResult.Done) return;
    const why = nameOf(commandResultNames, result).text;
    const more =
      result === CommandResult.Invalid ? `: ${nameOf(settingsErrorNames, detail as SettingsError).text}` : '';
    throw new ProvisionError('provision-refused', `${this.#end.transport.name}: ${why}${more}; it has no settings`);
  }

  #next<T>(find: (message: Info | Done) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const ended = (then: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(take);
        this.#refusing.delete(refused);
        this.#signal?.removeEventListener('abort', aborted);
        then();
      };
      const take = (message: Info | Done) => {
        const found = find(message);
        if (found !== undefined) ended(() => resolve(found));
      };
      const aborted = () =>
        ended(() =>
          reject(new ProvisionError('provision-aborted', `${this.#end.transport.name}: ended before it was done`)),
        );
      const timer = setTimeout(
        () =>
          ended(() =>
            reject(
              new ProvisionError(
                'provision-silent',
                `${this.#end.transport.name}: no answer of a meter within ${Math.round(this.#silenceMs / 1000)} s; is its firmware running, and the line's speed right?`,
              ),
            ),
          ),
        this.#silenceMs,
      );
      const refused = (error: ProvisionError) => ended(() => reject(error));
      this.#waiting.add(take);
      this.#refusing.add(refused);
      if (this.#refusal !== undefined) return refused(this.#refusal);
      if (this.#signal?.aborted === true) aborted();
      else this.#signal?.addEventListener('abort', aborted);
    });
  }
}
