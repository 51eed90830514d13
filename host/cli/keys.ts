// metertime keys --storage FILE: the public key of a provisioned meter, for those who verify what it signs.
import { Command } from 'commander';
import { publicKeyOf, publicKeyPem } from '../provision/meter-keys.ts';
import { readStorageKeys } from '../provision/storage-file.ts';
import { formatPairs } from '../text/table.ts';
import { type Context, withHelp } from './context.ts';
import { ExitCode } from './exit-codes.ts';

interface Options {
  storage: string;
  pem?: boolean;
  json?: boolean;
}

export function keysCommand(context: Context): Command {
  const command = new Command('keys')
    .summary("print a meter's public key")
    .description(
      "Prints the public key of a provisioned meter (Ed25519), for which it signs the heads of its records and of its logbook. No key is secret that is printed: the record key, which checks seals, is only written to a file (metertime provision --keys), and the root key never leaves the meter's storage.",
    )
    .requiredOption('--storage <file>', 'storage file, as metertime provision made it')
    .option('--pem', 'print the key alone, as PEM')
    .option('--json', 'print the key as JSON')
    .action((options: Options) => keys(context, options));
  return withHelp(command, {
    examples: [
      ['keys --storage meter-1.bin', 'meter and key'],
      ['keys --storage meter-1.bin --pem', 'for OpenSSL and other programs'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Usage],
  });
}

function keys({ terminal }: Context, options: Options): void {
  const { meter, publicKey } = readStorageKeys(options.storage);
  const hex = Buffer.from(publicKeyOf(publicKey)).toString('hex');
  if (options.json) terminal.printJson({ meter, publicKey: hex, publicKeyPem: publicKeyPem(publicKey) });
  else if (options.pem) terminal.print(publicKeyPem(publicKey).trimEnd());
  else {
    terminal.print(
      ...formatPairs([
        ['Meter', meter],
        ['Public key', `${hex} (Ed25519)`],
      ]),
    );
  }
}
