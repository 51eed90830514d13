// Sends an update to a meter, part by part, and goes on where it was when the link was away.
// What always holds: nothing is sent to a meter that has not said which slot it runs from; the offset of each part is the meter's
// own word; what it refuses is said in words, and not sent again.
import { CommandResult, Message, UpdateLimit } from '../../as/abi/codes.ts';
import { type CommandOutcome, type MeterCommands, MeterSessionError } from '../gateway/meter-commands.ts';
import type { Slots } from '../link/messages.ts';
import { commandResultNames } from '../text/record-names.ts';
import { updateRefusalNames } from '../text/update-names.ts';
import { encodeManifest, isSigned, slotLetter, UpdateError, type UpdateImage } from './manifest.ts';

/** A meter as an update needs it. */
export interface UpdateMeter {
  /** Undefined while it is offline. */
  readonly commands: Pick<MeterCommands, 'update'> | undefined;
  /** What it said of its slots; undefined while it is offline. */
  readonly slots: Slots | undefined;
}

export interface SendOptions {
  /** Bytes that the meter has, and how many there are. */
  readonly onProgress?: (sent: number, of: number) => void;
  readonly signal?: AbortSignal | undefined;
  /** How long the meter may be away, or busy, at a stretch. Default one minute. */
  readonly patienceMs?: number;
}

const pauseMs = 200;

/**
 * Sends the image for the slot that does not run; the meter starts anew with it afterwards, and tries it.
 * @returns the image that it took
 * @throws {UpdateError} update-refused, update-unsigned, update-file, update-aborted
 * @throws {MeterSessionError} where the meter was away for too long
 */
export async function sendUpdate(
  meter: UpdateMeter,
  images: readonly UpdateImage[],
  options: SendOptions = {},
): Promise<UpdateImage> {
  const sender = new Sender(meter, options);
  const image = choose(images, await sender.slots());
  for (let offset: number | undefined; ; ) {
    try {
      offset ??= await sender.begin(image);
      options.onProgress?.(offset, image.image.length);
      if (offset < image.image.length) offset = await sender.part(image, offset);
      else {
        await sender.finish(image);
        return image;
      }
    } catch (error) {
      // A new session, or a restart of the meter: it says how far it is.
      if (!(error instanceof MeterSessionError) && !(error instanceof AnewError)) throw error;
      await sender.away(error);
      offset = undefined;
    }
  }
}

function choose(images: readonly UpdateImage[], { slot }: Slots): UpdateImage {
  const image = images.find(({ manifest }) => manifest.slot !== slot);
  if (image === undefined) {
    throw new UpdateError(
      'update-file',
      `it has no image for the slot that does not run; slot ${slotLetter(slot)} runs`,
    );
  }
  if (!isSigned(image)) throw new UpdateError('update-unsigned', 'it is not signed: metertime update sign');
  return image;
}

/** The meter expects a begin. */
class AnewError extends Error {}

class Sender {
  readonly #meter: UpdateMeter;
  readonly #options: SendOptions;
  #awaySinceMs: number | undefined;

  constructor(meter: UpdateMeter, options: SendOptions) {
    this.#meter = meter;
    this.#options = options;
  }

  async slots(): Promise<Slots> {
    for (;;) {
      const { slots } = this.#meter;
      if (slots !== undefined) return slots;
      await this.away(new MeterSessionError('meter-offline', 'the meter is offline, or has no slots for software'));
    }
  }

  begin({ manifest, signature }: UpdateImage): Promise<number> {
    const bytes = encodeManifest(manifest);
    return this.#ask((token) => ({ type: Message.UpdateBegin, token, manifest: bytes, signature }));
  }

  /** @returns the offset that the meter expects next */
  part({ image }: UpdateImage, offset: number): Promise<number> {
    const inStep = UpdateLimit.StepBytes - (offset % UpdateLimit.StepBytes);
    const part = image.subarray(offset, offset + Math.min(UpdateLimit.PartBytes, inStep));
    return this.#ask((token) => ({ type: Message.UpdatePart, token, offset, part }));
  }

  finish({ manifest }: UpdateImage): Promise<number> {
    const bytes = encodeManifest(manifest);
    return this.#ask((token) => ({ type: Message.UpdateFinish, token, manifest: bytes }));
  }

  /** Waits a little for a meter that is away. @throws what it was away for, when it was for too long */
  async away(error: Error): Promise<void> {
    const { signal, patienceMs = 60_000 } = this.#options;
    this.#awaySinceMs ??= performance.now();
    if (performance.now() - this.#awaySinceMs > patienceMs) throw error;
    if (signal?.aborted === true) throw new UpdateError('update-aborted', 'ended before all of it was sent');
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }

  async #ask(step: Parameters<MeterCommands['update']>[0]): Promise<number> {
    for (;;) {
      const { signal } = this.#options;
      if (signal?.aborted === true) throw new UpdateError('update-aborted', 'ended before all of it was sent');
      const { commands } = this.#meter;
      if (commands === undefined) throw new MeterSessionError('meter-offline', 'the meter is not connected');
      const { result, detail } = await commands.update(step);
      if (result !== CommandResult.Busy) return this.#judge(result, detail);
      await this.away(new MeterSessionError('meter-busy', 'the meter is busy with something else'));
    }
  }

  #judge(result: CommandOutcome['result'], detail: number): number {
    if (result === CommandResult.Done) {
      this.#awaySinceMs = undefined;
      return detail;
    }
    // It has started anew meanwhile, or the part before came twice.
    if (result === CommandResult.Request) throw new AnewError('the meter expects something else');
    if (result === CommandResult.Refused) {
      const name = updateRefusalNames[detail as keyof typeof updateRefusalNames];
      throw new UpdateError('update-refused', `the meter does not take it: ${name?.text ?? `reason ${detail}`}`);
    }
    throw new UpdateError('update-refused', `the meter does not take it: ${commandResultNames[result].text}`);
  }
}
