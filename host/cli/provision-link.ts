// A meter without settings at a link: its keys are written first, as nobody could ask for them later.
import { rmSync } from 'node:fs';
import { LinkListener, type LinkTransport, openLink } from '../link/transports.ts';
import { type KeysFiles, writeKeysFiles } from '../provision/keys-files.ts';
import { meterKeys } from '../provision/meter-keys.ts';
import { type LinkProvisioned, newRootKey, provisionOverLink } from '../provision/over-link.ts';
import type { MeterSettings } from '../provision/settings-block.ts';
import { ProvisionError } from '../provision/storage-file.ts';
import { checkAgreementOf, checkTariffsOf } from './boards.ts';
import { usageError } from './errors.ts';

/** A link that one meter is at. @throws LinkUrlError, CliError */
export function openMeterLink(link: string): LinkTransport {
  const transport = openLink(link);
  if (!(transport instanceof LinkListener)) return transport;
  throw usageError(`${link}: meters connect there, any of them`, 'Name the link of one meter: serial:, tcp: or unix:.');
}

export interface LinkJob {
  readonly files: KeysFiles;
  readonly force: boolean;
  readonly rootKey?: Uint8Array | undefined;
  /** The board that it has to be. */
  readonly board?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** As in `provisionOverLink`. */
  readonly gatewayFollows?: boolean;
  readonly onStep?: (text: string) => void;
}

/**
 * A meter that has this id already is left as it is (`before`).
 * @throws {ProvisionError} @throws {SettingsBlockError}
 */
export async function provisionAtLink(
  transport: LinkTransport,
  settings: MeterSettings,
  { files, force, rootKey = newRootKey(), board, signal, gatewayFollows = false, onStep = () => {} }: LinkJob,
): Promise<LinkProvisioned> {
  const keys = meterKeys(rootKey, settings.id);
  let nobodys = false;
  try {
    return await provisionOverLink(settings, {
      ...{ transport, rootKey, signal, gatewayFollows, onStep },
      check: (meter) => {
        if (board !== undefined && meter.board !== board) {
          throw new ProvisionError(
            'provision-refused',
            `${transport.name}: expected board ${board}, came ${meter.board}; nothing was written`,
          );
        }
        checkAgreementOf(meter.board, meter.serversMax, settings.agreement);
        checkTariffsOf(meter.board, meter.serversMax, settings);
        writeKeysFiles(files, keys, force);
        nobodys = true;
      },
      onLast: () => {
        nobodys = false;
      },
    });
  } catch (error) {
    // The meter has no settings, and was not sent all of them: these keys are nobody's.
    if (nobodys) {
      for (const path of [files.keys, files.publicKey]) if (path !== undefined) rmSync(path, { force: true });
    }
    throw error;
  } finally {
    rootKey.fill(0);
  }
}
